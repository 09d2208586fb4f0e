//! New certificates, and signers that end.

use super::certificates::{Authority, NAME, Pair, options};
use super::client::{TlsClient, settings};
use common::serve::{Serve, Serving};
use common::{Site, a_site, process};
use std::fs;
use std::io::Read;
use std::path::PathBuf;

/// A pair in files of its own, which a test may replace.
struct InUse {
    directory: PathBuf,
}

impl InUse {
    fn new(site: &mut Site, pair: &Pair) -> InUse {
        let directory = site.directory().join("in-use");
        common::site::make_directory(&directory, 0o755);
        let in_use = InUse { directory };
        in_use.put(pair);
        site.settle();
        in_use
    }

    fn pair(&self) -> Pair {
        Pair { certificate: self.directory.join("cert.pem"), key: self.directory.join("key.pem") }
    }

    /// By rename, as a client of a CA does it.
    fn put(&self, pair: &Pair) {
        let own = self.pair();
        for (from, to) in [(&pair.certificate, &own.certificate), (&pair.key, &own.key)] {
            let new = self.directory.join("new");
            fs::copy(from, &new).unwrap();
            common::site::set_mode(&new, 0o600);
            fs::rename(&new, to).unwrap();
        }
    }
}

fn start<'s>(site: &'s Site, in_use: &InUse) -> Serving<'s> {
    let options = options(&in_use.pair());
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    Serve::probe(site, &["echo"]).options(&options).start()
}

/// The certificate that the server shows.
fn shown(serving: &Serving<'_>, authority: &Authority) -> Vec<u8> {
    let mut client = TlsClient::begin(serving, settings(authority, None));
    client.shake_hands().unwrap();
    client.0.conn.peer_certificates().unwrap()[0].to_vec()
}

fn signer(serving: &Serving<'_>) -> Option<u32> {
    let is_it = |pid: &u32| process::arguments(*pid).first().is_some_and(|word| word == "/signer");
    let mut all = process::all().into_iter().filter(is_it);
    all.find(|pid| process::descends(*pid, serving.supervisor()))
}

#[test]
fn a_reload_loads_a_new_certificate_and_live_connections_continue() {
    let mut site = a_site!();
    let authority = Authority::new(&mut site, "ca");
    let first = authority.sign(&mut site, NAME);
    let in_use = InUse::new(&mut site, &first);
    // By another key, for the same name.
    let second = authority.sign(&mut site, NAME);
    let serving = start(&site, &in_use);
    let before = shown(&serving, &authority);
    let mut live = TlsClient::connect(&serving, &authority);
    live.send(b"a");
    live.0.read_exact(&mut [0]).unwrap();
    in_use.put(&second);
    serving.signal(libc::SIGHUP);
    serving.await_log(&["reloaded"]);
    let after = shown(&serving, &authority);
    assert_ne!(before, after);
    live.send(b"b");
    live.0.read_exact(&mut [0]).unwrap();
    assert_eq!(live.0.conn.peer_certificates().unwrap()[0].to_vec(), before);
    drop(live);
    serving.signal(libc::SIGTERM);
    assert_eq!(serving.end_beside().0, 0);
}

#[test]
fn files_that_do_not_fit_together_change_nothing() {
    let mut site = a_site!();
    let authority = Authority::new(&mut site, "ca");
    let (first, second) = (authority.sign(&mut site, NAME), authority.sign(&mut site, "second"));
    let in_use = InUse::new(&mut site, &first);
    let serving = start(&site, &in_use);
    let before = shown(&serving, &authority);
    in_use.put(&Pair { certificate: first.certificate, key: second.key });
    serving.signal(libc::SIGHUP);
    serving.await_log(&["not reloaded", "the key is not that of the certificate"]);
    assert_eq!(shown(&serving, &authority), before);
    assert_eq!(TlsClient::connect(&serving, &authority).ask(b"x"), b"x");
    serving.signal(libc::SIGTERM);
    assert_eq!(serving.end_beside().0, 0);
}

#[test]
fn a_signer_that_ends_is_replaced_and_the_log_says_so() {
    let mut site = a_site!();
    let authority = Authority::new(&mut site, "ca");
    let pair = authority.sign(&mut site, NAME);
    let in_use = InUse::new(&mut site, &pair);
    let serving = start(&site, &in_use);
    assert_eq!(TlsClient::connect(&serving, &authority).ask(b"x"), b"x");
    let first = signer(&serving).unwrap();
    process::kill(first);
    serving.await_log(&["the signer of the TLS key ended"]);
    assert_eq!(TlsClient::connect(&serving, &authority).ask(b"y"), b"y");
    assert!(signer(&serving).is_some_and(|second| second != first));
    let (status, log) = serving.terminate();
    assert_eq!(status, 0, "{log}");
}
