//! Certificates of clients.

use super::certificates::{Authority, NAME, Pair, options};
use super::client::{TlsClient, settings};
use common::serve::{Serve, Serving};
use common::{Site, a_site};
use std::collections::BTreeMap;
use std::path::Path;

/// Serves clients of this CA, without those on the list.
fn start<'s>(site: &'s Site, server: &Pair, clients: &Authority, crl: Option<&Path>) -> Serving<'s> {
    let mut options = options(server);
    options.extend(["--tls-client-ca".to_owned(), clients.certificate().display().to_string()]);
    options.extend(crl.iter().flat_map(|crl| ["--tls-crl".to_owned(), crl.display().to_string()]));
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    Serve::probe(site, &["env"]).options(&options).start()
}

#[track_caller]
fn is_refused(serving: &Serving<'_>, authority: &Authority, own: Option<&Pair>, words: &str) {
    let refusal = TlsClient::begin(serving, settings(authority, own)).refusal();
    assert_ne!(refusal, "none");
    let record = serving.await_log(&["ended", "outcome=handshake"]);
    assert!(record.contains(words), "{record}");
}

#[track_caller]
fn ends_well(serving: Serving<'_>) {
    let (status, log) = serving.terminate();
    assert_eq!(status, 0, "{log}");
}

#[test]
fn a_client_with_a_certificate_of_the_ca_is_known_to_the_handler() {
    let mut site = a_site!();
    let authority = Authority::new(&mut site, "ca");
    let (server, client) = (authority.sign(&mut site, NAME), authority.sign(&mut site, "watcher"));
    let serving = start(&site, &server, &authority, None);
    let text = TlsClient::begin(&serving, settings(&authority, Some(&client))).ask(b"");
    let text = String::from_utf8(text).unwrap();
    let found: BTreeMap<_, _> = text.lines().filter_map(|line| line.split_once('=')).collect();
    assert_eq!(found["TLS_CLIENT_SUBJECT"], "CN=watcher");
    assert_eq!(found["TLS_CLIENT_ISSUER"], "CN=ca");
    assert_eq!(found["TLS_CLIENT_NOT_AFTER"], "2049-12-31T23:59:59Z");
    let hash = found["TLS_CLIENT_HASH"];
    assert!(hash.strip_prefix("SHA256:").is_some_and(|digits| digits.len() == 64), "{hash}");
    serving.await_log(&["ended", "outcome=exited", &format!("tls_client_hash={hash}")]);
    ends_well(serving);
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    let mut site = a_site!();
    let authority = Authority::new(&mut site, "ca");
    let server = authority.sign(&mut site, NAME);
    let serving = start(&site, &server, &authority, None);
    is_refused(&serving, &authority, None, "sent no certificate");
    ends_well(serving);
}

#[test]
fn an_expired_certificate_is_refused() {
    let mut site = a_site!();
    let authority = Authority::new(&mut site, "ca");
    let (server, client) = (authority.sign(&mut site, NAME), authority.sign_expired(&mut site, "watcher"));
    let serving = start(&site, &server, &authority, None);
    is_refused(&serving, &authority, Some(&client), "expired");
    ends_well(serving);
}

#[test]
fn a_certificate_of_another_ca_or_of_its_own_is_refused() {
    let mut site = a_site!();
    let authority = Authority::new(&mut site, "ca");
    let server = authority.sign(&mut site, NAME);
    let other = Authority::new(&mut site, "other");
    let (of_other, own) = (
        other.sign(&mut site, "watcher"),
        Pair { certificate: other.certificate(), key: other.path("ca.key") },
    );
    let serving = start(&site, &server, &authority, None);
    is_refused(&serving, &authority, Some(&of_other), "of another CA");
    is_refused(&serving, &authority, Some(&own), "the client's certificate is");
    ends_well(serving);
}

#[test]
fn a_revoked_certificate_is_refused_and_the_others_are_not() {
    let mut site = a_site!();
    let authority = Authority::new(&mut site, "ca");
    let server = authority.sign(&mut site, NAME);
    let (one, other) = (authority.sign(&mut site, "one"), authority.sign(&mut site, "other"));
    let crl = authority.revoke(&mut site, &one);
    let serving = start(&site, &server, &authority, Some(&crl));
    is_refused(&serving, &authority, Some(&one), "revoked");
    let text = TlsClient::begin(&serving, settings(&authority, Some(&other))).ask(b"");
    assert!(String::from_utf8(text).unwrap().contains("TLS_CLIENT_SUBJECT=CN=other"));
    ends_well(serving);
}

#[test]
fn a_client_of_a_ca_between_is_served_until_that_ca_is_revoked() {
    let mut site = a_site!();
    let authority = Authority::new(&mut site, "ca");
    let server = authority.sign(&mut site, NAME);
    let between = authority.sign_authority(&mut site, "between");
    let own = between.sign(&mut site, "watcher");
    let chain = [&own.certificate, &between.certificate()].map(|path| std::fs::read(path).unwrap()).concat();
    common::site::write(&own.certificate, &chain, 0o644);
    site.settle();
    let serving = start(&site, &server, &authority, None);
    let text = TlsClient::begin(&serving, settings(&authority, Some(&own))).ask(b"");
    assert!(String::from_utf8(text).unwrap().contains("TLS_CLIENT_ISSUER=CN=between"));
    ends_well(serving);
    let crl = authority.revoke(&mut site, &Pair { certificate: between.certificate(), key: own.key.clone() });
    let serving = start(&site, &server, &authority, Some(&crl));
    is_refused(&serving, &authority, Some(&own), "revoked");
    ends_well(serving);
}

#[test]
fn a_certificate_that_is_revoked_at_a_reload_is_refused_from_then_on() {
    let mut site = a_site!();
    let authority = Authority::new(&mut site, "ca");
    let server = authority.sign(&mut site, NAME);
    let (one, other) = (authority.sign(&mut site, "one"), authority.sign(&mut site, "other"));
    let crl = authority.revoke(&mut site, &other);
    let serving = start(&site, &server, &authority, Some(&crl));
    let ask = |pair: &Pair| TlsClient::begin(&serving, settings(&authority, Some(pair))).ask(b"");
    assert!(!ask(&one).is_empty());
    // The handlers of the site stay the same: only files beside the template change.
    let list = std::fs::read(&crl).unwrap();
    authority.revoke_again(&one);
    assert_ne!(std::fs::read(&crl).unwrap(), list);
    serving.signal(libc::SIGHUP);
    serving.await_log(&["reloaded"]);
    is_refused(&serving, &authority, Some(&one), "revoked");
    serving.signal(libc::SIGTERM);
    assert_eq!(serving.end_beside().0, 0);
}
