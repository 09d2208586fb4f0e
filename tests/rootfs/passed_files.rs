//! `--open`: a file that the launcher opens, or a unix socket that it connects, and the handler gets from
//! descriptor 3 up.

use common::serve::Serve;
use common::site::{Beside, give_to, make_directory, set_mode, write};
use common::{Ended, PATIENCE, Site, a_site, sys};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::thread::{JoinHandle, spawn};
use std::time::Instant;

/// Answers each connection's first line with the line and the number of the connection, `count` times.
fn daemon(socket: &Path, count: usize) -> JoinHandle<()> {
    let listener = UnixListener::bind(socket).unwrap();
    spawn(move || {
        for number in 1..=count {
            let (stream, _) = listener.accept().unwrap();
            spawn(move || {
                let mut line = String::new();
                BufReader::new(&stream).read_line(&mut line).unwrap();
                let _handler_may_have_ended = (&stream).write_all(format!("{number} {line}").as_bytes());
            });
        }
    })
}

fn open(path: &Path, name: &str, how: &str) -> String {
    format!("--open={}:{name}:{how}", path.display())
}

fn run(site: &Site, options: &[&str], words: &[&str]) -> Ended {
    site.probe(words).options(options).talk(b"")
}

#[test]
fn the_handler_finds_them_by_number_and_name_and_nothing_else() {
    let site = a_site!();
    let beside = Beside::new(&site);
    let (key, log) = (beside.file("key", "secret\n", 0o600), beside.file("log", "", 0o600));
    let options = [open(&key, "key", "ro"), open(&log, "log", "append")];
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    for init in ["no", "yes"] {
        let mut all = options.clone();
        let init = format!("--init={init}");
        all.push(&init);
        let ended = run(&site, &all, &["see", "fds"]);
        ended.expect(0, "exited");
        assert_eq!(ended.values("fd"), ["0", "1", "2", "3", "4"], "{init}\n{ended}");
        let ended = run(&site, &all, &["env"]);
        let pid = if init == "--init=yes" { 2 } else { 1 };
        for wanted in ["LISTEN_FDS=2", "LISTEN_FDNAMES=key:log", &format!("LISTEN_PID={pid}")] {
            assert!(ended.text().lines().any(|line| line == wanted), "{init} {wanted}\n{ended}");
        }
    }
    // Without them there is no such variable.
    let plain = run(&site, &[], &["env"]);
    assert!(!plain.text().contains("LISTEN_"), "{plain}");
}

#[test]
fn a_file_of_roots_alone_can_be_read_and_not_written() {
    let mut site = a_site!();
    make_directory(&site.template().join("proc"), 0o755);
    site.settle();
    let beside = Beside::new(&site);
    let key = open(&beside.file("key", "for root alone\n", 0o600), "key", "ro");
    let ended = run(&site, &[&key], &["try", "read_fd", "3"]);
    assert_eq!(ended.value("content"), "for root alone", "{ended}");
    let ended = run(&site, &[&key], &["try", "write_fd", "3"]);
    assert!(ended.value("write_fd").starts_with("errno 9 "), "{ended}");
    // A second time by a path: Landlock knows none that leads there, whatever the mode.
    let log = open(&beside.file("log", "for all\n", 0o666), "log", "append");
    for (option, attempt) in [(&key, "open"), (&log, "open"), (&log, "write")] {
        let ended = run(&site, &[option, "--proc"], &["try", attempt, "/proc/self/fd/3"]);
        assert!(ended.value(attempt).starts_with("errno 13 "), "{option} {attempt}\n{ended}");
    }
}

#[test]
fn each_sandbox_of_serve_reads_from_the_start_and_sees_a_new_file_at_the_path() {
    let site = a_site!();
    let beside = Beside::new(&site);
    let path = beside.file("key", "one\n", 0o600);
    let serving = Serve::probe(&site, &["try", "read_fd", "3"])
        .options(&[&open(&path, "key", "ro"), "--warm=2"])
        .start();
    let answer = || String::from_utf8(serving.ask(b"")).unwrap();
    for _ in 0..6 {
        assert!(answer().contains("content one"));
    }
    std::fs::rename(beside.file("new", "two\n", 0o600), &path).unwrap();
    // Those that were parked have the old one.
    let new = (0..40).any(|_| answer().contains("content two"));
    assert!(new, "no sandbox sees the new file");
    assert_eq!(serving.terminate().0, 0);
}

