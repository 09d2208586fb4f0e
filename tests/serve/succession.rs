//! A new process of the same service takes over, and the one before serves its connections to their end.

use common::serve::{Serve, Serving};
use common::site::Beside;
use common::{Client, Site, a_site, dayfly, process};
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

const NEVER: [&str; 6] = ["--drain-time", "1h", "--idle-time", "infinity", "--wall-time", "infinity"];

/// A connection whose handler runs: `sleep` says so, and then waits for its peer.
fn with_client(serving: &Serving<'_>) -> Client {
    let mut client = serving.connect();
    assert_eq!(client.line(), "ready");
    client
}

/// The supervisors that the live handlers are children of.
fn parents(serving: &Serving<'_>) -> Vec<u32> {
    let parent = |pid: &u32| u32::try_from(process::stat(*pid, 4)).unwrap_or(0);
    serving.served().iter().map(parent).collect()
}

/// A copy of the launcher that a test may replace.
fn copy(beside: &Beside) -> PathBuf {
    put(&beside.0, &fs::read(dayfly()).unwrap())
}

/// As a package does it: a new file gets the name.
fn put(directory: &Path, content: &[u8]) -> PathBuf {
    let (new, path) = (directory.join("dayfly.new"), directory.join("dayfly"));
    fs::write(&new, content).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&new, &path).unwrap();
    path
}

#[test]
fn a_successor_accepts_and_the_process_before_it_serves_its_connections_to_their_end() {
    let site = a_site!();
    for park in ["entry", "before-exec", "none"] {
        let mut serving = Serve::probe(&site, &["sleep"]).options(&NEVER).options(&["--park", park]).start();
        let mut old = with_client(&serving);
        let before = serving.succeed(libc::SIGUSR2);
        let mut new = with_client(&serving);
        let mut found = parents(&serving);
        found.sort_unstable();
        let mut both = [before, serving.supervisor()];
        both.sort_unstable();
        assert_eq!(found, both, "{park}");
        old.send(b"\n");
        assert_eq!(old.rest(), b"bye\n", "{park}");
        assert_eq!(serving.end_of(before), 0, "{park}");
        new.send(b"\n");
        assert_eq!(new.rest(), b"bye\n", "{park}");
        let (status, log) = serving.terminate();
        assert_eq!(status, 0, "{log}");
    }
}

#[test]
fn a_process_before_without_connections_ends_at_once() {
    let site = a_site!();
    let mut serving = Serve::probe(&site, &["echo"]).start();
    for round in 0..3 {
        assert_eq!(serving.ask(b"x\n"), b"x\n", "{round}");
        let before = serving.succeed(libc::SIGUSR2);
        assert_eq!(serving.end_of(before), 0, "{round}");
    }
    assert_eq!(serving.ask(b"x\n"), b"x\n");
    assert_eq!(serving.terminate().0, 0);
}

#[test]
fn a_program_that_cannot_start_leaves_the_process_before_it_serving() {
    let site = a_site!();
    let beside = Beside::new(&site);
    let program = copy(&beside);
    let serving = Serve::probe(&site, &["echo"]).program(&program).start();
    serving.await_log(&["listening"]);
    let supervisor = serving.supervisor();
    for content in ["", "#!/bin/false\n", "#!/nonexistent\n"] {
        put(&beside.0, content.as_bytes());
        for signal in [libc::SIGUSR2, libc::SIGHUP] {
            serving.signal(signal);
            serving.await_log(&["not replaced by a new process, this one continues"]);
            assert_eq!(serving.ask(b"x\n"), b"x\n", "{content:?}");
            assert_eq!(serving.supervisor(), supervisor);
        }
    }
    fs::remove_file(&program).unwrap();
    serving.signal(libc::SIGUSR2);
    let line = serving.await_log(&["not replaced by a new process"]);
    assert!(line.contains("cannot execute") && line.contains("No such file"), "{line}");
    assert_eq!(serving.ask(b"x\n"), b"x\n");
    assert_eq!(serving.terminate().0, 0);
}

