//! Clients that others have written, and what they agree on with a relay.

use super::certificates::{Authority, NAME, options};
use super::client::{TlsClient, settings};
use common::serve::{Serve, Serving};
use common::{PATIENCE, Site, a_site, need, process};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn start<'s>(site: &'s mut Site, words: &[&str], more: &[&str]) -> (Serving<'s>, Authority) {
    let authority = Authority::new(site, "ca");
    let pair = authority.sign(site, NAME);
    let options = options(&pair);
    let options: Vec<&str> = options.iter().map(String::as_str).chain(more.iter().copied()).collect();
    (Serve::probe(site, words).options(&options).start(), authority)
}

#[track_caller]
fn ends_well(serving: Serving<'_>) {
    let (status, log) = serving.terminate();
    assert_eq!(status, 0, "{log}");
}

/// What a program says that gets this on its input, and then the end.
fn said(command: &mut Command, input: &[u8]) -> String {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let done = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned()
}

#[test]
fn gnutls_verifies_the_certificate_and_gets_the_answer_after_its_half_close() {
    let program = need!("gnutls-cli");
    let mut site = a_site!();
    let (serving, authority) = start(&mut site, &["echo"], &[]);
    let mut client = Command::new(program);
    client.arg("--x509cafile").arg(authority.certificate());
    client.args(["--sni-hostname", NAME, "--verify-hostname", NAME, "--port"]);
    client.args([&serving.address.port().to_string(), "127.0.0.1"]);
    let said = said(&mut client, b"what gnutls sends\n");
    assert!(said.contains("The certificate is trusted") && said.contains("(TLS1.3-X.509)"), "{said}");
    assert!(said.contains("\nwhat gnutls sends\n"), "{said}");
    let record = serving.await_log(&["ended"]);
    assert!(record.contains("outcome=exited") && !record.contains("tls_cut=yes"), "{record}");
    ends_well(serving);
}

#[test]
fn socat_sends_and_receives_at_once() {
    let program = need!("socat");
    let mut site = a_site!();
    let (serving, authority) = start(&mut site, &["echo"], &[]);
    let peer = format!(
        "OPENSSL:127.0.0.1:{},commonname={NAME},snihost={NAME},cafile={}",
        serving.address.port(),
        authority.certificate().display()
    );
    let text: String = (0..100_000).map(|number| format!("{number}\n")).collect();
    let said = said(Command::new(program).args(["-t", "20", "-", &peer]), text.as_bytes());
    assert!(said == text, "{} bytes of {}", said.len(), text.len());
    ends_well(serving);
}

/// openssl(1) as a client that can do no more than these words say.
fn s_client(serving: &Serving<'_>, words: &[&str]) -> String {
    let mut client = Command::new(common::program("openssl").expect("openssl"));
    client.args(["s_client", "-connect", &serving.address.to_string(), "-servername", NAME]).args(words);
    said(&mut client, b"")
}

#[test]
fn each_suite_and_group_of_tls_13_that_is_worth_it_is_agreed_on_and_no_other() {
    let mut site = a_site!();
    let (serving, _authority) = start(&mut site, &["echo"], &["--max-per-source", "256"]);
    for suite in ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"] {
        let said = s_client(&serving, &["-ciphersuites", suite]);
        assert!(said.contains(&format!("Cipher is {suite}")), "{suite}: {said}");
    }
    for group in ["X25519", "P-256", "P-384"] {
        let said = s_client(&serving, &["-groups", group]);
        assert!(said.contains("New, TLSv1.3"), "{group}: {said}");
    }
    for words in [
        ["-ciphersuites", "TLS_AES_128_CCM_SHA256"],
        ["-ciphersuites", "TLS_AES_128_CCM_8_SHA256"],
        ["-groups", "P-521"],
        ["-groups", "X448"],
        ["-groups", "ffdhe2048"],
        ["-sigalgs", "RSA-PSS+SHA256"],
        ["-sigalgs", "ECDSA+SHA1"],
        ["-max_protocol", "TLSv1.2"],
    ] {
        let said = s_client(&serving, &words);
        assert!(said.contains("no peer certificate available"), "{words:?}: {said}");
        serving.await_log(&["ended", "outcome=handshake"]);
    }
    ends_well(serving);
}

#[test]
fn a_slow_reader_gets_all_and_its_relay_keeps_little() {
    let mut site = a_site!();
    let (serving, authority) = start(&mut site, &["big", "10000000"], &[]);
    let mut client = TlsClient::connect(&serving, &authority);
    client.shake_hands().unwrap();
    client.send(b"\n");
    std::thread::sleep(Duration::from_millis(500));
    let kib = |pid: u32| -> u64 { process::status(pid)["RssAnon"].trim_end_matches(" kB").parse().unwrap() };
    let is_sandbox = |pid: &u32| process::descends(*pid, serving.supervisor());
    let most = process::all().into_iter().filter(is_sandbox).map(kib).max().unwrap();
    assert!(most < 2048, "{most} KiB");
    let (mut all, mut chunk) = (0, vec![0; 100_000]);
    loop {
        match client.0.read(&mut chunk).unwrap() {
            0 => break,
            count => all += count,
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(all, 10_000_000);
    ends_well(serving);
}

/// An HAProxy that passes TLS through and names its clients, ended by its pid.
struct Haproxy {
    child: Child,
    port: u16,
}

impl Haproxy {
    fn start(program: &Path, config: &Path, server: &Serving<'_>) -> Haproxy {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let text = format!(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n\
             listen all\n bind 127.0.0.1:{port}\n tcp-request inspect-delay 5s\n\
             tcp-request content accept if {{ req.ssl_hello_type 1 }}\n\
             use-server s if {{ req.ssl_sni {NAME} }}\n server s {} send-proxy-v2\n",
            server.address
        );
        std::fs::write(config, text).unwrap();
        let child =
            Command::new(program).arg("-db").arg("-f").arg(config).stdin(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "haproxy does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        std::fs::remove_file(config).unwrap();
        Haproxy { child, port }
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        process::kill(self.child.id());
        let _reaped = self.child.wait();
    }
}

#[test]
fn behind_an_haproxy_that_passes_tls_through_the_handler_knows_its_peer_and_the_name() {
    let program: PathBuf = need!("haproxy");
    let mut site = a_site!();
    let config = PathBuf::from(format!("/var/tmp/{}-haproxy-tls.cfg", site.tag()));
    let (serving, authority) = start(&mut site, &["env"], &["--proxy-protocol", "127.0.0.1"]);
    let proxy = Haproxy::start(&program, &config, &serving);
    let mut client = TlsClient::begin_at(([127, 0, 0, 1], proxy.port).into(), settings(&authority, None));
    client.shake_hands().unwrap();
    let own = client.0.sock.local_addr().unwrap();
    client.half_close();
    let text = String::from_utf8(client.rest().0).unwrap();
    let has = |line: &str| text.lines().any(|found| found == line);
    assert!(has("REMOTE_ADDR=127.0.0.1") && has(&format!("REMOTE_PORT={}", own.port())), "{text}");
    assert!(has(&format!("SERVER_PORT={}", proxy.port)) && has(&format!("TLS_SERVER_NAME={NAME}")), "{text}");
    drop(proxy);
    ends_well(serving);
}
