//! The handlers of rootfs/examples, built and installed as their READMEs say, spoken to in their protocols.

use common::serve::Serve;
use common::{Client, PATIENCE, Site, Wire, a_site, dayfly, test_bin};
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../rootfs/examples");

/// The shipped service file, with the template made of these files, and another path in the place of
/// the host's.
pub(crate) fn service(
    site: &mut Site,
    name: &str,
    files: &[(&str, &str)],
    host: Option<(&str, &Path)>,
) -> PathBuf {
    service_of(site, name, &test_bin(&format!("c/{name}")), files, host)
}

/// The same with a handler that is not built from one file.
pub(crate) fn service_of(
    site: &mut Site,
    name: &str,
    handler: &Path,
    files: &[(&str, &str)],
    host: Option<(&str, &Path)>,
) -> PathBuf {
    let from = site.directory().join("from");
    fs::create_dir(&from).unwrap();
    for (file, content) in files {
        fs::write(from.join(file), content).unwrap();
    }
    let template = site.directory().join(name);
    let made = Command::new(dayfly())
        .args(["template", "build"])
        .arg("--from")
        .arg(&from)
        .arg("--handler")
        .arg(handler)
        .arg(&template)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    fs::remove_dir_all(from).unwrap();
    let text = fs::read_to_string(format!("{EXAMPLES}/{name}/{name}.toml")).unwrap();
    let usual = format!("/srv/templates/{name}");
    let mut here = text.replace(&usual, template.to_str().unwrap());
    assert_ne!(here, text);
    if let Some((there, path)) = host {
        assert!(here.contains(there));
        here = here.replace(there, path.to_str().unwrap());
    }
    site.file(&format!("{name}.toml"), &here)
}

fn finger(site: &mut Site) -> PathBuf {
    let plans = site.directory().join("plans");
    fs::create_dir(&plans).unwrap();
    fs::write(plans.join("alice"), "Plan:\n\tsleep \x1b[2J\n").unwrap();
    fs::write(plans.join("bob"), "none\n").unwrap();
    service(site, "finger", &[(".mountpoints", "/plans\n/tmp\n")], Some(("/srv/plans", &plans)))
}

/// Requests of finger(1) clients, and the answers.
const FINGERS: [(&str, &str); 5] = [
    ("alice\r\n", "Plan:\r\n\tsleep [2J\r\n"),
    ("/W bob\r\n", "none\r\n"),
    ("../../etc/os-release\r\n", "Nobody of that name here.\r\n"),
    ("carol\r\n", "Nobody of that name here.\r\n"),
    ("alice@elsewhere\r\n", "This server asks no other one.\r\n"),
];

#[test]
fn finger_answers_as_rfc_1288_says_resident_and_once_per_connection() {
    let mut site = a_site!();
    let file = finger(&mut site);
    let serving = Serve::file(&site, &file).start();
    for (asked, answer) in FINGERS {
        assert_eq!(String::from_utf8(serving.ask(asked.as_bytes())).unwrap(), answer, "{asked:?}");
    }
    let names = String::from_utf8(serving.ask(b"\r\n")).unwrap();
    let mut names: Vec<_> = names.lines().collect();
    names.sort_unstable();
    assert_eq!(names, ["alice", "bob"]);
    assert_eq!(serving.terminate().0, 0);
    for (asked, answer) in FINGERS {
        let once = site.handler(&[]).wire(Wire::Tcp).only_options(&["--service", file.to_str().unwrap()]);
        let ended = once.talk(asked.as_bytes());
        ended.expect(0, "exited");
        assert_eq!(ended.text(), answer, "{asked:?}");
    }
}

