//! Behind a proxy that says who the peer is.

use common::serve::{Serve, Serving};
use common::{Client, PATIENCE, Site, a_site, need, process};
use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 7070\r\n";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x01\xdc\x04\x1b\x9e";

#[track_caller]
fn ends_well(serving: Serving<'_>) -> String {
    let (status, log) = serving.terminate();
    assert_eq!(status, 0, "{log}");
    log
}

fn behind<'s>(site: &'s Site, words: &[&str]) -> Serve<'s> {
    Serve::probe(site, words).options(&["--proxy-protocol", "127.0.0.1"])
}

fn variables(answer: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8(answer.to_vec()).unwrap();
    text.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect()
}

#[test]
fn the_peer_is_the_one_in_the_header() {
    let site = a_site!();
    let serving = behind(&site, &["env"]).start();
    for header in [V1, V2] {
        let found = variables(&serving.ask(header));
        let of = |name: &str| found.get(name).map_or("none", String::as_str).to_owned();
        assert_eq!((of("REMOTE_ADDR"), of("REMOTE_PORT")), ("192.0.2.7".into(), "56324".into()));
        let served = serving.await_log(&["ended", "peer=192.0.2.7:56324"]);
        assert!(served.contains("outcome=exited status=0"), "{served}");
    }
    ends_well(serving);
}

#[test]
fn the_address_that_the_peer_reached_is_the_one_in_the_header() {
    let site = a_site!();
    let serving = behind(&site, &["env"]).start();
    let found = variables(&serving.ask(V1));
    assert_eq!((found["SERVER_ADDR"].as_str(), found["SERVER_PORT"].as_str()), ("198.51.100.1", "7070"));
    ends_well(serving);
}

#[test]
fn no_byte_of_the_peers_is_lost_however_it_comes() {
    let site = a_site!();
    for park in ["before-exec", "entry", "none"] {
        for options in [&["--park", park][..], &["--park", park, "--wait-for-data", "10s"]] {
            let serving = behind(&site, &["echo"]).options(options).start();
            let text = "a line\r\n".repeat(5000).into_bytes();
            for header in [V1, V2] {
                assert_eq!(serving.ask(&[header, &text].concat()), text, "{options:?}");
                let mut client = serving.connect();
                if let Client::Tcp(stream) = &client {
                    stream.set_nodelay(true).unwrap();
                }
                for byte in header {
                    client.send(&[*byte]);
                }
                client.send(b"x");
                client.half_close();
                assert_eq!(client.rest(), b"x", "{options:?}");
            }
            ends_well(serving);
        }
    }
}

#[test]
fn what_a_peer_sends_that_is_not_named_is_its_own() {
    let site = a_site!();
    let serving =
        Serve::probe(&site, &["echo"]).options(&["--proxy-protocol", "192.0.2.1,10.0.0.0/8,unix"]).start();
    assert_eq!(serving.ask(V1), V1);
    assert_eq!(serving.ask(b"hello"), b"hello");
    ends_well(serving);
}

#[test]
fn a_proxys_own_connection_has_the_proxys_address() {
    let site = a_site!();
    let serving = behind(&site, &["env"]).start();
    let local = [&V2[..12], b"\x20\0\0\0"].concat();
    for header in [b"PROXY UNKNOWN\r\n".to_vec(), local] {
        let request = [&header, b"x\n".as_slice()].concat();
        assert_eq!(variables(&serving.ask(&request))["REMOTE_ADDR"], "127.0.0.1");
        // One that says nothing and stays is served too.
        let mut client = serving.connect();
        client.send(&header);
        assert_eq!(variables(&client.rest())["REMOTE_ADDR"], "127.0.0.1");
    }
    ends_well(serving);
}

#[test]
fn a_proxys_own_connection_that_ends_without_a_byte_leaves_no_record() {
    let site = a_site!();
    let serving = behind(&site, &["env"]).start();
    let local = [&V2[..12], b"\x20\0\0\0"].concat();
    for header in [b"PROXY UNKNOWN\r\n".to_vec(), local] {
        assert_eq!(serving.ask(&header), b"");
        let mut client = serving.connect();
        client.send(&header);
        client.reset();
    }
    assert_eq!(variables(&serving.ask(V1))["REMOTE_ADDR"], "192.0.2.7");
    let log = ends_well(serving);
    assert_eq!(log.matches(" ended ").count(), 1, "{log}");
}

