//! The warm pool: sandboxes parked ahead, each used once, whatever the handler does first.

use common::inject::injector;
use common::serve::{Serve, Serving};
use common::site::Beside;
use common::{Client, a_site, process};
use std::collections::BTreeSet;

const PARKS: [&str; 4] = ["entry", "ready", "before-exec", "none"];

#[track_caller]
fn ends_well(serving: Serving<'_>) -> String {
    let (status, log) = serving.terminate();
    assert_eq!(status, 0, "{log}");
    log
}

/// Until the pool has been filled: its first sandboxes are parked, which their system call shows.
fn parked(serving: &Serving<'_>, at_least: usize) -> Vec<u32> {
    process::until(|| {
        let waiting: Vec<u32> = serving.handlers().into_iter().filter(|&pid| is_parked(pid)).collect();
        (waiting.len() >= at_least).then_some(waiting)
    })
}

fn is_parked(pid: u32) -> bool {
    let open = process::descriptors(pid);
    open.get(&0).is_some_and(|name| name == "/dev/null") && open.keys().copied().eq([0, 1, 2])
}

#[test]
fn every_way_of_parking_answers_many_connections() {
    let site = a_site!();
    for park in PARKS {
        let serving = Serve::probe(&site, &["echo"]).options(&["--park", park, "--warm", "2..4"]).start();
        for n in 0..12 {
            let line = format!("line {n}\n").into_bytes();
            assert_eq!(serving.ask(&line), line, "{park}");
        }
        ends_well(serving);
    }
}

#[test]
fn a_banner_written_before_anything_is_read_arrives() {
    let site = a_site!();
    for park in ["entry", "before-exec"] {
        let serving = Serve::probe(&site, &["banner"]).options(&["--park", park]).start();
        parked_or_nothing(&serving, park);
        let mut client = serving.connect();
        assert!(!client.line().is_empty(), "{park}");
        drop(client);
        ends_well(serving);
    }
}

fn parked_or_nothing(serving: &Serving<'_>, park: &str) {
    if park == "entry" {
        parked(serving, 1);
    }
}

#[test]
fn a_parked_handler_has_no_connection_and_is_as_sealed_as_a_running_one() {
    let site = a_site!();
    let serving = Serve::probe(&site, &["echo"]).options(&["--warm", "3"]).start();
    for handler in parked(&serving, 3) {
        let status = process::status(handler);
        assert_eq!(status["Seccomp"], "2");
        assert_eq!(status["NoNewPrivs"], "1");
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(status[set], "0000000000000000", "{set}");
        }
        assert_eq!(status["Groups"], "");
        assert!(!status["Uid"].split_whitespace().any(|id| id == "0"), "{}", status["Uid"]);
    }
    ends_well(serving);
}

#[test]
fn each_parked_sandbox_is_used_once() {
    let site = a_site!();
    let serving = Serve::probe(&site, &["see", "ids"]).options(&["--warm", "2..8"]).start();
    let mut uids = BTreeSet::new();
    for _ in 0..20 {
        let answer = String::from_utf8(serving.ask(b"")).unwrap();
        let uid = answer.lines().find(|line| line.starts_with("uid ")).expect("its uid").to_owned();
        assert!(uids.insert(uid.clone()), "{uid} twice");
    }
    ends_well(serving);
}

#[test]
fn the_pool_is_kept_at_its_size() {
    let site = a_site!();
    let serving = Serve::probe(&site, &["echo"]).options(&["--warm", "3"]).start();
    for _ in 0..5 {
        assert_eq!(serving.ask(b"x\n"), b"x\n");
        assert_eq!(parked(&serving, 3).len(), 3);
    }
    ends_well(serving);
}

#[test]
fn more_connections_than_are_parked_wait_and_are_served() {
    let site = a_site!();
    let serving = Serve::probe(&site, &["sleep"]).options(&["--warm", "1..2"]).start();
    let mut clients: Vec<Client> = (0..10).map(|_| serving.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.line(), "ready");
    }
    drop(clients);
    ends_well(serving);
}

#[test]
fn a_parked_sandbox_that_is_killed_is_replaced() {
    let site = a_site!();
    let serving = Serve::probe(&site, &["echo"]).options(&["--warm", "2"]).start();
    for _ in 0..3 {
        let victims = parked(&serving, 2);
        for &victim in &victims {
            process::kill(victim);
        }
        // Until it has run again to die, the kernel hands it a connection as if it lived.
        let lives = |&pid: &u32| {
            let status = process::read(pid, "status");
            status.contains("State:") && !status.contains("State:\tZ")
        };
        process::until(|| (!victims.iter().any(lives)).then_some(()));
        assert_eq!(serving.ask(b"x\n"), b"x\n");
    }
    ends_well(serving);
}

/// It dies while its descriptor is on the way: the kernel says ESRCH then, ENOENT later.
#[test]
fn who_is_handed_to_a_sandbox_that_just_dies_is_served_by_the_next() {
    const ADDFD: &str = "0x40182103";
    let site = a_site!();
    for (park, nth) in [("entry", 1), ("entry", 2), ("before-exec", 1), ("before-exec", 2)] {
        let rule = format!("role=launcher call=ioctl arg1={ADDFD} nth={nth} : return=-{}", libc::ESRCH);
        let (injector, report) = injector(&[rule], &[]);
        let serving =
            Serve::probe(&site, &["echo"]).options(&["--warm", "2", "--park", park]).under(injector).start();
        assert_eq!(serving.ask(b"x\n"), b"x\n", "{park}, descriptor {nth}");
        ends_well(serving);
        assert_eq!(report.read().fired(), 1);
    }
}