/// The policy service's connection, when it listens.
fn connected(path: &Path) -> Client {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match UnixStream::connect(path) {
            Ok(stream) => return Client::Unix(stream),
            Err(error) => assert!(Instant::now() < deadline, "{}: {error}", path.display()),
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn the_policy_service_decides_for_postfix_request_after_request() {
    let mut site = a_site!();
    let rules = site.directory().join("rules");
    fs::copy(format!("{EXAMPLES}/policy/rules"), &rules).unwrap();
    let rules = ("/etc/postfix/policy.rules", rules.as_path());
    let file = service(&mut site, "policy", &[("rules", "")], Some(rules));
    let socket = site.directory().join("socket");
    let listen = format!("unix:{}?mode=0666", socket.display());
    let serving = Serve::file(&site, &file).options(&["--listen", &listen]).listening_itself().start();
    let mut postfix = connected(&socket);
    // As smtpd_policy_service writes them, over one connection.
    let request = |recipient: &str, client: &str, helo: &str| {
        format!(
            "request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\nclient_address=192.0.2.7\n\
             client_name={client}\nhelo_name={helo}\nsender=a@example.net\nrecipient={recipient}\nsize=12345\n\n"
        )
    };
    for (recipient, client, helo, action) in [
        ("b@example.org", "mail.example.net", "mail.example.net", "DUNNO"),
        ("former@example.org", "mail.example.net", "mail.example.net", "REJECT This address is closed"),
        ("b@example.org", "unknown", "mail.example.net", "DEFER_IF_PERMIT Your address has no name"),
        ("b@example.org", "mail.example.net", "localhost.localdomain", "REJECT You are not this host"),
        ("b@example.org", "mail.example.net", "mail.example.net", "DUNNO"),
    ] {
        postfix.send(request(recipient, client, helo).as_bytes());
        assert_eq!(postfix.line(), format!("action={action}"));
        assert_eq!(postfix.line(), "");
    }
    postfix.half_close();
    assert!(postfix.rest().is_empty());
    let (status, log) = serving.terminate();
    assert_eq!(status, 0);
    assert!(log.contains("outcome=exited status=0"), "{log}");
    site.settle();
}

/// Everything up to the next place where the game waits.
fn prompt(client: &mut Client, end: &str) -> String {
    let (mut said, mut byte) = (String::new(), [0]);
    while !said.ends_with(end) && client.read(&mut byte) == 1 {
        said.push(char::from(byte[0]));
    }
    said
}

/// Plays by halves: the flag is found in 20 guesses at most.
fn play(mut client: Client) -> String {
    assert!(prompt(&mut client, "? ").starts_with("Who are you"));
    client.send(b"tester\n");
    assert!(prompt(&mut client, "1> ").starts_with("Hello tester."));
    let (mut low, mut high) = (1_u32, 1_000_000_u32);
    loop {
        let guess = u32::midpoint(low, high);
        client.send(format!("{guess}\n").as_bytes());
        match prompt(&mut client, "\n").trim() {
            "more" => low = guess + 1,
            "less" => high = guess - 1,
            other => return other.to_owned(),
        }
        prompt(&mut client, "> ");
    }
}

#[test]
fn the_game_is_won_by_halves_and_who_overflows_it_ends_alone() {
    let mut site = a_site!();
    let flag = "flag{ask-in-halves}";
    let file = service(&mut site, "game", &[("flag", &format!("{flag}\n"))], None);
    let serving = Serve::file(&site, &file).start();
    let mut other = serving.connect();
    prompt(&mut other, "? ");
    assert_eq!(play(serving.connect()), flag);
    // Over its buffer and all that lies above it, to the end of the stack wherever that is.
    let mut attacker = serving.connect();
    prompt(&mut attacker, "? ");
    attacker.send(&[b"A".repeat(65_536).as_slice(), b"\n"].concat());
    attacker.rest();
    serving.await_log(&["outcome=signaled"]);
    // Other players play on.
    other.send(b"somebody\n");
    assert!(prompt(&mut other, "1> ").starts_with("Hello somebody."));
    drop(other);
    assert_eq!(play(serving.connect()), flag);
    assert_eq!(serving.terminate().0, 0);
}