#[test]
fn without_a_header_a_named_peer_is_closed_and_that_is_said() {
    let site = a_site!();
    for text in [&b"GET / HTTP/1.0\r\n\r\n"[..], b"PROXY TCP4 nonsense\r\n", &[b'\0'; 5000]] {
        let serving = behind(&site, &["echo"]).start();
        assert_eq!(serving.ask(text), b"");
        serving.await_log(&["no PROXY protocol header", "proxy=127.0.0.1:"]);
        assert_eq!(serving.ask(&[V1, b"hello"].concat()), b"hello");
        ends_well(serving);
    }
}

#[test]
fn a_header_has_its_time() {
    let site = a_site!();
    let serving = behind(&site, &["echo"]).start();
    let mut silent = serving.connect();
    silent.send(&V1[..10]);
    let started = Instant::now();
    assert_eq!(silent.rest(), b"");
    assert!(started.elapsed() > Duration::from_secs(3), "the protocol asks for more patience");
    serving.await_log(&["no PROXY protocol header", "in time"]);
    ends_well(serving);
}

#[test]
fn limits_by_source_count_the_peers_and_not_the_proxy() {
    let site = a_site!();
    let options = ["--max-per-source", "1", "--over-limit", "full\\n"];
    let serving = behind(&site, &["sleep"]).options(&options).start();
    let from = |address: &str| {
        let mut client = serving.connect();
        client.send(format!("PROXY TCP4 {address} 198.51.100.1 1 70\r\n").as_bytes());
        client
    };
    let (mut one, mut two) = (from("192.0.2.1"), from("192.0.2.2"));
    assert_eq!((one.line().as_str(), two.line().as_str()), ("ready", "ready"));
    assert_eq!(from("192.0.2.2").line(), "full");
    serving.await_log(&["rejected", "peer=192.0.2.2:1", "limit=max-per-source"]);
    one.send(b"\n");
    assert_eq!(one.rest(), b"bye\n");
    serving.await_log(&["ended"]);
    assert_eq!(from("192.0.2.1").line(), "ready");
    drop(two);
    ends_well(serving);
}

/// A place that was not given back would be missed for ever: after so many, nobody would be served.
#[test]
fn whatever_becomes_of_a_proxied_connection_its_place_is_free_again() {
    let site = a_site!();
    let options = [
        "--max-connections",
        "2",
        "--max-per-source",
        "1",
        "--over-limit",
        "full\\n",
        "--wait-for-data",
        "50ms",
    ];
    for park in ["before-exec", "entry", "none"] {
        let serving = behind(&site, &["echo"]).options(&options).options(&["--park", park]).start();
        for _ in 0..3 {
            // Served; without a header; with a wrong one; with one and nothing more.
            let served = [V1, b"hello"].concat();
            for (said, answer) in [(&served[..], &b"hello"[..]), (b"", b""), (b"nonsense", b""), (V1, b"")] {
                let mut client = serving.connect();
                client.send(said);
                if said != V1 {
                    client.half_close();
                }
                assert_eq!(client.rest(), answer, "{park}: {said:?}");
                // The end is the supervisor's to see, a moment after the client's.
                process::until(|| (serving.live() == 0).then_some(()));
            }
        }
        if park == "entry" {
            // With half a header each, until their time is over.
            let mut both = [(); 2].map(|()| serving.connect());
            both.iter_mut().for_each(|client| client.send(&V2[..20]));
            both.iter_mut().for_each(|client| assert_eq!(client.rest(), b""));
            process::until(|| (serving.live() == 0).then_some(()));
        }
        let mut both = [(); 2].map(|()| serving.connect());
        for (client, last) in both.iter_mut().zip([1, 2]) {
            client.send(format!("PROXY TCP4 192.0.2.{last} 198.51.100.1 1 70\r\nstill ").as_bytes());
        }
        for client in &mut both {
            client.send(b"here");
            client.half_close();
            assert_eq!(client.rest(), b"still here", "{park}");
        }
        ends_well(serving);
    }
}

