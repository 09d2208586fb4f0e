//! Admission when many clients come: limits by source and in time, and the cost of silence.

use common::serve::{Serve, Serving};
use common::{Client, a_site, process};
use std::time::{Duration, Instant};

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
        std::thread::sleep(Duration::from_millis(20));
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

/// Six of eight places are whoever's; three sources with two connections each have them all.
#[test]
fn a_newcomer_gets_a_reserved_place_and_the_oldest_that_sent_nothing_loses_its_own() {
    let site = a_site!();
    for more in [&[][..], &["--park", "none"], &["--wait-for-data", "1min"]] {
        let options = ["--max-connections", "8", "--max-per-source", "4", "--over-limit", "full\\n"];
        let serving = Serve::probe(&site, &["echo"]).options(&options).options(more).start();
        let mut talker = serving.connect_from("127.0.0.2");
        talker.send(b"first\n");
        assert_eq!(talker.line(), "first");
        let mut silent: Vec<Client> =
            ["2", "3", "3", "4", "4"].iter().map(|n| serving.connect_from(&format!("127.0.0.{n}"))).collect();
        process::until(|| (serving.live() == 6).then_some(()));
        // More of the same gets nothing of what is reserved.
        assert_eq!(serving.connect_from("127.0.0.4").line(), "full", "{more:?}");
        let mut newcomer = serving.connect_from("127.0.0.5");
        newcomer.send(b"new\n");
        assert_eq!(newcomer.line(), "new", "{more:?}");
        let line = serving.await_log(&["ended", "limit=max-connections", "peer=127.0.0.2:"]);
        assert!(line.contains("outcome=idle status=124"), "{line}");
        assert_eq!(silent.remove(0).rest(), b"");
        // Who has said something stays, and so do the younger ones.
        talker.send(b"again\n");
        assert_eq!(talker.line(), "again");
        silent[0].send(b"late\n");
        assert_eq!(silent[0].line(), "late");
        drop((talker, newcomer, silent));
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

/// The one parked handler there is.
fn parked(serving: &Serving<'_>) -> u32 {
    process::until(|| serving.handlers().first().copied())
}

#[test]
fn a_silent_connection_costs_no_sandbox_and_the_log_says_why_it_ended() {
    let site = a_site!();
    let options = ["--wait-for-data", "300ms", "--warm", "1"];
    for park in ["entry", "before-exec", "none"] {
        let serving = Serve::probe(&site, &["echo"]).options(&options).options(&["--park", park]).start();
        let before = if park == "entry" { parked(&serving) } else { 0 };
        for _ in 0..2 {
            let mut silent = serving.connect();
            assert_eq!(silent.rest(), b"");
            let line = serving.await_log(&["ended", "limit=wait-for-data"]);
            assert!(line.contains("pid=0") && line.contains("outcome=idle status=124"), "{line}");
        }
        // A close without a byte is no request either.
        serving.connect().half_close();
        serving.await_log(&["ended", "limit=wait-for-data"]);
        if park == "entry" {
            assert_eq!(parked(&serving), before, "a sandbox was spent");
        }
        assert_eq!(serving.ask(b"now\n"), b"now\n");
        ends_well(serving);
    }
}

#[test]
fn what_comes_late_comes_whole() {
    let site = a_site!();
    let serving = Serve::probe(&site, &["echo"]).options(&["--wait-for-data", "20s"]).start();
    let mut clients: Vec<Client> = (0..5).map(|_| serving.connect()).collect();
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(serving.served(), [0_u32; 0], "spent on a silent connection");
    for (n, client) in clients.iter_mut().enumerate() {
        let text = format!("{n}{}", "x".repeat(100_000)).into_bytes();
        client.send(&text[..1]);
        std::thread::sleep(Duration::from_millis(10));
        let mut other = Client::Tcp(match client {
            Client::Tcp(stream) => stream.try_clone().unwrap(),
            Client::Unix(_) | Client::Pipes { .. } => unreachable!("TCP was asked for"),
        });
        let rest = text[1..].to_vec();
        let sender = std::thread::spawn(move || {
            other.send(&rest);
            other.half_close();
        });
        assert_eq!(client.rest(), text);
        sender.join().unwrap();
    }
    ends_well(serving);
}

#[test]
fn wall_time_holds_for_a_connection_that_is_waited_for() {
    let site = a_site!();
    let options = ["--wait-for-data", "infinity", "--wall-time", "300ms"];
    let serving = Serve::probe(&site, &["echo"]).options(&options).start();
    assert_eq!(serving.connect().rest(), b"");
    serving.await_log(&["outcome=wall", "limit=wall-time"]);
    ends_well(serving);
}

/// The clock starts with the connection: whoever is slow to say something has used part of its time.
#[test]
fn wall_time_counts_from_the_connection_on_and_not_from_its_first_byte() {
    let site = a_site!();
    const WALL: Duration = Duration::from_secs(3);
    for park in ["entry", "before-exec", "none"] {
        let options = ["--wait-for-data", "infinity", "--wall-time", "3s", "--idle-time", "infinity"];
        let serving = Serve::probe(&site, &["spin"]).options(&options).options(&["--park", park]).start();
        let mut client = serving.connect();
        std::thread::sleep(WALL * 2 / 3);
        client.send(b"x");
        assert_eq!(client.rest(), b"ready\n");
        let line = serving.await_log(&["ended", "limit=wall-time"]);
        let field = |name: &str| -> u128 {
            let value = line.split_once(&format!(" {name}=")).expect("a field of the record").1;
            value.split(' ').next().unwrap().parse().unwrap()
        };
        // Counted from the first byte, the handler alone would have had all of it.
        assert!(field("run_us") < WALL.as_micros(), "{park}: {line}");
        assert!(field("wait_us") >= WALL.as_micros() / 2, "{park}: {line}");
        ends_well(serving);
    }
}

#[test]
fn sigterm_does_not_wait_for_who_says_nothing() {
    let site = a_site!();
    let options = ["--wait-for-data", "1min", "--drain-time", "1min", "--on-refusal", "gone\\n"];
    let serving = Serve::probe(&site, &["echo"]).options(&options).start();
    let mut silent = serving.connect();
    // By its answer the next one shows that the silent one was accepted.
    assert_eq!(serving.ask(b"x\n"), b"x\n");
    let started = Instant::now();
    serving.signal(libc::SIGTERM);
    assert_eq!(silent.rest(), b"gone\n");
    drop(silent);
    let (status, log) = serving.end();
    assert_eq!(status, 0, "{log}");
    assert!(started.elapsed() < Duration::from_secs(30), "it waited for the drain time");
}

#[test]
fn silent_connections_that_are_waited_for_keep_no_other_from_its_answer() {
    let site = a_site!();
    let options = ["--wait-for-data", "1min"];
    let serving = Serve::probe(&site, &["echo"]).options(&options).start();
    flood(&serving);
    ends_well(serving);
}
