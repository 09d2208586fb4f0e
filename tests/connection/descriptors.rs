//! The descriptors where the connection is: what a handler puts there, and what is there before one comes.

use common::serve::{Serve, Serving};
use common::{Client, a_site, process};
use std::time::Duration;

/// The number of the probe's files that the supervisor holds.
fn held(serving: &Serving<'_>) -> usize {
    process::descriptors(serving.supervisor()).values().filter(|name| name.contains("exchanged")).count()
}

/// With a stub it was borrowed as the connection, never given back, and its maker killed: one `exec <file` of
/// a script.
#[test]
fn a_file_in_the_place_of_the_connection_is_left_alone() {
    let site = a_site!();
    for init in ["--init=yes", "--init=no"] {
        let serving = Serve::probe(&site, &["try", "exchange"]).options(&[init]).start();
        let mut client = serving.connect();
        assert_eq!(client.line(), "exchanged");
        // Bytes are looked at once a second.
        std::thread::sleep(Duration::from_millis(2500));
        assert_eq!(held(&serving), 0, "{init}");
        client.send(b"x");
        assert_eq!(client.line(), "there", "{init}");
        drop(client);
        let (status, log) = serving.terminate();
        assert_eq!(status, 0, "{log}");
    }
}

#[test]
fn what_is_exchanged_while_it_is_borrowed_is_held_no_longer_than_its_sandbox() {
    let site = a_site!();
    for init in ["--init=yes", "--init=no"] {
        // Looked at every 100 ms.
        let options = [init, "--idle-time", "400ms"];
        let serving = Serve::probe(&site, &["try", "alternate"]).options(&options).start();
        for _ in 0..4 {
            let mut clients: Vec<Client> = (0..8).map(|_| serving.connect()).collect();
            for client in &mut clients {
                assert!(client.rest().starts_with(b"exchanged\n"), "{init}");
            }
        }
        process::until(|| (held(&serving) == 0).then_some(()));
        let (status, log) = serving.terminate();
        assert_eq!(status, 0, "{log}");
    }
}

/// The flags of an open file are its own: had sandboxes one and the same, each could read there what another
/// has set.
#[test]
fn what_is_there_before_a_connection_is_no_other_sandboxs() {
    let site = a_site!();
    let options = ["--park", "ready", "--warm", "2"];
    let serving = Serve::probe(&site, &["try", "mark"]).options(&options).start();
    for _ in 0..6 {
        let answer = String::from_utf8(serving.ask(b"")).unwrap();
        assert!(answer.contains("mark ok 0"), "{answer}");
    }
    let (status, log) = serving.terminate();
    assert_eq!(status, 0, "{log}");
    assert!(!log.contains("cannot be parked"), "{log}");
}
