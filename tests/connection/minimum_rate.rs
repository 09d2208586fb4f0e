//! Clients that take their answer slowly.

use common::serve::Serve;
use common::{Client, a_site, sys};
use std::time::{Duration, Instant};

/// Takes so many bytes ten times a second, until the end comes or there is no patience left; how many came.
fn sip(client: &mut Client, bytes: usize, patience: Duration) -> usize {
    let (mut buffer, mut all) = (vec![0; bytes], 0);
    let started = Instant::now();
    while started.elapsed() < patience {
        match client.read(&mut buffer) {
            0 => break,
            n => all += n,
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    all
}

#[test]
fn a_client_that_takes_too_little_is_ended_and_the_log_says_which_limit() {
    let site = a_site!();
    let serving =
        Serve::probe(&site, &["big", "10000000"]).options(&["--min-rate", "1M", "--idle-time", "5s"]).start();
    let mut client = serving.connect();
    sys::small_receive_buffer(client.fd()).unwrap();
    client.send(b"/\n");
    // Never idle, for longer than the rate is looked at over; what was on its way by then can still be read.
    let sipped = sip(&mut client, 1000, Duration::from_secs(7));
    assert!(sipped + client.rest().len() < 10_000_000);
    let line = serving.await_log(&["ended"]);
    assert!(line.contains("outcome=idle status=124") && line.contains("limit=min-rate"), "{line}");
    assert_eq!(serving.terminate().0, 0);
}

#[test]
fn a_slow_client_above_the_rate_gets_everything() {
    let site = a_site!();
    let serving =
        Serve::probe(&site, &["big", "7000000"]).options(&["--min-rate", "1K", "--idle-time", "5s"]).start();
    let mut client = serving.connect();
    sys::small_receive_buffer(client.fd()).unwrap();
    client.send(b"/\n");
    // Ten times a second, so that it takes longer than what the rate is looked at over.
    assert_eq!(sip(&mut client, 100_000, common::PATIENCE), 7_000_000);
    let line = serving.await_log(&["ended"]);
    assert!(line.contains("outcome=exited status=0"), "{line}");
    assert_eq!(serving.terminate().0, 0);
}

#[test]
fn a_handler_with_nothing_to_say_makes_no_slow_client() {
    let site = a_site!();
    let options = ["--min-rate", "1M", "--idle-time", "infinity"];
    let serving = Serve::probe(&site, &["sleep"]).options(&options).start();
    let mut client = serving.connect();
    assert_eq!(client.line(), "ready");
    std::thread::sleep(Duration::from_secs(7));
    client.send(b"\n");
    assert_eq!(client.rest(), b"bye\n");
    assert_eq!(serving.terminate().0, 0);
}
