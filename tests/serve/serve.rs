//! `dayfly serve`: resident, a sandbox per connection, bounded, and gone without a trace when told to end.

use common::serve::{Serve, Serving};
use common::{Client, a_site, need, process};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

#[track_caller]
fn ends_well(serving: Serving<'_>) {
    let (status, log) = serving.terminate();
    assert_eq!(status, 0, "{log}");
}

#[test]
fn it_answers_one_connection_after_the_other() {
    let site = a_site!();
    for kind in ["readonly", "overlay"] {
        let serving = Serve::probe(&site, &["echo"]).options(&["--snapshot", kind]).start();
        for n in 0..10 {
            let line = format!("line {n}\n").into_bytes();
            assert_eq!(serving.ask(&line), line, "{kind}");
        }
        ends_well(serving);
    }
}

#[test]
fn it_answers_many_at_once_each_with_an_identity_of_its_own() {
    let site = a_site!();
    let serving = Serve::probe(&site, &["sleep"]).start();
    let mut clients: Vec<Client> = (0..12).map(|_| serving.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.line(), "ready");
    }
    let handlers = serving.served();
    assert!(handlers.len() >= 12, "{handlers:?}");
    let uids: BTreeSet<String> = handlers.iter().map(|&pid| process::status(pid)["Uid"].clone()).collect();
    assert_eq!(uids.len(), handlers.len(), "each its own uid");
    let mounts: BTreeSet<String> = handlers.iter().map(|&pid| process::namespace(pid, "mnt")).collect();
    assert_eq!(mounts.len(), handlers.len(), "each its own mount namespace");
    for client in &mut clients {
        client.send(b"\n");
        assert_eq!(client.rest(), b"bye\n");
    }
    ends_well(serving);
}

#[test]
fn a_sandbox_holds_no_listening_socket_and_no_other_connection() {
    let site = a_site!();
    let serving = Serve::probe(&site, &["sleep"]).start();
    let (mut one, mut two) = (serving.connect(), serving.connect());
    assert_eq!((one.line().as_str(), two.line().as_str()), ("ready", "ready"));
    let mut sockets = BTreeSet::new();
    for handler in serving.served() {
        let open = process::descriptors(handler);
        assert_eq!(open.keys().copied().collect::<Vec<_>>(), [0, 1, 2], "{open:?}");
        assert_eq!(open[&0], open[&1]);
        // A parked one holds nothing yet.
        if open[&0] != "/dev/null" {
            assert!(sockets.insert(open[&0].clone()), "two sandboxes with one socket");
        }
    }
    assert_eq!(sockets.len(), 2, "{sockets:?}");
    drop((one, two));
    ends_well(serving);
}

#[test]
fn it_is_as_sealed_as_run() {
    let site = a_site!();
    let serving = Serve::probe(&site, &["sleep"]).start();
    let mut client = serving.connect();
    assert_eq!(client.line(), "ready");
    for handler in serving.served() {
        let status = process::status(handler);
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(status[set], "0000000000000000", "{set}");
        }
        assert_eq!((status["NoNewPrivs"].as_str(), status["Seccomp"].as_str()), ("1", "2"));
        assert_eq!(status["Groups"], "");
        assert!(!status["Uid"].split(' ').any(|uid| uid == "0"));
        for kind in ["mnt", "pid", "net", "ipc", "uts", "cgroup"] {
            let host = process::namespace(std::process::id(), kind);
            assert_ne!(process::namespace(handler, kind), host, "{kind}");
        }
        let one = ("1".to_owned(), "1".to_owned());
        assert_eq!(process::limit(handler, "Max core file size"), one);
    }
    drop(client);
    ends_well(serving);
}

#[test]
fn a_handler_that_dies_or_is_denied_harms_no_other() {
    let site = a_site!();
    for words in [&["crash"][..], &["try", "socket_inet"], &["exit", "1"]] {
        let serving = Serve::probe(&site, words).start();
        for _ in 0..5 {
            assert_eq!(serving.ask(b""), b"", "{words:?}");
        }
        ends_well(serving);
    }
}

#[test]
fn a_denied_call_is_in_the_log() {
    let site = a_site!();
    let serving = Serve::probe(&site, &["try", "connect_unspec"]).start();
    serving.ask(b"");
    serving.await_log(&["denied", "connect"]);
    ends_well(serving);
}

#[test]
fn over_the_total_limit_the_next_one_gets_the_words_for_it() {
    let site = a_site!();
    let options = ["--max-connections", "2", "--over-limit", "full\\n"];
    let serving = Serve::probe(&site, &["sleep"]).options(&options).start();
    let (mut one, mut two) = (serving.connect(), serving.connect());
    assert_eq!((one.line().as_str(), two.line().as_str()), ("ready", "ready"));
    let mut three = serving.connect();
    assert_eq!(three.rest(), b"full\n");
    one.send(b"\n");
    assert_eq!(one.rest(), b"bye\n");
    // The place is free when the supervisor has seen the end, a moment after the client has.
    let deadline = Instant::now() + common::PATIENCE;
    loop {
        let mut four = serving.connect();
        let line = four.line();
        if line == "ready" {
            break;
        }
        assert!(line == "full" && Instant::now() < deadline, "{line:?}");
    }
    drop(two);
    ends_well(serving);
}