#[test]
fn a_service_file_with_a_mistake_leaves_the_process_before_it_serving() {
    let site = a_site!();
    let beside = Beside::new(&site);
    let text = |last: &str| {
        let (template, tag) = (site.template().display().to_string(), site.tag());
        format!("template = \"{template}\"\nhandler = [\"/bin/probe\", \"@{tag}\", \"echo\"]\n{last}\n")
    };
    let file = beside.file("echo.toml", &text(""), 0o644);
    let mut serving = Serve::file(&site, &file).start();
    serving.await_log(&["listening"]);
    beside.file("echo.toml", &text("wall_tiem = \"1s\""), 0o644);
    serving.signal(libc::SIGUSR2);
    serving.await_log(&["wall_tiem"]);
    serving.await_log(&["not replaced by a new process"]);
    assert_eq!(serving.ask(b"x\n"), b"x\n");
    beside.file("echo.toml", &text("wall_time = \"1s\""), 0o644);
    let before = serving.succeed(libc::SIGUSR2);
    assert_eq!(serving.end_of(before), 0);
    assert_eq!(serving.ask(b"x\n"), b"x\n");
    assert_eq!(serving.terminate().0, 0);
}

/// Sandboxes of both live at a time.
#[test]
fn a_range_of_uids_that_overlaps_the_one_before_leaves_the_process_before_it_serving() {
    let site = a_site!();
    let beside = Beside::new(&site);
    let text = |last: &str| {
        let (template, tag) = (site.template().display().to_string(), site.tag());
        format!("template = \"{template}\"\nhandler = [\"/bin/probe\", \"@{tag}\", \"echo\"]\n{last}\n")
    };
    let file = beside.file("echo.toml", &text("user_range = \"1900000000+4194304\""), 0o644);
    let mut serving = Serve::file(&site, &file).start();
    serving.await_log(&["listening"]);
    beside.file("echo.toml", &text("user_range = \"1900000001+4194304\""), 0o644);
    serving.signal(libc::SIGUSR2);
    serving.await_log(&["user_range: 1900000001+4194304 overlaps 1900000000+4194304"]);
    serving.await_log(&["not replaced by a new process"]);
    assert_eq!(serving.ask(b"x\n"), b"x\n");
    beside.file("echo.toml", &text("user_range = \"1910000000+4194304\""), 0o644);
    let before = serving.succeed(libc::SIGUSR2);
    assert_eq!(serving.end_of(before), 0);
    assert_eq!(serving.ask(b"x\n"), b"x\n");
    // The next one knows of those before the last one, too.
    beside.file("echo.toml", &text("user_range = \"1900000001+4194304\""), 0o644);
    serving.signal(libc::SIGUSR2);
    serving.await_log(&["user_range: 1900000001+4194304 overlaps 1900000000+4194304"]);
    assert_eq!(serving.ask(b"x\n"), b"x\n");
    assert_eq!(serving.terminate().0, 0);
}

#[test]
fn a_reload_after_the_program_was_replaced_starts_the_new_one() {
    let site = a_site!();
    let beside = Beside::new(&site);
    let program = copy(&beside);
    let mut serving = Serve::probe(&site, &["echo"]).program(&program).start();
    serving.await_log(&["listening"]);
    serving.signal(libc::SIGHUP);
    serving.await_log(&["reloaded"]);
    copy(&beside);
    let before = serving.succeed(libc::SIGHUP);
    assert_eq!(serving.end_of(before), 0);
    let own = fs::metadata(format!("/proc/{}/exe", serving.supervisor())).unwrap();
    let there = fs::metadata(&program).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::ino(&own), std::os::unix::fs::MetadataExt::ino(&there));
    serving.signal(libc::SIGHUP);
    serving.await_log(&["reloaded"]);
    assert_eq!(serving.ask(b"x\n"), b"x\n");
    assert_eq!(serving.terminate().0, 0);
}

