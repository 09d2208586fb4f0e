//! A client that says it has nothing more to send still gets the whole of a large answer.

use common::{Client, Wire, a_site, sys};
use std::time::Duration;

const SIZE: usize = 10_000_000;

/// The byte that the probe's `big` writes at each place.
#[allow(clippy::cast_possible_truncation, reason = "one byte of the product is what is meant")]
fn byte_at(place: u64) -> u8 {
    (place.wrapping_mul(2_654_435_761) >> 13) as u8
}

#[track_caller]
fn assert_whole(answer: &[u8]) {
    assert_eq!(answer.len(), SIZE, "the length of the answer");
    let wrong = (0..).zip(answer).find(|&(place, &byte)| byte != byte_at(place));
    assert_eq!(wrong, None, "the first wrong byte and its place");
}

#[test]
fn ten_megabytes_arrive_whole_after_a_half_close() {
    let site = a_site!();
    for wire in [Wire::Tcp, Wire::Unix, Wire::Pipes, Wire::Activated, Wire::Inetd] {
        if wire == Wire::Pipes {
            // shutdown(2) is for sockets; `big` says so with 2, after everything was written.
            let ended = site.probe(&["big", &SIZE.to_string()]).wire(wire).talk(b"/selector\r\n");
            ended.expect(2, "exited");
            assert_whole(&ended.out);
            continue;
        }
        let ended = site.probe(&["big", &SIZE.to_string()]).wire(wire).talk(b"/selector\r\n");
        ended.expect(0, "exited");
        assert_whole(&ended.out);
    }
}

#[test]
fn a_slow_reader_gets_all_of_it_too() {
    let site = a_site!();
    let options = ["--idle-time", "10s", "--wall-time", "50s"];
    let mut live = site.probe(&["big", &SIZE.to_string()]).options(&options).start();
    sys::small_receive_buffer(live.client.fd()).unwrap();
    live.client.send(b"/selector\r\n");
    live.client.half_close();
    let mut answer = Vec::new();
    let mut buffer = [0; 3000];
    let mut pauses = 0;
    loop {
        let n = live.client.read(&mut buffer);
        if n == 0 {
            break;
        }
        answer.extend_from_slice(&buffer[..n]);
        // Slowness is the subject: the sender has to wait for us again and again.
        if answer.len() / 500_000 > pauses {
            pauses += 1;
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    assert_whole(&answer);
    live.end().expect(0, "exited");
}

#[test]
fn a_client_that_goes_away_ends_the_handler() {
    let site = a_site!();
    let mut live = site.probe(&["big", "100000000"]).options(&["--wall-time", "20s"]).start();
    live.client.send(b"/selector\r\n");
    let mut buffer = [0; 1000];
    live.client.read(&mut buffer);
    let (other, _) = Client::tcp();
    drop(std::mem::replace(&mut live.client, other));
    // The write fails; as PID 1 the handler lives through the SIGPIPE and says so with its own status.
    assert_eq!(live.wait(), 1);
    site.check_nothing_left();
}