#[test]
fn a_header_of_4096_bytes_is_taken_and_a_longer_one_is_closed_at_once() {
    let site = a_site!();
    let serving = behind(&site, &["echo"]).start();
    let header = |total: usize| {
        let block = u16::try_from(total - 16).unwrap().to_be_bytes();
        [&V2[..14], &block, &V2[16..], &vec![0; total - V2.len()]].concat()
    };
    assert_eq!(serving.ask(&[&header(4096)[..], b"hello"].concat()), b"hello");
    for total in [4097, 4112] {
        let mut client = serving.connect();
        client.send(&header(total)[..16]);
        let started = Instant::now();
        assert_eq!(client.rest(), b"", "{total}");
        assert!(started.elapsed() < Duration::from_secs(4), "{total}: it was waited for");
    }
    serving.await_log(&["no PROXY protocol header", "too long"]);
    ends_well(serving);
}

#[test]
fn run_does_not_serve_what_begins_with_a_header() {
    let mut site = a_site!();
    let template = site.template();
    let text = format!(
        "template = {template:?}\nhandler = [\"/bin/probe\", \"echo\"]\nproxy_protocol = [\"127.0.0.1\"]\n"
    );
    let file = site.file("service.toml", &text).display().to_string();
    let ended = site.handler(&[]).only_options(&["--service", &file]).talk(V1);
    ended.is_usage_error("proxy_protocol is for serve");
}

/// HAProxy with one frontend over two servers, in its foreground mode.
struct Haproxy {
    child: Child,
    port: u16,
}

impl Haproxy {
    fn start(site: &Site, program: &std::path::Path, send: &str, servers: &[&Serving<'_>]) -> Haproxy {
        // Beside the site, whose files must stay as they were.
        let file = std::path::PathBuf::from(format!("/var/tmp/{}-haproxy.cfg", site.tag()));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let lines: Vec<String> =
            (0..).zip(servers).map(|(n, s)| format!(" server s{n} {} {send}\n", s.address)).collect();
        let text = format!(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n\
             listen all\n bind 127.0.0.1:{port}\n balance roundrobin\n{}",
            lines.concat()
        );
        std::fs::write(&file, text).unwrap();
        let child =
            Command::new(program).arg("-db").arg("-f").arg(&file).stdin(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "haproxy does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        std::fs::remove_file(file).unwrap();
        Haproxy { child, port }
    }

    fn connect(&self) -> Client {
        Client::Tcp(TcpStream::connect(("127.0.0.1", self.port)).unwrap())
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        process::kill(self.child.id());
        let _reaped = self.child.wait();
    }
}

#[test]
fn two_instances_serve_behind_one_haproxy_and_know_their_peers() {
    let site = a_site!();
    let program = need!("haproxy");
    for send in ["send-proxy", "send-proxy-v2"] {
        let start = |name: &str| {
            let variable = format!("NAME={name}");
            behind(&site, &["env"]).options(&["--setenv", &variable, "--max-per-source", "64"]).start()
        };
        let servers = [start("one"), start("two")];
        let proxy = Haproxy::start(&site, &program, send, &[&servers[0], &servers[1]]);
        let mut by_server = BTreeMap::<String, usize>::new();
        for _ in 0..20 {
            let mut client = proxy.connect();
            let (address, port) = client.address();
            let answer = client.rest();
            let found = variables(&answer);
            assert!(found.contains_key("REMOTE_ADDR"), "{send}: {answer:?}");
            assert_eq!((&found["REMOTE_ADDR"], &found["REMOTE_PORT"]), (&address, &port), "{send}");
            assert_eq!(found["SERVER_PORT"], proxy.port.to_string(), "{send}");
            *by_server.entry(found["NAME"].clone()).or_default() += 1;
        }
        // In turn, give or take the connection that found haproxy listening.
        assert!(by_server.len() == 2 && by_server.values().all(|count| *count >= 5), "{send}: {by_server:?}");
        drop(proxy);
        let [one, two] = servers;
        one.signal(libc::SIGTERM);
        two.signal(libc::SIGTERM);
        assert_eq!((one.end_beside().0, two.end_beside().0), (0, 0), "{send}");
        site.check_nothing_left();
    }
}