#[test]
fn what_is_appended_stays_and_nothing_else_can_be_done_to_the_file_by_its_path() {
    let site = a_site!();
    let beside = Beside::new(&site);
    let log = beside.file("log", "first\n", 0o600);
    give_to(&log, 4242);
    let option = open(&log, "log", "append");
    let ended = run(&site, &[&option], &["try", "write_fd", "3"]);
    assert_eq!(ended.value("write_fd"), "ok 21", "{ended}");
    let serving = Serve::probe(&site, &["try", "write_fd", "3"]).options(&[&option]).start();
    assert!(String::from_utf8(serving.ask(b"")).unwrap().contains("ok 21"));
    assert_eq!(serving.terminate().0, 0);
    let line = "written by the probe\n";
    assert_eq!(std::fs::read_to_string(&log).unwrap(), format!("first\n{line}{line}"));
    assert_eq!(std::fs::metadata(&log).unwrap().uid(), 4242);
    let ended = run(&site, &[&option], &["try", "read_fd", "3"]);
    assert!(ended.value("read_fd").starts_with("errno 9 "), "{ended}");
}

#[test]
fn a_socket_is_a_fresh_connection_for_each_sandbox() {
    let site = a_site!();
    let beside = Beside::new(&site);
    let daemon = daemon(&beside.0.join("socket"), 4);
    let option = open(&beside.0.join("socket"), "peer", "connect");
    // One at the start would be one too many: what is wrong with a socket is known by connecting.
    let ended = run(&site, &[&option], &["try", "ask_fd", "3"]);
    assert_eq!(ended.value("content"), "1 hello", "{ended}");
    let serving = Serve::probe(&site, &["try", "ask_fd", "3"]).options(&[&option, "--park=none"]).start();
    for number in 2..=4 {
        let answer = String::from_utf8(serving.ask(b"")).unwrap();
        assert!(answer.contains(&format!("content {number} hello")), "{answer}");
    }
    assert_eq!(serving.terminate().0, 0);
    daemon.join().unwrap();
}

#[test]
fn a_socket_of_datagrams_is_connected_as_well() {
    let site = a_site!();
    let beside = Beside::new(&site);
    let path = beside.0.join("log");
    let daemon = UnixDatagram::bind(&path).unwrap();
    let ended = run(&site, &[&open(&path, "log", "connect")], &["try", "write_fd", "3"]);
    assert_eq!(ended.value("write_fd"), "ok 21", "{ended}");
    let mut buffer = [0; 64];
    assert_eq!(daemon.recv(&mut buffer).unwrap(), 21);
}

#[test]
fn a_socket_cannot_be_turned_elsewhere_nor_descriptors_passed_by_it() {
    let site = a_site!();
    let beside = Beside::new(&site);
    let daemon = daemon(&beside.0.join("socket"), 4);
    let option = open(&beside.0.join("socket"), "peer", "connect");
    for attempt in ["connect_unspec_fd", "pass_fd"] {
        let ended = run(&site, &[&option], &["try", attempt, "3"]);
        ended.expect(137, "denied");
    }
    // Those ask who is at the other end, and end the handler's own side.
    for attempt in ["getpeername_fd", "shutdown_fd"] {
        let ended = run(&site, &[&option], &["try", attempt, "3"]);
        ended.expect(0, "exited");
        assert_eq!(ended.value(attempt), "ok 0", "{ended}");
    }
    daemon.join().unwrap();
}

#[test]
fn a_socket_that_nobody_answers_at_refuses_the_connection_and_serve_goes_on() {
    let site = a_site!();
    let beside = Beside::new(&site);
    let path = beside.0.join("socket");
    drop(UnixListener::bind(&path).unwrap());
    let option = open(&path, "peer", "connect");
    let ended = run(&site, &[&option], &["echo"]);
    ended.expect(125, "refused");
    assert_eq!(ended.record["step"].as_str(), Some("open"), "{ended}");
    assert!(ended.err.contains("ECONNREFUSED") && ended.err.contains("socket"), "{ended}");
    let options = [option.as_str(), "--park=none", "--on-refusal", "later\\n"];
    let serving = Serve::probe(&site, &["try", "ask_fd", "3"]).options(&options).start();
    assert_eq!(serving.ask(b""), b"later\n");
    // The daemon is back, by a new socket.
    std::fs::remove_file(&path).unwrap();
    let daemon = daemon(&beside.0.join("socket"), 1);
    assert!(String::from_utf8(serving.ask(b"")).unwrap().contains("content 1 hello"));
    assert_eq!(serving.terminate().0, 0);
    daemon.join().unwrap();
}

