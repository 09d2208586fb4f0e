//! Settings that are refused at the start, and the output of `check` and `explain`.

use super::certificates::{Authority, NAME, Pair, options};
use super::client::{TlsClient, settings};
use common::serve::Serve;
use common::{Site, a_site, dayfly, need, site};
use std::process::{Command, Stdio};

/// The status and everything that is said.
fn dayfly_says(site: &Site, verb: &str, options: &[&str]) -> (Option<i32>, String) {
    // What should be refused, and is not, would serve for ever.
    let done = Command::new("timeout")
        .arg("60")
        .arg(dayfly())
        .arg(verb)
        .args(["--template", site.template().to_str().unwrap()])
        .args(options)
        .args(["--", "/bin/probe", "echo"])
        .current_dir(site.directory())
        .env("RUNTIME_DIRECTORY", site.directory())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = [done.stdout, done.stderr].concat();
    (done.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[track_caller]
fn is_refused(site: &Site, verb: &str, options: &[&str], words: &str) {
    let (status, said) = dayfly_says(site, verb, options);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains(words), "{said}");
}

fn given(pair: &Pair) -> Vec<String> {
    options(pair).into_iter().take(4).collect()
}

#[test]
fn run_refuses_tls() {
    let mut site = a_site!();
    let authority = Authority::new(&mut site, "ca");
    let options = given(&authority.sign(&mut site, NAME));
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    is_refused(&site, "run", &options, "--tls-certificate is for serve only");
    let [_, certificate, _, key] = options[..] else { panic!("{options:?}") };
    let template = site.template().display().to_string();
    let text = format!(
        "template = \"{template}\"\nhandler = [\"/bin/probe\", \"echo\"]\ntls_certificate = \"{certificate}\"\ntls_key = \"{key}\"\n"
    );
    let file = site.file("tls.toml", &text);
    let done =
        Command::new(dayfly()).args(["run", "--service"]).arg(file).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(2), "{said}");
    assert!(said.contains("tls_certificate is for serve: run does not speak TLS"), "{said}");
}

#[test]
fn a_key_that_everybody_can_read_is_refused() {
    let mut site = a_site!();
    let authority = Authority::new(&mut site, "ca");
    let pair = authority.sign(&mut site, NAME);
    site::set_mode(&pair.key, 0o644);
    let options = [&given(&pair)[..], &["--listen".into(), "127.0.0.1:0".into()]].concat();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    is_refused(&site, "serve", &options, "chmod o-r");
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let mut site = a_site!();
    let authority = Authority::new(&mut site, "ca");
    let (one, other) = (authority.sign(&mut site, NAME), authority.sign(&mut site, "other"));
    let pair = Pair { certificate: one.certificate, key: other.key };
    let options = [&given(&pair)[..], &["--listen".into(), "127.0.0.1:0".into()]].concat();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    is_refused(&site, "serve", &options, "the key is not that of the certificate");
}

#[test]
fn check_tells_of_the_certificate() {
    let mut site = a_site!();
    let authority = Authority::new(&mut site, "ca");
    let good = given(&authority.sign(&mut site, NAME));
    let good: Vec<&str> = good.iter().map(String::as_str).collect();
    let (status, said) = dayfly_says(&site, "check", &good);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(status, Some(0), "{said}");
    assert!(
        said.contains("the key is its own; for gopher.example; valid until 2049-12-31T23:59:59Z"),
        "{said}"
    );
    let expired = given(&authority.sign_expired(&mut site, "old"));
    let expired: Vec<&str> = expired.iter().map(String::as_str).collect();
    let (status, said) = dayfly_says(&site, "check", &expired);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("it expired at 2020-02-01"), "{said}");
}

#[test]
fn explain_shows_the_three_sandboxes() {
    let mut site = a_site!();
    let authority = Authority::new(&mut site, "ca");
    let options = given(&authority.sign(&mut site, NAME));
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let (status, said) = dayfly_says(&site, "explain", &options);
    assert_eq!(status, Some(0), "{said}");
    for word in ["TLS", "relay", "signer", "the only process with the key", "handshake time"] {
        assert!(said.contains(word), "{word}: {said}");
    }
}

#[test]
fn tls_works_with_the_capabilities_of_its_unit_and_in_no_unit_for_each_connection() {
    need!("setpriv");
    let mut site = a_site!();
    let authority = Authority::new(&mut site, "ca");
    let (pair, client) = (authority.sign(&mut site, NAME), authority.sign(&mut site, "watcher"));
    let revoked = authority.sign(&mut site, "revoked");
    let crl = authority.revoke(&mut site, &revoked);
    let keys = [
        ("template", site.template()),
        ("tls_certificate", pair.certificate),
        ("tls_key", pair.key),
        ("tls_client_ca", authority.certificate()),
        ("tls_crl", crl),
    ];
    let lines: String = keys.iter().map(|(key, path)| format!("{key} = \"{}\"\n", path.display())).collect();
    let text = format!(
        "handler = [\"/bin/probe\", \"@{}\", \"echo\"]\ntls_handshake_time = \"5s\"\n{lines}",
        site.tag()
    );
    let file = site.file("tls.toml", &text);
    let unit = |form: &[&str]| {
        Command::new(dayfly()).args(["unit", "--listen", ":79"]).args(form).arg(&file).output().unwrap()
    };
    assert_eq!(unit(&["--inetd"]).status.code(), Some(2));
    let printed = String::from_utf8(unit(&[]).stdout).unwrap();
    let set = printed.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).unwrap();
    let set = set.split_whitespace().map(|name| name.strip_prefix("CAP_").unwrap().to_lowercase());
    let set = set.fold("-all".to_owned(), |set, name| format!("{set},+{name}"));
    let serving = Serve::file(&site, &file).before(&["setpriv", "--bounding-set", &set, "--"]).start();
    let client = TlsClient::begin(&serving, settings(&authority, Some(&client)));
    assert_eq!(client.ask(b"hello"), b"hello");
    let (status, log) = serving.terminate();
    assert_eq!(status, 0, "{log}");
}
