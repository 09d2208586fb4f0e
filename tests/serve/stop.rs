//! SIGTERM, once and again: who is let finish, who is told that there is no more input, and who is ended.

use common::serve::{Serve, Serving};
use common::{Client, a_site};
use std::time::{Duration, Instant};

const PARKS: [&str; 3] = ["entry", "before-exec", "none"];

/// Longer than any test waits: what ends earlier was not ended by it.
const NEVER: [&str; 6] = ["--drain-time", "1h", "--idle-time", "infinity", "--wall-time", "infinity"];

/// A connection whose handler runs: `sleep` says so, and then waits for its peer.
fn with_client(serving: &Serving<'_>) -> Client {
    let mut client = serving.connect();
    assert_eq!(client.line(), "ready");
    client
}

#[test]
fn after_sigterm_a_handler_that_waits_for_its_peer_sees_the_end_of_input() {
    let site = a_site!();
    for park in PARKS {
        let serving = Serve::probe(&site, &["sleep"]).options(&NEVER).options(&["--park", park]).start();
        let mut client = with_client(&serving);
        serving.signal(libc::SIGTERM);
        // The peer has sent nothing and closed nothing: the end comes from the supervisor, and the handler
        // ends by itself.
        assert_eq!(client.rest(), b"", "{park}");
        let (status, log) = serving.end();
        assert_eq!(status, 0, "{log}");
        assert!(log.contains("outcome=exited status=0"), "{park}: {log}");
    }
}

/// An accepted client has a moment for its request.
#[test]
fn after_sigterm_a_request_that_comes_at_once_is_answered() {
    let site = a_site!();
    for park in PARKS {
        let serving = Serve::probe(&site, &["sleep"]).options(&NEVER).options(&["--park", park]).start();
        let mut client = with_client(&serving);
        serving.signal(libc::SIGTERM);
        client.send(b"\n");
        assert_eq!(client.rest(), b"bye\n", "{park}");
        let (status, log) = serving.end();
        assert_eq!(status, 0, "{log}");
    }
}

#[test]
fn a_second_signal_ends_what_the_first_lets_finish() {
    let site = a_site!();
    let (term, int) = (libc::SIGTERM, libc::SIGINT);
    for (first, second) in [(term, term), (term, int), (int, term), (int, int)] {
        let serving = Serve::probe(&site, &["spin"]).options(&NEVER).start();
        let mut client = with_client(&serving);
        serving.signal(first);
        serving.await_log(&["stopping", &format!("signal={first}")]);
        serving.signal(second);
        assert_eq!(client.rest(), b"", "{first} {second}");
        let (status, log) = serving.end();
        assert_eq!(status, 0, "{log}");
        assert!(log.contains("outcome=signaled"), "{first} {second}: {log}");
        // As whose signal it counts: the first, which asked for the end.
        assert!(log.contains(&format!("signal={first}")), "{log}");
    }
}

#[test]
fn sighup_while_it_stops_neither_reloads_nor_ends_anything() {
    let site = a_site!();
    let serving = Serve::probe(&site, &["sleep"]).options(&NEVER).start();
    let mut client = with_client(&serving);
    serving.signal(libc::SIGTERM);
    serving.await_log(&["stopping"]);
    serving.signal(libc::SIGHUP);
    client.send(b"\n");
    assert_eq!(client.rest(), b"bye\n");
    let (status, log) = serving.end();
    assert_eq!(status, 0, "{log}");
    assert!(!log.contains("reloaded"), "{log}");
}

#[test]
fn the_drain_time_of_each_service_is_its_own() {
    let site = a_site!();
    let beside = common::site::Beside::new(&site);
    let file = |name: &str, drain: &str| {
        let (template, tag) = (site.template().display().to_string(), site.tag());
        let text = format!(
            "template = \"{template}\"\nhandler = [\"/bin/probe\", \"@{tag}\", \"spin\"]\ndrain_time = \"{drain}\"\n\
             wall_time = \"infinity\"\nidle_time = \"infinity\"\n"
        );
        beside.file(name, &text, 0o644)
    };
    let (short, long) = (file("short.toml", "300ms"), file("long.toml", "4s"));
    let serving = Serve::files(&site, &[&short, &long]).sockets(&["short", "long"]).start();
    let mut clients = [0, 1].map(|index| serving.connect_to(index));
    for client in &mut clients {
        assert_eq!(client.line(), "ready");
    }
    serving.signal(libc::SIGTERM);
    let line = serving.await_log(&["ended"]);
    assert!(line.contains("service=short") && line.contains("outcome=signaled"), "{line}");
    let line = serving.await_log(&["ended"]);
    assert!(line.contains("service=long") && line.contains("outcome=signaled"), "{line}");
    assert_eq!(serving.end().0, 0);
}

#[test]
fn run_ends_its_handler_at_the_first_signal_or_asks_it_and_ends_it_at_the_second() {
    let site = a_site!();
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let mut live = site.probe(&["spin"]).start();
        live.await_ready();
        live.signal(signal);
        let ended = live.end();
        assert_eq!((ended.status, ended.outcome()), (128 + signal, "signaled"), "{ended}");
        // A handler that does not mind the signal it is asked by: PID 1 of its namespace minds none without a
        // handler for it.
        let mut live = site.probe(&["spin"]).options(&["--kill-signal", "SIGUSR1"]).start();
        live.await_ready();
        live.signal(signal);
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(300) {
            assert!(common::process::exists(std::path::Path::new(&format!("/proc/{}", live.launcher()))));
            std::thread::sleep(Duration::from_millis(20));
        }
        live.signal(signal);
        let ended = live.end();
        assert_eq!((ended.status, ended.outcome()), (128 + signal, "signaled"), "{ended}");
    }
}