#[test]
fn wall_time_over_ends_the_connection() {
    let site = a_site!();
    let serving = Serve::probe(&site, &["spin"]).options(&["--wall-time", "300ms"]).start();
    let started = Instant::now();
    assert_eq!(serving.ask(b""), b"ready\n");
    let elapsed = started.elapsed();
    assert!((Duration::from_millis(300)..Duration::from_secs(5)).contains(&elapsed), "after {elapsed:?}");
    serving.await_log(&["wall"]);
    ends_well(serving);
}

#[test]
fn sigterm_lets_a_connection_finish_and_takes_no_new_one() {
    let site = a_site!();
    let serving = Serve::probe(&site, &["sleep"]).options(&["--drain-time", "20s"]).start();
    let mut client = serving.connect();
    assert_eq!(client.line(), "ready");
    serving.signal(libc::SIGTERM);
    client.send(b"\n");
    assert_eq!(client.rest(), b"bye\n");
    let started = Instant::now();
    let (status, log) = serving.end();
    assert_eq!(status, 0, "{log}");
    assert!(started.elapsed() < Duration::from_secs(10), "it waited for the drain time with nobody there");
}

#[test]
fn sigterm_kills_what_outlasts_the_drain_time() {
    let site = a_site!();
    let serving = Serve::probe(&site, &["spin"]).options(&["--drain-time", "300ms"]).start();
    let mut client = serving.connect();
    assert_eq!(client.line(), "ready");
    let started = Instant::now();
    ends_well(serving);
    let elapsed = started.elapsed();
    assert!((Duration::from_millis(250)..Duration::from_secs(8)).contains(&elapsed), "after {elapsed:?}");
    assert_eq!(client.rest(), b"");
}

#[test]
fn sigkill_of_the_supervisor_takes_its_sandboxes_with_it() {
    let site = a_site!();
    for kind in ["readonly", "overlay"] {
        let serving = Serve::probe(&site, &["spin"]).options(&["--snapshot", kind]).start();
        let mut clients: Vec<Client> = (0..5).map(|_| serving.connect()).collect();
        for client in &mut clients {
            assert_eq!(client.line(), "ready");
        }
        serving.murder();
    }
}

#[test]
fn under_the_shipped_units_own_bounding_set_it_serves_and_takes_its_sandboxes_with_it() {
    let site = a_site!();
    let setpriv = need!("setpriv");
    for kind in ["readonly", "overlay"] {
        let set = common::bounding_set("gopher.service", kind);
        let before = [setpriv.to_str().unwrap(), "--bounding-set", &set];
        let serving = Serve::probe(&site, &["spin"]).before(&before).options(&["--snapshot", kind]).start();
        let mut client = serving.connect();
        assert_eq!(client.line(), "ready");
        serving.murder();
    }
}

