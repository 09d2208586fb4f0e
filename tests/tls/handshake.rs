//! Handshakes that succeed, fail, stall, and what they cost.

use super::certificates::{Authority, NAME, options};
use super::client::{TlsClient, settings};
use common::serve::{Serve, Serving};
use common::{Client, Site, a_site, process};
use std::process::{Command, Stdio};

fn start<'s>(site: &'s Site, authority: &Authority, more: &[&str]) -> Serving<'s> {
    let pair = super::certificates::Pair {
        certificate: authority.path(&format!("{NAME}.pem")),
        key: authority.path(&format!("{NAME}.key")),
    };
    let options = options(&pair);
    let options: Vec<&str> = options.iter().map(String::as_str).chain(more.iter().copied()).collect();
    Serve::probe(site, &["echo"]).options(&options).start()
}

fn authority(site: &mut Site) -> Authority {
    let authority = Authority::new(site, "ca");
    authority.sign(site, NAME);
    authority
}

#[track_caller]
fn ends_well(serving: Serving<'_>) -> String {
    let (status, log) = serving.terminate();
    assert_eq!(status, 0, "{log}");
    log
}

/// What openssl(1) says, with these words.
fn s_client(serving: &Serving<'_>, words: &[&str]) -> String {
    let done = Command::new(common::program("openssl").expect("openssl"))
        .args(["s_client", "-connect", &serving.address.to_string(), "-servername", NAME])
        .args(words)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned()
}

#[test]
fn openssl_verifies_the_certificate_and_gets_tls_13() {
    let mut site = a_site!();
    let authority = authority(&mut site);
    let serving = start(&site, &authority, &[]);
    let ca = authority.certificate();
    let said = s_client(&serving, &["-CAfile", ca.to_str().unwrap(), "-verify_return_error"]);
    assert!(said.contains("Verify return code: 0 (ok)") && said.contains("New, TLSv1.3"), "{said}");
    ends_well(serving);
}

#[test]
fn curl_gets_a_gopher_page() {
    let mut site = a_site!();
    let authority = authority(&mut site);
    let serving = start(&site, &authority, &[]);
    let done = Command::new(common::program("curl").expect("curl"))
        .args(["--silent", "--show-error", "--max-time", "20", "--cacert"])
        .arg(authority.certificate())
        .args(["--resolve", &format!("{NAME}:{}:127.0.0.1", serving.address.port())])
        .arg(format!("gophers://{NAME}:{}/1/page", serving.address.port()))
        .stdin(Stdio::null())
        .output();
    let said = done.map(|done| {
        format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr))
    });
    let said = said.unwrap();
    // The probe sends back what curl asks for, and ends when curl does: curl waits for the end of the answer.
    assert!(said.contains("/page"), "{said}");
    ends_well(serving);
}

#[test]
fn older_versions_are_refused_and_no_handler_is_used() {
    let mut site = a_site!();
    let authority = authority(&mut site);
    let serving = start(&site, &authority, &[]);
    for version in ["-tls1_2", "-tls1_1", "-tls1"] {
        let said = s_client(&serving, &[version, "-cipher", "DEFAULT@SECLEVEL=0"]);
        assert!(said.contains("Cipher is (NONE)"), "{version}: {said}");
        let record = serving.await_log(&["ended"]);
        assert!(record.contains("outcome=handshake") && record.contains("TLS 1.3"), "{version}: {record}");
    }
    ends_well(serving);
}

#[test]
fn bytes_that_are_no_tls_are_refused_and_no_handler_is_used() {
    let mut site = a_site!();
    let authority = authority(&mut site);
    let serving = start(&site, &authority, &[]);
    let refused = |bytes: &[u8], words: &str| {
        let answer = serving.ask(bytes);
        assert!(answer.is_empty() || answer[0] == 21, "{answer:?}");
        let record = serving.await_log(&["ended"]);
        assert!(record.contains("outcome=handshake") && record.contains(words), "{record}");
    };
    refused(b"/selector\r\n", "does not speak TLS\"");
    refused(b"GET / HTTP/1.0\r\n\r\n", "does not speak TLS\"");
    refused(b"\x16\x03\x01", "closed before");
    refused(b"", "closed before");
    ends_well(serving);
}

#[test]
fn stalled_handshakes_use_no_handler_and_end_in_time() {
    let mut site = a_site!();
    let authority = authority(&mut site);
    let serving = start(&site, &authority, &["--tls-handshake-time", "2s", "--max-per-source", "100"]);
    let mut stalled: Vec<Client> = (0..20).map(|_| serving.connect()).collect();
    for client in stalled.iter_mut().skip(10) {
        client.send(b"\x16\x03\x01\x02\x00\x01");
    }
    assert_eq!(TlsClient::connect(&serving, &authority).ask(b"x"), b"x");
    serving.await_log(&["ended", "outcome=exited"]);
    assert!(serving.served().is_empty(), "{:?}", serving.served());
    for _ in 0..20 {
        serving.await_log(&["ended", "outcome=handshake", "limit=tls-handshake-time"]);
    }
    ends_well(serving);
}