/// An address that is free now.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn sockets_of_listen_are_passed_on_and_their_files_go_with_the_last_process() {
    let site = a_site!();
    let beside = Beside::new(&site);
    let (address, path) = (free_address(), beside.0.join("socket"));
    let unix = format!("unix:{}?mode=0600", path.display());
    let options = ["--listen", &address.to_string(), "--listen", &unix];
    let mut serving =
        Serve::probe(&site, &["sleep"]).listening_itself().options(&options).options(&NEVER).start();
    serving.await_log(&["listening", "unix:"]);
    let clients = || {
        let tcp = Client::Tcp(TcpStream::connect(address).unwrap());
        let mut clients = [tcp, Client::Unix(UnixStream::connect(&path).unwrap())];
        for client in &mut clients {
            assert_eq!(client.line(), "ready");
        }
        clients
    };
    let mut all = Vec::from(clients());
    let first = serving.succeed(libc::SIGUSR2);
    all.extend(clients());
    // Its sockets are its own still: a reload keeps them, and the next one has them.
    serving.signal(libc::SIGHUP);
    serving.await_log(&["reloaded"]);
    let second = serving.succeed(libc::SIGUSR2);
    all.extend(clients());
    for client in &mut all {
        client.send(b"\n");
        assert_eq!(client.rest(), b"bye\n");
    }
    assert_eq!((serving.end_of(first), serving.end_of(second)), (0, 0));
    assert!(path.exists());
    assert_eq!(serving.terminate().0, 0);
    assert!(!path.exists());
}

#[test]
fn a_passed_socket_of_the_same_address_is_what_listen_asks_for() {
    let site = a_site!();
    let kept = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = kept.local_addr().unwrap().to_string();
    let serving = Serve::probe(&site, &["echo"]).on(&kept).options(&["--listen", &address]).start();
    assert_eq!(serving.ask(b"x\n"), b"x\n");
    serving.signal(libc::SIGHUP);
    serving.await_log(&["reloaded"]);
    assert_eq!(serving.ask(b"x\n"), b"x\n");
    assert_eq!(serving.terminate().0, 0);
}

#[test]
fn a_stop_ends_the_connections_of_the_processes_before_as_well() {
    let site = a_site!();
    let mut serving = Serve::probe(&site, &["sleep"]).options(&NEVER).start();
    let mut clients = vec![with_client(&serving)];
    for _ in 0..2 {
        serving.succeed(libc::SIGUSR2);
        clients.push(with_client(&serving));
    }
    serving.signal(libc::SIGTERM);
    for client in &mut clients {
        assert_eq!(client.rest(), b"");
    }
    let (status, log) = serving.end();
    assert_eq!(status, 0, "{log}");
    assert_eq!(log.matches("outcome=exited").count(), 3, "{log}");
    assert_eq!(log.matches("stopping").count(), 3, "{log}");
}

#[test]
fn counts_go_on_in_the_successor_with_what_ends_in_the_process_before() {
    let site = a_site!();
    let mut serving = Serve::probe(&site, &["sleep"]).options(&NEVER).start();
    let mut early = with_client(&serving);
    let mut late = with_client(&serving);
    early.send(b"\n");
    assert_eq!(early.rest(), b"bye\n");
    serving.await_log(&["ended"]);
    let before = serving.succeed(libc::SIGUSR2);
    assert_eq!(connections(&site), 1);
    late.send(b"\n");
    assert_eq!(late.rest(), b"bye\n");
    assert_eq!(serving.end_of(before), 0);
    process::until(|| (connections(&site) == 2).then_some(()));
    assert_eq!(serving.terminate().0, 0);
}

fn connections(site: &Site) -> u64 {
    let socket = UnixStream::connect(site.directory().join("stats")).unwrap();
    let reports: serde_json::Value = serde_json::from_reader(socket).unwrap();
    reports[0]["total"]["connections"].as_u64().unwrap()
}

#[test]
fn the_successor_is_in_the_namespaces_that_the_first_process_was_in() {
    let site = a_site!();
    let mut serving = Serve::probe(&site, &["echo"]).start();
    serving.await_log(&["listening"]);
    let before = serving.succeed(libc::SIGUSR2);
    assert_eq!(serving.end_of(before), 0);
    // What it has not left by itself is the host's.
    for kind in ["pid", "user", "time"] {
        assert_eq!(
            process::namespace(serving.supervisor(), kind),
            process::namespace(std::process::id(), kind)
        );
    }
    let arguments = process::arguments(serving.supervisor());
    assert_eq!(arguments.get(1).map(String::as_str), Some("serve"), "{arguments:?}");
    assert_eq!(serving.terminate().0, 0);
}
