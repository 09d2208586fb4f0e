//! The examples that want TLS, with clients of their kind: Gemini, and logs that are watched from home.

use super::certificates::{Authority, NAME, Pair};
use super::client::{End, TlsClient};
use common::serve::Serve;
use common::site::Beside;
use common::{PATIENCE, Site, a_site, checkout, dayfly, dist, need, sys};
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// The shipped service file of an example, with a template, a bind and TLS of this site.
fn service(site: &mut Site, name: &str, handler: &str, bind: (&str, &Path), tls: &str) -> PathBuf {
    let (from, template) = (site.directory().join("from"), site.directory().join(name));
    fs::create_dir(&from).unwrap();
    fs::write(from.join(".mountpoints"), "/log\n/srv/gopher\n/tmp\n").unwrap();
    let made = Command::new(dayfly())
        .args(["template", "build", "--from"])
        .args([&from, Path::new("--handler"), &dist(handler), &template])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    fs::remove_dir_all(&from).unwrap();
    let shipped = fs::read_to_string(checkout().join(format!("rootfs/examples/{name}/{name}.toml"))).unwrap();
    let here = shipped.replace(&format!("/srv/templates/{name}"), template.to_str().unwrap());
    let here = here.replace(&format!("[\"{}", bind.0), &format!("[\"{}", bind.1.display()));
    site.file(&format!("{name}.toml"), &format!("{here}{tls}"))
}

fn keys(server: &Pair) -> String {
    format!("tls_certificate = {:?}\ntls_key = {:?}\nwarm = \"1..4\"\n", server.certificate, server.key)
}

#[test]
fn gemini_answers_over_tls_for_the_name_of_the_handshake() {
    let mut site = a_site!();
    let authority = Authority::new(&mut site, "ca");
    let server = authority.sign(&mut site, NAME);
    let hole = site.directory().join("hole");
    let tree = checkout().join("rootfs/gopher/srv/gopher");
    assert!(Command::new("cp").arg("-R").args([&tree, &hole]).status().unwrap().success());
    let bind = PathBuf::from(format!("{}:/srv/gopher", hole.display()));
    let file = service(&mut site, "gemini", "gemini-handler", ("/srv/gopher", &bind), &keys(&server));
    let serving = Serve::file(&site, &file).start();
    let ask = |url: &str| {
        let answer = TlsClient::connect(&serving, &authority).ask(format!("{url}\r\n").as_bytes());
        String::from_utf8_lossy(&answer).into_owned()
    };
    let page = ask("gemini://gopher.example/");
    assert!(page.starts_with("20 text/gemini; charset=utf-8\r\n# A dayfly gopher hole\n"), "{page}");
    assert_eq!(ask("gemini://gopher.example/phlog"), "31 gemini://gopher.example/phlog/\r\n");
    assert!(ask("gemini://other.example/").starts_with("53 "));
    // A client that trusts on first use sends no end of its own, and needs the answer's.
    let mut client = TlsClient::connect(&serving, &authority);
    client.shake_hands().unwrap();
    client.send(b"gemini://gopher.example/absent\r\n");
    assert_eq!(client.rest(), (b"51 Not found\r\n".to_vec(), End::Clean));
    drop(client);
    assert_eq!(serving.terminate().0, 0);
}

/// The shipped client for the home, ended by its pid.
struct Home {
    child: Child,
    lines: Receiver<String>,
}

impl Home {
    /// Watches this port with these files.
    fn watch(beside: &Beside, name: &str, port: u16, ca: &Path, own: &Pair) -> Home {
        let files = beside.0.join(name);
        fs::create_dir(&files).unwrap();
        for (from, to) in [(ca, "ca.pem"), (&own.certificate, "client.pem"), (&own.key, "client.key")] {
            fs::copy(from, files.join(to)).unwrap();
        }
        let mut child = Command::new(checkout().join("rootfs/examples/logwatch/logwatch-client"))
            .arg(format!("localhost:{port}"))
            .env("CREDENTIALS_DIRECTORY", files)
            .env("LOGWATCH_LONGEST_PAUSE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let (output, errors) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let other = sender.clone();
        std::thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        std::thread::spawn(move || {
            BufReader::new(errors).lines().map_while(Result::ok).try_for_each(|line| other.send(line))
        });
        Home { child, lines }
    }

    /// Waits for a line like this; others may come before.
    #[track_caller]
    fn until(&self, wanted: &str) {
        let (end, mut seen) = (Instant::now() + PATIENCE, Vec::new());
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(wanted) => return,
                Ok(line) => seen.push(line),
                Err(_) => panic!("no {wanted:?} in {seen:?}"),
            }
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // It ends its own client at SIGTERM.
        let _has_ended = sys::kill(self.child.id(), libc::SIGTERM);
        let _status = self.child.wait();
    }
}

struct Relay {
    beside: Beside,
    file: PathBuf,
    authority: Authority,
    home: Pair,
}

impl Relay {
    fn new(site: &mut Site) -> Relay {
        let beside = Beside::new(site);
        let logs = beside.0.join("logs");
        fs::create_dir(&logs).unwrap();
        let authority = Authority::new(site, "ca");
        let (server, home) = (authority.sign(site, "localhost"), authority.sign(site, "home"));
        let tls = format!("{}tls_client_ca = {:?}\n", keys(&server), authority.certificate());
        let bind = PathBuf::from(format!("{}:/log", logs.display()));
        let file = service(site, "logwatch", "logwatch", ("/var/log/relay:/log", &bind), &tls);
        let relay = Relay { beside, file, authority, home };
        relay.log("before\n");
        relay
    }

    fn log(&self, text: &str) {
        let path = self.beside.0.join("logs/messages");
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }
}

#[test]
fn a_watcher_at_home_has_the_lines_and_connects_again_after_a_restart() {
    let _socat = need!("socat");
    let mut site = a_site!();
    let relay = Relay::new(&mut site);
    let kept = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = kept.local_addr().unwrap().port();
    let start = || Serve::file(&site, &relay.file).on(&kept).start();
    let mut serving = start();
    let home = Home::watch(&relay.beside, "home", port, &relay.authority.certificate(), &relay.home);
    home.until("logwatch: messages: followed");
    for round in 0..2 {
        relay.log(&format!("{round}\x1b\n"));
        home.until(&format!("messages: {round}\\x1B"));
        let (status, log) = serving.terminate();
        assert_eq!(status, 0, "{log}");
        home.until("not connected");
        serving = start();
        home.until("logwatch: messages: followed");
    }
    drop(home);
    assert_eq!(serving.terminate().0, 0);
}

#[test]
fn a_watcher_at_home_takes_no_lines_from_a_server_of_another_ca_or_name() {
    let _socat = need!("socat");
    let mut site = a_site!();
    let relay = Relay::new(&mut site);
    let other = Authority::new(&mut site, "other");
    let serving = Serve::file(&site, &relay.file).start();
    let port = serving.address.port();
    let home = Home::watch(&relay.beside, "home", port, &other.certificate(), &relay.home);
    home.until("certificate verify failed");
    home.until("not connected");
    relay.log("secret\n");
    let heard: Vec<String> = std::iter::from_fn(|| home.lines.recv_timeout(Duration::from_secs(5)).ok())
        .take_while(|line| !line.starts_with("logwatch: ") && !line.starts_with("messages: "))
        .take(4)
        .collect();
    assert!(heard.len() == 4, "{heard:?}");
    drop(home);
    assert_eq!(serving.terminate().0, 0);
}