#[test]
fn places_of_handshakes_are_not_those_of_handlers() {
    let mut site = a_site!();
    let authority = authority(&mut site);
    let serving = start(&site, &authority, &["--max-connections", "2", "--max-per-source", "2"]);
    let mut open: Vec<TlsClient> = (0..2).map(|_| TlsClient::connect(&serving, &authority)).collect();
    for client in &mut open {
        client.send(b"x");
        std::io::Read::read_exact(&mut client.0, &mut [0]).unwrap();
    }
    // Both handlers' places are taken; a handshake has one, and is told within TLS that there is no handler.
    let mut third = TlsClient::connect(&serving, &authority);
    third.shake_hands().unwrap();
    let (answer, _) = third.rest();
    assert!(answer.is_empty());
    serving.await_log(&["rejected", "limit=max-"]);
    drop(open);
    ends_well(serving);
}

#[test]
fn gopher_is_the_protocol_if_a_client_offers_it() {
    let mut site = a_site!();
    let authority = authority(&mut site);
    let serving = start(&site, &authority, &[]);
    let offers: [(&[&str], Option<&[u8]>); 4] = [
        (&["gopher"], Some(b"gopher")),
        (&["h2", "gopher"], Some(b"gopher")),
        (&["h2", "http/1.1"], None),
        (&[], None),
    ];
    for (offered, answered) in offers {
        let mut settings = settings(&authority, None);
        settings.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let mut client = TlsClient::begin(&serving, settings);
        client.shake_hands().unwrap();
        assert_eq!(client.0.conn.alpn_protocol(), answered, "{offered:?}");
    }
    ends_well(serving);
}

#[test]
fn no_session_can_be_resumed_and_no_early_data_is_taken() {
    let mut site = a_site!();
    let authority = authority(&mut site);
    let serving = start(&site, &authority, &[]);
    let mut settings = settings(&authority, None);
    settings.enable_early_data = true;
    for _ in 0..3 {
        let mut client = TlsClient::begin(&serving, settings.clone());
        assert!(client.0.conn.early_data().is_none());
        client.shake_hands().unwrap();
        assert_eq!(client.0.conn.handshake_kind(), Some(rustls::HandshakeKind::Full));
        client.send(b"x");
        client.half_close();
        client.rest();
    }
    ends_well(serving);
}

/// A client that collects small writes would keep its request until its last message is acknowledged, which a
/// kernel that has nothing to send delays.
#[test]
fn the_server_acknowledges_the_handshake_by_a_message_at_once() {
    let mut site = a_site!();
    let authority = authority(&mut site);
    let serving = start(&site, &authority, &[]);
    let mut client = TlsClient::connect(&serving, &authority);
    client.shake_hands().unwrap();
    while client.0.conn.wants_write() {
        client.0.conn.write_tls(&mut client.0.sock).unwrap();
    }
    client.0.conn.read_tls(&mut client.0.sock).unwrap();
    client.0.conn.process_new_packets().unwrap();
    assert_eq!(client.0.conn.tls13_tickets_received(), 1);
    drop(client);
    ends_well(serving);
}

#[test]
fn a_proxys_header_comes_before_tls() {
    let mut site = a_site!();
    let authority = authority(&mut site);
    let serving = start(&site, &authority, &["--proxy-protocol", "127.0.0.1"]);
    let mut client = TlsClient::connect(&serving, &authority);
    let header = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 7070\r\n";
    std::io::Write::write_all(&mut client.0.sock, header).unwrap();
    assert_eq!(client.ask(b"hello"), b"hello");
    serving.await_log(&["ended", "peer=192.0.2.7:56324", "tls_version=TLSv1.3"]);
    ends_well(serving);
}

#[test]
fn the_relay_has_the_walls_of_a_handler() {
    let mut site = a_site!();
    let authority = authority(&mut site);
    let serving = start(&site, &authority, &[]);
    let mut client = TlsClient::connect(&serving, &authority);
    client.send(b"x");
    std::io::Read::read_exact(&mut client.0, &mut [0]).unwrap();
    let programs = ["/tls-relay", "/signer"];
    let found = |program: &str| {
        let is_it = |pid: &u32| process::arguments(*pid).first().is_some_and(|word| word == program);
        let mut all = process::all().into_iter().filter(is_it);
        all.find(|pid| process::descends(*pid, serving.supervisor()))
    };
    let mut uids = Vec::new();
    for program in programs {
        let pid = found(program).unwrap_or_else(|| panic!("no {program}"));
        let status = process::status(pid);
        let of = |name: &str| status.get(name).cloned().unwrap_or_default();
        assert_eq!((of("CapEff"), of("CapBnd")), ("0".repeat(16), "0".repeat(16)), "{program}");
        assert_eq!((of("NoNewPrivs"), of("Seccomp")), ("1".into(), "2".into()), "{program}");
        assert!(of("Seccomp_filters").parse::<u32>().unwrap() >= 2, "{program}");
        uids.push(of("Uid"));
        let own = process::namespace(std::process::id(), "net");
        assert!(
            process::namespace(pid, "net") != own
                && process::namespace(pid, "mnt") != process::namespace(std::process::id(), "mnt")
        );
    }
    assert_ne!(uids[0], uids[1]);
    drop(client);
    ends_well(serving);
}
