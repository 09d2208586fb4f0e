//! Who is served when many come: limits by source and in time, and what silence costs.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod common;

use common::serve::{Serve, Serving};
use common::{Client, a_site};

#[track_caller]
fn ends_well(serving: Serving<'_>) {
    let (status, log) = serving.terminate();
    assert_eq!(status, 0, "{log}");
}

#[test]
fn a_source_that_comes_too_often_is_rejected_and_another_is_not() {
    let site = a_site!();
    let options = ["--rate", "3/10min", "--over-limit", "slower\\r\\n"];
    let serving = Serve::probe(&site, &["echo"]).options(&options).start();
    for _ in 0..3 {
        assert_eq!(serving.ask(b"x\n"), b"x\n");
    }
    for _ in 0..20 {
        assert_eq!(serving.ask(b"x\n"), b"slower\r\n");
    }
    let mut other = serving.connect_from("127.0.0.2");
    other.send(b"y\n");
    other.half_close();
    assert_eq!(other.rest(), b"y\n");
    let (status, log) = serving.terminate();
    assert_eq!(status, 0, "{log}");
    // Counted, and said at a bounded rate.
    assert!(log.contains("rejected service=- peer=127.0.0.1:"), "{log}");
    assert!(log.contains("limit=rate"), "{log}");
    assert!(log.matches("rejected").count() < 20, "{log}");
}

#[test]
fn a_rate_comes_back_with_time() {
    let site = a_site!();
    let options = ["--rate", "1/500ms", "--over-limit", "slower\\n"];
    let serving = Serve::probe(&site, &["echo"]).options(&options).start();
    assert_eq!(serving.ask(b"x\n"), b"x\n");
    let mut rejected = 0;
    while serving.ask(b"x\n") != b"x\n" {
        rejected += 1;
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(rejected < 1000, "it never came back");
    }
    ends_well(serving);
}

fn flood(serving: &Serving<'_>) {
    let silent: Vec<Client> = (0..200).map(|_| serving.connect()).collect();
    for _ in 0..5 {
        let mut other = serving.connect_from("127.0.0.2");
        other.send(b"hello\n");
        other.half_close();
        assert_eq!(other.rest(), b"hello\n");
    }
    drop(silent);
}

#[test]
fn two_hundred_silent_connections_of_one_address_keep_no_other_from_its_answer() {
    let site = a_site!();
    for serve in [Serve::probe(&site, &["echo"]), Serve::probe(&site, &["echo"]).dual_stack()] {
        let serving = serve.start();
        flood(&serving);
        ends_well(serving);
    }
}

#[test]
fn ipv4_peers_of_a_dual_stack_listener_are_sources_of_their_own() {
    let site = a_site!();
    let options = ["--max-per-source", "1", "--over-limit", "full\\n"];
    let serving = Serve::probe(&site, &["sleep"]).dual_stack().options(&options).start();
    // One /64 holds all mapped addresses: counted as IPv6, the second would be over the limit.
    let (mut one, mut two) = (serving.connect(), serving.connect_from("127.0.0.2"));
    assert_eq!((one.line().as_str(), two.line().as_str()), ("ready", "ready"));
    assert_eq!(serving.connect_from("127.0.0.2").line(), "full");
    drop((one, two));
    ends_well(serving);
}
