//! System calls of the supervisor that fail while it has connections with TLS: nobody is served without TLS, it
//! does not end, and the next client is served. (The set-up of relays and signers is that of every sandbox:
//! tests/faults.)

use super::certificates::{Authority, NAME, options};
use super::client::{End, TlsClient};
use common::inject::{Pending, injector, valid_while};
use common::serve::{Serve, Serving};
use common::{Site, a_site, process};
use nix::errno::Errno;

/// Calls of the supervisor that a connection with TLS adds, or makes otherwise.
const OF_SUPERVISOR: [(&str, Errno); 8] = [
    ("socketpair", Errno::EMFILE),
    ("fcntl", Errno::EINVAL),
    ("epoll_ctl", Errno::ENOSPC),
    ("ioctl", Errno::ENOMEM),
    ("setsockopt", Errno::ENOMEM),
    ("read", Errno::EIO),
    ("write", Errno::EPIPE),
    ("clone3", Errno::ENOSPC),
];

/// What a client gets: the echo, or nothing.
fn ask(serving: &Serving<'_>, authority: &Authority) -> Option<Vec<u8>> {
    let mut client = TlsClient::connect(serving, authority);
    client.shake_hands().ok()?;
    std::io::Write::write_all(&mut client.0, b"hello").ok()?;
    client.half_close_if_there();
    match client.rest_if_there()? {
        (answer, End::Clean) => Some(answer),
        (answer, End::Cut) => Some(answer).filter(|answer| answer.is_empty() || b"hello".starts_with(answer)),
    }
}

fn serve<'s>(site: &'s Site, options: &[String], rules: &[String], more: &[&str]) -> (Serving<'s>, Pending) {
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let (injector, report) = injector(rules, more);
    let times = ["--wall-time", "5s", "--tls-handshake-time", "2s"];
    (Serve::probe(site, &["echo"]).options(&options).options(&times).under(injector).start(), report)
}

/// While the call fails, clients get their echo or nothing; once it does not, the next gets the echo.
fn is_survived(
    site: &Site,
    authority: &Authority,
    options: &[String],
    rule: String,
) -> Result<usize, String> {
    let file = std::env::temp_dir().join(format!("{}-tls", site.tag()));
    let (serving, report) = serve(site, options, std::slice::from_ref(&rule), &valid_while(&file));
    process::until(|| ask(&serving, authority).filter(|answer| answer == b"hello"));
    std::fs::write(&file, b"").expect("a file of our own");
    let first: Vec<_> = (0..3).map(|_| ask(&serving, authority)).collect();
    std::fs::remove_file(&file).expect("it is there");
    let second = process::until(|| ask(&serving, authority).filter(|answer| answer == b"hello"));
    let (status, log) = serving.terminate();
    let mut answers = first.iter().flatten();
    let good = answers.all(|answer| b"hello".starts_with(answer)) && second == b"hello" && status == 0;
    if good { Ok(report.read().fired()) } else { Err(format!("{rule}: {first:?}, status {status}\n{log}")) }
}

fn try_all(rules: impl Iterator<Item = String>) {
    let mut site = a_site!();
    let authority = Authority::new(&mut site, "ca");
    let options = options(&authority.sign(&mut site, NAME));
    let (mut complaints, mut fired, mut tried) = (Vec::new(), 0, 0);
    for rule in rules {
        tried += 1;
        match is_survived(&site, &authority, &options, rule) {
            Ok(times) => fired += usize::from(times > 0),
            Err(complaint) => complaints.push(complaint),
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert!(fired * 2 > tried, "of {tried} rules {fired} were applied");
}

#[test]
fn every_call_of_the_supervisor_that_fails_is_survived() {
    let rule = |(name, errno): (&str, Errno)| {
        format!("role=launcher call={name} : return={}", -i64::from(errno as i32))
    };
    try_all(OF_SUPERVISOR.into_iter().map(rule));
}