fn connect_until_it_listens(serving: &Serving<'_>, port: u16) -> Client {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match std::net::TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => return Client::Tcp(stream),
            Err(error) => assert!(Instant::now() < deadline, "{} {error}", serving.supervisor()),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn it_listens_itself_where_it_is_told_to() {
    let site = a_site!();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let listen = format!("127.0.0.1:{port}");
    let serving = Serve::probe(&site, &["echo"]).listening_itself().options(&["--listen", &listen]).start();
    let mut client = connect_until_it_listens(&serving, port);
    client.send(b"hello\n");
    client.half_close();
    assert_eq!(client.rest(), b"hello\n");
    ends_well(serving);
}

#[test]
fn a_port_that_the_kernel_has_chosen_is_in_the_log() {
    let site = a_site!();
    let options = ["--listen", "127.0.0.1:0"];
    let serving = Serve::probe(&site, &["echo"]).listening_itself().options(&options).start();
    let line = serving.await_log(&["listening address=127.0.0.1:"]);
    let mut client = connect_until_it_listens(&serving, line.rsplit(':').next().unwrap().parse().unwrap());
    client.send(b"hello\n");
    client.half_close();
    assert_eq!(client.rest(), b"hello\n");
    ends_well(serving);
}

#[test]
fn a_relative_unix_listener_starts_where_the_launcher_was_started() {
    let site = a_site!();
    let options = ["--listen", "unix:socket"];
    let serving = Serve::probe(&site, &["echo"]).listening_itself().options(&options).start();
    serving.await_log(&["listening address=unix:/"]);
    let mut client = Client::Unix(UnixStream::connect(site.directory().join("socket")).unwrap());
    client.send(b"hello\n");
    client.half_close();
    assert_eq!(client.rest(), b"hello\n");
    ends_well(serving);
}

#[test]
fn a_unix_listener_has_the_mode_it_is_given_and_is_removed_at_the_end() {
    let site = a_site!();
    let path = site.directory().join("socket");
    let listen = format!("unix:{}?mode=0640", path.display());
    let serving = Serve::probe(&site, &["echo"]).listening_itself().options(&["--listen", &listen]).start();
    let deadline = Instant::now() + Duration::from_secs(10);
    let stream = loop {
        match UnixStream::connect(&path) {
            Ok(stream) => break stream,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
    let mut client = Client::Unix(stream);
    client.send(b"hello\n");
    client.half_close();
    assert_eq!(client.rest(), b"hello\n");
    ends_well(serving);
}

#[test]
fn without_listener_or_with_a_bad_one_it_is_the_operators_mistake() {
    let site = a_site!();
    let run_only = ["--listen", "127.0.0.1:0", "--kill-signal", "SIGINT"];
    for options in [&[][..], &["--listen", "nowhere"], &["--listen", "127.0.0.1:70000"], &run_only] {
        let serving = Serve::probe(&site, &["echo"]).listening_itself().options(options).start();
        let (status, log) = serving.end();
        assert_eq!(status, 2, "{options:?} {log}");
    }
}

#[test]
fn a_missing_handler_is_found_at_start() {
    let site = a_site!();
    let mut serve = Serve::probe(&site, &["echo"]);
    serve.replace_handler(&["/bin/absent"]);
    let (status, log) = serve.start().end();
    assert_eq!(status, 1, "{log}");
    assert!(log.contains("/bin/absent"), "{log}");
}

#[test]
fn a_port_already_taken_is_a_failure_that_names_it() {
    let site = a_site!();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let serving = Serve::probe(&site, &["echo"]).listening_itself().options(&["--listen", &listen]).start();
    let (status, log) = serving.end();
    assert_eq!(status, 1, "{log}");
    assert!(log.contains(&listen), "{log}");
}

#[test]
fn over_the_limit_of_one_source_the_next_one_gets_the_words_for_it() {
    let site = a_site!();
    let options = ["--max-per-source", "2", "--over-limit", "too many\\r\\n"];
    let serving = Serve::probe(&site, &["sleep"]).options(&options).start();
    let mut clients: Vec<Client> = (0..2).map(|_| serving.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.line(), "ready");
    }
    assert_eq!(serving.ask(b"x\n"), b"too many\r\n");
    serving.await_log(&["rejected", "limit=max-per-source"]);
    // Another source has its own.
    let mut other = serving.connect_from("127.0.0.2");
    assert_eq!(other.line(), "ready");
    drop((clients, other));
    ends_well(serving);
}

#[test]
fn sighup_applies_a_changed_file_and_keeps_a_bad_one_out() {
    let site = a_site!();
    let (template, tag) = (site.template(), site.tag().to_owned());
    let text = |word: &str| {
        let template = template.display();
        format!(
            "template = \"{template}\"\nhandler = [\"/bin/probe\", \"@{tag}\", \"env\"]\nsetenv = [\"WORD={word}\"]\n"
        )
    };
    // Not in the site, whose files must be at the end as they were.
    let directory = std::path::PathBuf::from(format!("/var/tmp/{}-service", site.tag()));
    common::site::make_directory(&directory, 0o755);
    let file = directory.join("service.toml");
    std::fs::write(&file, text("one")).unwrap();
    let serving = Serve::file(&site, &file).start();
    let answer = || String::from_utf8(serving.ask(b"")).unwrap();
    assert!(answer().contains("WORD=one"));
    std::fs::write(&file, "no such key = 1\n").unwrap();
    serving.signal(libc::SIGHUP);
    serving.await_log(&["not reloaded"]);
    assert!(answer().contains("WORD=one"));
    std::fs::write(&file, text("two")).unwrap();
    serving.signal(libc::SIGHUP);
    serving.await_log(&["dayfly: reloaded"]);
    for _ in 0..6 {
        assert!(answer().contains("WORD=two"), "a sandbox of the old configuration served");
    }
    std::fs::remove_dir_all(directory).unwrap();
    ends_well(serving);
}

#[test]
fn systemd_is_told_when_it_is_ready_and_when_it_stops() {
    let site = a_site!();
    let path = site.directory().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(common::PATIENCE)).unwrap();
    let variable = format!("NOTIFY_SOCKET={}", path.display());
    let serving = Serve::probe(&site, &["echo"]).before(&["/usr/bin/env", &variable]).start();
    let told = || {
        let mut buffer = [0; 256];
        let count = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..count].to_vec()).unwrap()
    };
    assert!(told().starts_with("READY=1\n"));
    std::fs::remove_file(path).unwrap();
    serving.signal(libc::SIGTERM);
    assert!(told().starts_with("STOPPING=1\n"));
    assert_eq!(serving.end().0, 0);
}