/// A lease makes who opens the file wait for its holder, for 45 s (/proc/sys/fs/lease-break-time).
#[test]
fn an_owner_who_holds_a_lease_on_the_file_makes_nobody_wait() {
    let site = a_site!();
    let beside = Beside::new(&site);
    let path = beside.file("file", "content", 0o644);
    let handed = open(&path, "file", "ro");
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    sys::take_lease(file.as_fd()).unwrap();
    let serving = Serve::probe(&site, &["echo"]).options(&[&handed, "--park", "none"]).start();
    let began = Instant::now();
    assert_eq!(serving.ask(b"in vain\n"), b"");
    assert!(began.elapsed() < PATIENCE, "it was waited for");
    drop(file);
    assert_eq!(serving.ask(b"after\n"), b"after\n");
    let (status, log) = serving.terminate();
    assert_eq!(status, 0, "{log}");
    assert!(log.contains("EBUSY") && log.contains("lease"), "{log}");
}

#[test]
fn a_path_that_others_can_change_is_refused_also_when_it_becomes_one() {
    let site = a_site!();
    let beside = Beside::new(&site);
    let directory = beside.0.join("theirs");
    make_directory(&directory, 0o755);
    let file = directory.join("file");
    write(&file, b"content\n", 0o644);
    let option = open(&file, "file", "ro");
    let serving = Serve::probe(&site, &["try", "read_fd", "3"]).options(&[&option, "--park=none"]).start();
    assert!(String::from_utf8(serving.ask(b"")).unwrap().contains("content content"));
    set_mode(&directory, 0o777);
    assert_eq!(serving.ask(b""), b"");
    assert!(serving.await_log(&["EPERM", "open for the handler"]).contains("hint"));
    assert_eq!(serving.terminate().0, 0);
    let ended = run(&site, &[&option], &["echo"]);
    ended.expect(125, "refused");
    assert!(ended.err.contains("writable by everyone"), "{ended}");
    // A link of somebody else's, in a place that is safe.
    let link = beside.0.join("link");
    symlink(beside.file("real", "x", 0o644), &link).unwrap();
    let there = run(&site, &[&open(&link, "file", "ro")], &["echo"]);
    there.expect(0, "exited");
    std::os::unix::fs::lchown(&link, Some(4242), Some(4242)).unwrap();
    run(&site, &[&open(&link, "file", "ro")], &["echo"]).expect(125, "refused");
}

#[test]
fn mistakes_are_said_in_one_line() {
    let site = a_site!();
    let beside = Beside::new(&site);
    let file = beside.file("file", "", 0o644);
    let directory = beside.0.clone();
    for (option, named) in [
        (open(&file, "a", "rw"), "use PATH:NAME:ro"),
        (open(&file, "a b", "ro"), "invalid descriptor name"),
        (open(&directory, "a", "ro"), "not a regular file"),
        (open(Path::new("/dev/null"), "a", "append"), "not a regular file"),
        (open(&file, "a", "connect"), "not a socket"),
    ] {
        run(&site, &[&option], &["echo"]).is_usage_error(named);
    }
    let many: Vec<String> = (0..17).map(|n| open(&file, &format!("n{n}"), "ro")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    run(&site, &many, &["echo"]).is_usage_error("16 descriptors");
    run(&site, &many[..16], &["echo"]).expect(0, "exited");
    let missing = run(&site, &[&open(&beside.0.join("none"), "a", "ro")], &["echo"]);
    missing.expect(125, "refused");
    assert!(missing.err.contains("does not exist"), "{missing}");
}

/// Linux 7.2 opens a descriptor again without any path (O_EMPTYPATH). Landlock looks at where the file is,
/// and no rule covers that; a socket cannot be opened. Before it the path is empty.
#[test]
fn no_descriptor_can_be_opened_again_with_other_rights() {
    let site = a_site!();
    let beside = Beside::new(&site);
    // The modes would let everybody.
    let (key, log) = (beside.file("key", "for all\n", 0o666), beside.file("log", "for all\n", 0o666));
    let (key, log) = (open(&key, "key", "ro"), open(&log, "log", "append"));
    for profile in ["static", "interpreter", "tree"] {
        for snapshot in ["readonly", "overlay"] {
            for attempt in ["reopen_r", "reopen_w", "reopen_rw"] {
                for number in ["0", "1", "3", "4"] {
                    let options = [&key, &log, "--profile", profile, "--snapshot", snapshot];
                    let ended = run(&site, &options, &["try", attempt, number]);
                    let answer = ended.value(attempt);
                    assert!(answer.starts_with("errno "), "{profile} {snapshot} {number}\n{ended}");
                }
            }
        }
    }
}