#[test]
fn a_handler_that_cannot_be_parked_after_exec_is_parked_before_it_and_that_is_said() {
    let site = a_site!();
    // It makes no call that `ready` waits for: it runs through to its end without a connection.
    let serving = Serve::probe(&site, &["exit", "7"]).options(&["--park", "ready"]).start();
    assert_eq!(serving.ask(b""), b"");
    let log = ends_well(serving);
    assert!(log.contains("cannot be parked after exec"), "{log}");
    assert!(log.contains("outcome=exited status=7"), "{log}");
}

#[test]
fn what_keeps_sandboxes_from_being_set_up_says_nothing_about_parking_the_handler() {
    let site = a_site!();
    let beside = Beside::new(&site);
    let path = beside.file("key", "a key\n", 0o600);
    let open = format!("--open={}:key:ro", path.display());
    let serving = Serve::probe(&site, &["env"]).options(&[&open, "--warm", "1"]).start();
    assert!(!serving.ask(b"").is_empty());
    std::fs::remove_file(&path).unwrap();
    // But for those whose sandboxes were made before; after some failures who comes waits for the
    // next attempt.
    let refused = (0..9).filter(|_| serving.ask(b"").is_empty()).count();
    assert!(refused > 5, "{refused}");
    beside.file("key", "a key\n", 0o600);
    let answered = || Some(serving.ask(b"")).filter(|answer| !answer.is_empty());
    let answer = String::from_utf8(process::until(answered)).unwrap();
    // Parked before exec it would have its peer there.
    assert!(answer.contains("PATH=") && !answer.contains("REMOTE_ADDR="), "{answer}");
    let log = ends_well(serving);
    assert!(log.contains("key: ENOENT") && !log.contains("cannot be parked"), "{log}");
}

#[test]
fn a_reload_tries_again_to_park_a_handler_after_exec() {
    let site = a_site!();
    let beside = Beside::new(&site);
    let text = |words: &str, park: &str| {
        let (template, tag) = (site.template(), site.tag());
        let handler = format!("[\"/bin/probe\", \"@{tag}\", {words}]");
        format!("template = \"{}\"\nhandler = {handler}\npark = \"{park}\"\n", template.display())
    };
    let file = beside.file("service.toml", &text("\"exit\", \"7\"", "ready"), 0o644);
    let serving = Serve::file(&site, &file).start();
    serving.await_log(&["cannot be parked after exec"]);
    beside.file("service.toml", &text("\"echo\"", "entry"), 0o644);
    serving.signal(libc::SIGHUP);
    serving.await_log(&["dayfly: reloaded"]);
    parked(&serving, 1);
    ends_well(serving);
}

#[test]
fn a_handler_that_hangs_before_it_can_be_parked_does_not_hang_the_service() {
    let site = a_site!();
    let serving = Serve::probe(&site, &["try", "socket_inet"]).options(&["--park", "ready"]).start();
    assert_eq!(serving.ask(b""), b"");
    let log = ends_well(serving);
    assert!(log.contains("denied=\"socket("), "{log}");
}

#[test]
fn parked_before_exec_the_peer_is_in_the_environment_and_after_it_is_not() {
    let site = a_site!();
    for (park, expected) in [("before-exec", true), ("none", true), ("entry", false)] {
        let serving = Serve::probe(&site, &["env"]).options(&["--park", park]).start();
        let answer = String::from_utf8(serving.ask(b"")).unwrap();
        assert_eq!(answer.contains("REMOTE_ADDR=127.0.0.1"), expected, "{park}: {answer}");
        ends_well(serving);
    }
}

#[test]
fn nothing_parked_is_left_when_the_supervisor_is_killed() {
    let site = a_site!();
    let serving = Serve::probe(&site, &["echo"]).options(&["--warm", "4"]).start();
    parked(&serving, 4);
    serving.murder();
}

#[test]
fn a_mount_point_that_is_missing_is_found_at_start() {
    let site = a_site!();
    let (status, log) = Serve::probe(&site, &["echo"]).options(&["--tmpfs", "/nowhere"]).start().end();
    assert_eq!(status, 1, "{log}");
    assert!(log.contains("cannot open the mount point /nowhere: ENOENT"), "{log}");
}

#[test]
fn a_mount_point_that_goes_refuses_the_connection_and_not_the_service() {
    let mut site = a_site!();
    let options = ["--tmpfs", "/empty", "--on-refusal", "sorry\\r\\n"];
    let serving = Serve::probe(&site, &["echo"]).options(&options).start();
    assert_eq!(serving.ask(b"x\n"), b"x\n");
    let point = site.template().join("empty");
    std::fs::remove_dir(&point).unwrap();
    // A sandbox that is parked by now still has it.
    let refused = (0..20).any(|_| serving.ask(b"x\n") == b"sorry\r\n");
    assert!(refused, "served without its mount");
    common::site::make_directory(&point, 0o755);
    let served = (0..100).any(|_| serving.ask(b"x\n") == b"x\n");
    assert!(served, "not served any more");
    serving.signal(libc::SIGTERM);
    let (status, log) = serving.end_beside();
    site.settle();
    site.check_nothing_left();
    assert_eq!(status, 0, "{log}");
    assert!(log.contains("cannot open the mount point /empty: ENOENT"), "{log}");
}
