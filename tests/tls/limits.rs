//! Limits of a connection that has two sandboxes, of which either may end first.

use super::certificates::{Authority, NAME, options};
use super::client::{End, TlsClient, settings};
use common::serve::{Serve, Serving};
use common::{Client, Site, a_site, process};
use rustls::{ClientConnection, StreamOwned};
use std::io::Read;
use std::os::fd::AsFd;
use std::time::Duration;

fn start<'s>(site: &'s Site, authority: &Authority, words: &[&str], more: &[&str]) -> Serving<'s> {
    let pair = super::certificates::Pair {
        certificate: authority.path(&format!("{NAME}.pem")),
        key: authority.path(&format!("{NAME}.key")),
    };
    let options = options(&pair);
    let options: Vec<&str> = options.iter().map(String::as_str).chain(more.iter().copied()).collect();
    Serve::probe(site, words).options(&options).start()
}

fn authority(site: &mut Site) -> Authority {
    let authority = Authority::new(site, "ca");
    authority.sign(site, NAME);
    authority
}

/// A client that has had the first byte of its answer, and has room for few more.
fn slow_client(serving: &Serving<'_>, authority: &Authority) -> TlsClient {
    let client = TlsClient::connect(serving, authority);
    let StreamOwned { conn, sock } = client.0;
    nix::sys::socket::setsockopt(&sock.as_fd(), nix::sys::socket::sockopt::RcvBuf, &2048).unwrap();
    let mut client = TlsClient(StreamOwned::<ClientConnection, _>::new(conn, sock));
    client.send(b"\n");
    client.0.read_exact(&mut [0]).unwrap();
    client
}

/// Nobody counts a relay whose handler has ended, but its place: one client could have any number of them.
#[test]
fn a_client_that_does_not_read_its_answer_keeps_its_place_after_the_handler_has_ended() {
    let mut site = a_site!();
    let authority = authority(&mut site);
    let more = ["--max-per-source", "2"];
    let serving = start(&site, &authority, &["big", "400000"], &more);
    let slow: Vec<TlsClient> = (0..2).map(|_| slow_client(&serving, &authority)).collect();
    process::until(|| serving.served().is_empty().then_some(()));
    let mut third = TlsClient::begin(&serving, settings(&authority, None));
    third.shake_hands().unwrap();
    let (answer, _) = third.rest();
    assert!(answer.is_empty(), "{} bytes for a third of two", answer.len());
    serving.await_log(&["rejected", "limit=max-per-source"]);
    drop(slow);
    for _ in 0..2 {
        serving.await_log(&["ended", "outcome=exited"]);
    }
    // Their places are free again.
    assert!(!TlsClient::connect(&serving, &authority).ask(b"\n").is_empty());
    let (status, log) = serving.terminate();
    assert_eq!(status, 0, "{log}");
}

#[test]
fn a_time_limit_leaves_no_process_behind() {
    let mut site = a_site!();
    let authority = authority(&mut site);
    for option in ["--wall-time", "--idle-time"] {
        let serving = start(&site, &authority, &["sleep"], &[option, "1s"]);
        let mut clients: Vec<TlsClient> = (0..4).map(|_| TlsClient::connect(&serving, &authority)).collect();
        for client in &mut clients {
            client.shake_hands().unwrap();
        }
        for client in &mut clients {
            assert_eq!(client.rest(), (b"ready\n".to_vec(), End::Cut), "{option}");
        }
        for _ in 0..4 {
            serving.await_log(&["ended", "limit="]);
        }
        let supervisor = format!("Z {}", serving.supervisor());
        // State and parent, of those that have not gone meanwhile.
        let is_dead_child = |pid: u32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let words: Vec<&str> =
                stat.rsplit(')').next().unwrap_or_default().split_whitespace().take(2).collect();
            words.join(" ") == supervisor
        };
        process::until(|| (!process::all().into_iter().any(is_dead_child)).then_some(()));
        let (status, log) = serving.terminate();
        assert_eq!(status, 0, "{log}");
    }
}

/// In one burst all are too young to lose their places. That must not hold for as long as a handshake may take.
#[test]
fn handshakes_that_stall_in_one_burst_keep_nobody_away_until_their_time_is_over() {
    let mut site = a_site!();
    let authority = authority(&mut site);
    let more = ["--max-connections", "4", "--max-per-source", "2", "--tls-handshake-time", "10m"];
    let serving = start(
        &site,
        &authority,
        &["echo"],
        &[&more[..], &["--wall-time", "10m", "--idle-time", "10m"]].concat(),
    );
    let stalled: Vec<Client> = (2..6)
        .map(|n| {
            let mut client = serving.connect_from(&format!("127.0.0.{n}"));
            client.send(b"\x16\x03\x01\x02\x00\x01");
            client
        })
        .collect();
    let is_served = || {
        let mut client = TlsClient::connect(&serving, &authority);
        client.shake_hands().ok()?;
        Some(client)
    };
    assert_eq!(process::until(is_served).ask(b"x"), b"x");
    drop(stalled);
    let (status, log) = serving.terminate();
    assert_eq!(status, 0, "{log}");
}

#[test]
fn a_signer_that_answers_nobody_is_replaced_and_who_waits_gets_the_new_ones_signature() {
    let mut site = a_site!();
    let authority = authority(&mut site);
    let serving = start(&site, &authority, &["echo"], &["--tls-handshake-time", "1m", "--idle-time", "1m"]);
    assert_eq!(TlsClient::connect(&serving, &authority).ask(b"x"), b"x");
    let is_signer = |pid: &u32| process::arguments(*pid).first().is_some_and(|word| word == "/signer");
    let of_supervisor = |pid: &u32| process::descends(*pid, serving.supervisor());
    let signer = process::all().into_iter().filter(is_signer).find(of_supervisor).expect("a signer");
    common::sys::kill(signer, libc::SIGSTOP).unwrap();
    let mut first = TlsClient::connect(&serving, &authority);
    first.0.conn.write_tls(&mut first.0.sock).unwrap();
    // Each asks, and finds the signer silent for longer.
    let is_served = || {
        let mut other = TlsClient::connect(&serving, &authority);
        other.0.sock.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        other.shake_hands().ok()
    };
    process::until(is_served);
    assert_eq!(first.ask(b"first"), b"first");
    let (status, log) = serving.terminate();
    assert_eq!(status, 0, "{log}");
    assert!(log.contains("the signer of the TLS key ended"), "{log}");
}
