//! Bytes that arrive at both ends, and the end of the stream.

use super::certificates::{Authority, NAME, options};
use super::client::{End, TlsClient};
use common::serve::{Serve, Serving};
use common::{Site, a_site};
use std::collections::BTreeMap;
use std::io::{Read, Write};

fn start<'s>(site: &'s Site, words: &[&str], options: &[String]) -> Serving<'s> {
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    Serve::probe(site, words).options(&options).start()
}

#[track_caller]
fn ends_well(serving: Serving<'_>) {
    let (status, log) = serving.terminate();
    assert_eq!(status, 0, "{log}");
}

#[test]
fn a_handler_that_knows_no_tls_answers_over_tls() {
    let mut site = a_site!();
    let authority = Authority::new(&mut site, "ca");
    let options = options(&authority.sign(&mut site, NAME));
    let serving = start(&site, &["echo"], &options);
    for _ in 0..5 {
        assert_eq!(TlsClient::connect(&serving, &authority).ask(b"hello"), b"hello");
    }
    let record = serving.await_log(&["ended"]);
    for word in ["outcome=exited", "tls_version=TLSv1.3", "tls_cipher=TLS_", "tls_server_name=gopher.example"]
    {
        assert!(record.contains(word), "{word}: {record}");
    }
    assert!(!record.contains("tls_cut"), "{record}");
    ends_well(serving);
}

#[test]
fn ten_megabytes_go_both_ways_byte_for_byte() {
    let mut site = a_site!();
    let authority = Authority::new(&mut site, "ca");
    let options = options(&authority.sign(&mut site, NAME));
    let serving = start(&site, &["echo"], &options);
    let all: Vec<u8> = (0..10_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut client = TlsClient::connect(&serving, &authority);
    client.shake_hands().unwrap();
    let mut answer = Vec::new();
    // Both directions at once, through one thread: a piece is read for each that is written.
    for piece in all.chunks(64 << 10) {
        client.send(piece);
        let mut back = vec![0; piece.len()];
        client.0.read_exact(&mut back).unwrap();
        answer.extend(back);
    }
    client.half_close();
    let (rest, end) = client.rest();
    assert!(rest.is_empty() && end == End::Clean);
    assert!(answer == all, "{} bytes came back", answer.len());
    ends_well(serving);
}

#[test]
fn a_client_that_has_said_all_gets_ten_megabytes_to_a_clean_end() {
    let mut site = a_site!();
    let authority = Authority::new(&mut site, "ca");
    let options = options(&authority.sign(&mut site, NAME));
    let size = (10 << 20).to_string();
    let serving = start(&site, &["big", &size], &options);
    let plain = Serve::probe(&site, &["big", &size]).start();
    let wanted = plain.ask(b"");
    assert!(wanted.len() >= 10 << 20);
    assert!(TlsClient::connect(&serving, &authority).ask(b"") == wanted);
    plain.signal(libc::SIGTERM);
    assert_eq!(plain.end_beside().0, 0);
    ends_well(serving);
}

#[test]
fn a_stream_that_ends_without_a_close_notify_is_noted_in_the_record() {
    let mut site = a_site!();
    let authority = Authority::new(&mut site, "ca");
    let options = options(&authority.sign(&mut site, NAME));
    let serving = start(&site, &["echo"], &options);
    let mut client = TlsClient::connect(&serving, &authority);
    client.send(b"half of a requ");
    client.cut();
    let (answer, end) = client.rest();
    assert_eq!((answer.as_slice(), end), (&b"half of a requ"[..], End::Clean));
    let record = serving.await_log(&["ended"]);
    assert!(record.contains("tls_cut=yes"), "{record}");
    ends_well(serving);
}

#[test]
fn a_handler_that_has_closed_does_not_wait_for_its_client() {
    let mut site = a_site!();
    let authority = Authority::new(&mut site, "ca");
    let options = options(&authority.sign(&mut site, NAME));
    let serving = start(&site, &["big", "1000"], &options);
    let mut client = TlsClient::connect(&serving, &authority);
    client.send(b"\n");
    let (answer, end) = client.rest();
    assert_eq!((answer.is_empty(), end), (false, End::Clean));
    serving.await_log(&["ended", "outcome=exited"]);
    ends_well(serving);
}

#[test]
fn a_client_may_change_its_keys_in_the_middle() {
    let mut site = a_site!();
    let authority = Authority::new(&mut site, "ca");
    let options = options(&authority.sign(&mut site, NAME));
    let serving = start(&site, &["echo"], &options);
    let mut client = TlsClient::connect(&serving, &authority);
    client.send(b"before ");
    client.0.conn.refresh_traffic_keys().unwrap();
    client.0.write_all(b"after").unwrap();
    client.half_close();
    assert_eq!(client.rest(), (b"before after".to_vec(), End::Clean));
    ends_well(serving);
}

#[test]
fn the_handler_learns_the_handshake_and_the_peer() {
    let mut site = a_site!();
    let authority = Authority::new(&mut site, "ca");
    let options = options(&authority.sign(&mut site, NAME));
    for park in ["before-exec", "none"] {
        let options = [&options[..], &["--park".to_owned(), park.to_owned()]].concat();
        let serving = start(&site, &["env"], &options);
        let client = TlsClient::connect(&serving, &authority);
        let port = client.0.sock.local_addr().unwrap().port().to_string();
        let text = String::from_utf8(client.ask(b"")).unwrap();
        let found: BTreeMap<_, _> = text.lines().filter_map(|line| line.split_once('=')).collect();
        let of = |name: &str| found.get(name).copied().unwrap_or("none");
        assert_eq!((of("REMOTE_ADDR"), of("REMOTE_PORT")), ("127.0.0.1", port.as_str()));
        assert_eq!(of("SERVER_PORT"), serving.address.port().to_string());
        assert_eq!((of("TLS_VERSION"), of("TLS_SERVER_NAME")), ("TLSv1.3", NAME));
        assert!(of("TLS_CIPHER").starts_with("TLS_"), "{text}");
        assert_eq!(of("TLS_CLIENT_HASH"), "none");
        ends_well(serving);
    }
}

#[test]
fn a_time_limit_resets_the_connection_and_ends_both_sandboxes() {
    let mut site = a_site!();
    let authority = Authority::new(&mut site, "ca");
    let options = options(&authority.sign(&mut site, NAME));
    for (option, outcome) in [("--wall-time", "outcome=wall"), ("--idle-time", "outcome=idle")] {
        let options = [&options[..], &[option.to_owned(), "1s".to_owned()]].concat();
        let serving = start(&site, &["sleep"], &options);
        let mut client = TlsClient::connect(&serving, &authority);
        client.shake_hands().unwrap();
        let (answer, end) = client.rest();
        assert_eq!((answer.as_slice(), end), (&b"ready\n"[..], End::Cut), "{option}");
        serving.await_log(&["ended", outcome]);
        ends_well(serving);
    }
}
