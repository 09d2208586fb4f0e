//! Two hosts behind HAProxy, as docs/several-hosts.md says: here two network namespaces with a `serve` each. One is
//! drained, killed and cut off under load, and limits hold by client.

use common::serve::{Serve, Serving};
use common::site::Beside;
use common::{PATIENCE, SetAtEnd, Site, a_site, need, process, sys};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const PROXY: &str = "127.0.0.1:7070";
const FEW: [&str; 2] = ["--max-per-source", "3"];
const MANY: [&str; 2] = ["--max-per-source", "100"];
const CLIENTS: usize = 6;
const EVERY: Duration = Duration::from_millis(25);
/// More than a socket's buffers hold at first: a handler is in the middle of it for a while.
const LENGTH: usize = 200_000;

/// A network namespace, for as long as its process lives.
struct Host(Child);

impl Host {
    fn new() -> Host {
        let own = process::namespace(std::process::id(), "net");
        let child = Command::new("unshare").args(["--net", "sleep", "300"]).spawn().unwrap();
        let host = Host(child);
        process::until(|| (process::namespace(host.0.id(), "net") != own).then_some(()));
        host
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.0.id())
    }

    /// What runs a command in it.
    fn inside(&self) -> String {
        format!("--net={}", self.path())
    }

    fn ip(&self, words: &str) {
        let mut command = Command::new("nsenter");
        command.arg(self.inside()).arg("ip").args(words.split(' '));
        assert!(command.status().unwrap().success(), "ip {words}");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        process::kill(self.0.id());
        let _reaped = self.0.wait();
    }
}

/// The proxy's network, with clients and HAProxy in it, and those of two hosts.
struct Lab {
    front: Host,
    hosts: [Host; 2],
    proxy: Option<Child>,
    place: Beside,
}

fn address(host: usize) -> String {
    format!("10.77.{}.2:7070", host + 1)
}

impl Lab {
    fn new(site: &Site) -> Lab {
        let (front, hosts) = (Host::new(), [Host::new(), Host::new()]);
        front.ip("link set lo up");
        for (n, host) in (1..).zip(&hosts) {
            front.ip(&format!("link add h{n} type veth peer name uplink netns {}", host.0.id()));
            front.ip(&format!("address add 10.77.{n}.1/24 dev h{n}"));
            front.ip(&format!("link set h{n} up"));
            host.ip(&format!("address add 10.77.{n}.2/24 dev uplink"));
            host.ip("link set uplink up");
        }
        Lab { front, hosts, proxy: None, place: Beside::new(site) }
    }

    fn serve<'s>(&self, site: &'s Site, host: usize, words: &[&str], options: &[&str]) -> Serving<'s> {
        let proxy = format!("10.77.{}.1", host + 1);
        let nsenter = "nsenter";
        let serving = Serve::probe(site, words)
            .before(&[nsenter, &self.hosts[host].inside()])
            .listening_itself()
            .options(&["--listen", &address(host), "--proxy-protocol", &proxy])
            .options(&["--over-limit", "full\\n", "--drain-time", "1h"])
            .options(options)
            .start();
        serving.await_log(&["listening"]);
        serving
    }

    fn admin_socket(&self) -> PathBuf {
        self.place.0.join("admin.sock")
    }

    /// As in the document, with times for a test.
    fn start_proxy(&mut self) {
        let servers: String = (0..2).map(|n| format!(" server h{} {}\n", n + 1, address(n))).collect();
        let text = format!(
            "global\n stats socket {} level admin\n\
             defaults\n mode tcp\n timeout connect 1s\n timeout client 60s\n timeout server 60s\n\
             retries 3\n option redispatch 1\n\
             frontend front\n bind {PROXY}\n default_backend hosts\n\
             backend hosts\n balance leastconn\n\
             default-server check inter 200ms fall 2 rise 1 send-proxy-v2 on-marked-down shutdown-sessions\n{servers}",
            self.admin_socket().display()
        );
        let file = self.place.file("haproxy.cfg", &text, 0o644);
        let mut command = Command::new("nsenter");
        command.arg(self.front.inside()).arg("haproxy").arg("-db").arg("-f").arg(&file);
        self.proxy = Some(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        process::until(|| self.admin("show stat"));
        self.until_up(&["h1", "h2"]);
    }

    fn admin(&self, words: &str) -> Option<String> {
        let mut socket = UnixStream::connect(self.admin_socket()).ok()?;
        socket.write_all(format!("{words}\n").as_bytes()).ok()?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    fn state(&self, server: &str) -> String {
        let table = self.admin("show stat").unwrap_or_default();
        let row = table.lines().find(|line| line.starts_with(&format!("hosts,{server},")));
        row.and_then(|row| row.split(',').nth(17)).unwrap_or_default().to_owned()
    }

    /// Sessions that a server has now.
    fn sessions(&self, server: &str) -> usize {
        let table = self.admin("show stat").unwrap_or_default();
        let row = table.lines().find(|line| line.starts_with(&format!("hosts,{server},")));
        row.and_then(|row| row.split(',').nth(4)?.parse().ok()).unwrap_or(usize::MAX)
    }

    fn until_up(&self, servers: &[&str]) {
        process::until(|| servers.iter().all(|server| self.state(server).starts_with("UP")).then_some(()));
    }

    /// Does something in the proxy's network.
    fn as_client<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        process::inside(self.front.0.id(), "net", work)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(proxy) = &mut self.proxy {
            process::kill(proxy.id());
            let _reaped = proxy.wait();
        }
    }
}

/// From an address of the loopback network.
fn connect_from(source: &str) -> std::io::Result<TcpStream> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, socket};
    use std::os::fd::AsRawFd;
    let [source, target] =
        [format!("{source}:0"), PROXY.to_owned()].map(|text| text.parse::<SocketAddr>().unwrap());
    let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    bind(fd.as_raw_fd(), &SockaddrStorage::from(source))?;
    connect(fd.as_raw_fd(), &SockaddrStorage::from(target))?;
    let stream = TcpStream::from(fd);
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Answer {
    Whole,
    /// A reset, at whatever moment.
    Reset,
    /// The beginning of the answer, or none of it, and the end of file.
    Cut,
    Wrong,
}

/// The byte that the probe's `big` writes at each place.
#[allow(clippy::cast_possible_truncation, reason = "one byte of the product is what is meant")]
fn byte_at(place: u64) -> u8 {
    (place.wrapping_mul(2_654_435_761) >> 13) as u8
}

fn ask(source: &str, length: usize) -> Answer {
    let mut answer = Vec::new();
    let done = connect_from(source).and_then(|mut stream| {
        stream.write_all(b"x\n")?;
        stream.shutdown(Shutdown::Write)?;
        stream.read_to_end(&mut answer)
    });
    let right = (0..).zip(&answer).all(|(place, byte)| *byte == byte_at(place));
    match done {
        _ if !right || answer.len() > length => Answer::Wrong,
        Ok(_) if answer.len() == length => Answer::Whole,
        Ok(_) => Answer::Cut,
        Err(_) => Answer::Reset,
    }
}

type Seen = Mutex<BTreeMap<(usize, Answer), usize>>;

/// Asks on until it is over; what was answered, by phase.
fn load(front: &Path, client: usize, (phase, done, seen): (&AtomicUsize, &AtomicBool, &Seen)) {
    sys::enter(File::open(front).unwrap().as_fd()).unwrap();
    let source = format!("127.0.1.{}", client + 1);
    let mut next = Instant::now();
    while !done.load(Ordering::Relaxed) {
        let before = phase.load(Ordering::Relaxed);
        let answer = ask(&source, LENGTH);
        // One that lasts from one phase to the next belongs to what may have cut it.
        let number = if answer == Answer::Whole { before } else { phase.load(Ordering::Relaxed).max(before) };
        *seen.lock().unwrap().entry((number, answer)).or_default() += 1;
        next += EVERY;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

/// Whole answers alone, but where a host has ended; never anything that was not sent.
fn check_answers(seen: &BTreeMap<(usize, Answer), usize>) {
    for (phase, answer) in seen.keys() {
        let right = match *phase {
            NOTHING | DRAINED | UPGRADED => *answer == Answer::Whole,
            _ => *answer != Answer::Wrong,
        };
        assert!(right, "{seen:?}");
    }
    for phase in [NOTHING, DRAINED, UPGRADED, KILLED, CUT_OFF] {
        assert!(seen.contains_key(&(phase, Answer::Whole)), "{phase}: {seen:?}");
    }
}

const NOTHING: usize = 0;
const DRAINED: usize = 1;
const UPGRADED: usize = 2;
const KILLED: usize = 3;
const CUT_OFF: usize = 4;

#[test]
fn one_of_two_hosts_is_drained_upgraded_killed_and_cut_off_under_load() {
    let _alone = crate::alone();
    need!("unshare");
    need!("nsenter");
    need!("ip");
    need!("haproxy");
    let site = a_site!();
    let mut lab = Lab::new(&site);
    let words = ["big", &LENGTH.to_string()];
    let mut first = lab.serve(&site, 0, &words, &MANY);
    let second = lab.serve(&site, 1, &words, &MANY);
    lab.start_proxy();
    let (phase, done, seen) = (AtomicUsize::new(NOTHING), AtomicBool::new(false), Seen::default());
    let path = PathBuf::from(lab.front.path());
    let count = || seen.lock().unwrap().values().sum::<usize>();
    let some_more = || {
        let before = count();
        process::until(|| (count() > before + 30).then_some(()));
    };
    std::thread::scope(|scope| {
        let _done = SetAtEnd(&done);
        for client in 0..CLIENTS {
            let shared = (&phase, &done, &seen);
            let path = &path;
            scope.spawn(move || load(path, client, shared));
        }
        some_more();
        phase.store(DRAINED, Ordering::Relaxed);
        lab.admin("set server hosts/h2 state drain").unwrap();
        process::until(|| (lab.sessions("h2") == 0).then_some(()));
        second.signal(libc::SIGTERM);
        assert_eq!(second.end_beside().0, 0);
        let second = lab.serve(&site, 1, &words, &MANY);
        lab.admin("set server hosts/h2 state ready").unwrap();
        some_more();
        phase.store(UPGRADED, Ordering::Relaxed);
        let before = first.succeed(libc::SIGUSR2);
        assert_eq!(first.end_of(before), 0);
        some_more();
        phase.store(KILLED, Ordering::Relaxed);
        second.signal(libc::SIGKILL);
        assert_eq!(second.end_beside().0, -libc::SIGKILL);
        some_more();
        let second = lab.serve(&site, 1, &words, &MANY);
        lab.until_up(&["h1", "h2"]);
        some_more();
        phase.store(CUT_OFF, Ordering::Relaxed);
        lab.front.ip("link set h2 down");
        process::until(|| lab.state("h2").starts_with("DOWN").then_some(()));
        some_more();
        lab.front.ip("link set h2 up");
        lab.until_up(&["h1", "h2"]);
        some_more();
        done.store(true, Ordering::Relaxed);
        second.signal(libc::SIGTERM);
        assert_eq!(second.end_beside().0, 0);
    });
    first.signal(libc::SIGTERM);
    assert_eq!(first.end_beside().0, 0);
    let seen = seen.into_inner().unwrap();
    println!("{seen:?}");
    check_answers(&seen);
    drop(lab);
    site.check_nothing_left();
}

#[test]
fn a_source_is_limited_by_its_own_address_on_each_host_behind_the_proxy() {
    let _alone = crate::alone();
    need!("unshare");
    need!("nsenter");
    need!("ip");
    need!("haproxy");
    let site = a_site!();
    let mut lab = Lab::new(&site);
    let serving = [lab.serve(&site, 0, &["sleep"], &FEW), lab.serve(&site, 1, &["sleep"], &FEW)];
    lab.start_proxy();
    let said = lab.as_client(|| {
        let line = |stream: &mut TcpStream| {
            let mut line = [0; 6];
            stream.read(&mut line).map(|count| String::from_utf8_lossy(&line[..count]).into_owned()).unwrap()
        };
        let mut held = Vec::new();
        let mut said = Vec::new();
        for _ in 0..8 {
            let mut stream = connect_from("127.0.0.9").unwrap();
            said.push(line(&mut stream));
            held.push(stream);
        }
        let mut other = connect_from("127.0.0.10").unwrap();
        (said, line(&mut other))
    });
    // Three on each host; somebody else is served.
    assert_eq!(said.0.iter().filter(|said| *said == "ready\n").count(), 6, "{said:?}");
    assert_eq!(said.0.iter().filter(|said| *said == "full\n").count(), 2, "{said:?}");
    assert_eq!(said.1, "ready\n");
    end(serving);
    drop(lab);
    site.check_nothing_left();
}

#[test]
fn a_health_check_of_the_proxys_uses_no_sandbox_and_leaves_no_record() {
    let _alone = crate::alone();
    need!("unshare");
    need!("nsenter");
    need!("ip");
    need!("haproxy");
    let site = a_site!();
    let mut lab = Lab::new(&site);
    let serving = [lab.serve(&site, 0, &["echo"], &MANY), lab.serve(&site, 1, &["echo"], &MANY)];
    // Four that are parked, and the zygote.
    let children = || {
        let of = |serving: &Serving<'_>| i64::from(serving.supervisor());
        let parents = serving.each_ref().map(of);
        let mut found: Vec<u32> =
            process::all().into_iter().filter(|pid| parents.contains(&process::stat(*pid, 4))).collect();
        found.sort_unstable();
        found
    };
    let before = process::until(|| {
        let found = children();
        std::thread::sleep(Duration::from_millis(300));
        Some(found).filter(|found| found.len() >= 8 && *found == children())
    });
    lab.start_proxy();
    // Each server is checked five times a second.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(children(), before);
    for serving in &serving {
        serving.signal(libc::SIGTERM);
    }
    for serving in serving {
        let (status, log) = serving.end_beside();
        assert_eq!(status, 0, "{log}");
        assert!(!log.contains("peer="), "{log}");
    }
    drop(lab);
    site.check_nothing_left();
}

fn end(serving: [Serving<'_>; 2]) {
    for serving in &serving {
        serving.signal(libc::SIGTERM);
    }
    for serving in serving {
        assert_eq!(serving.end_beside().0, 0);
    }
}

/// What one host and two serve, for a person to read: DAYFLY_HOSTS_SECONDS says for how long.
#[test]
fn two_hosts_serve_what_one_does_and_no_client_sees_which() {
    let _alone = crate::alone();
    need!("unshare");
    need!("nsenter");
    need!("ip");
    need!("haproxy");
    let site = a_site!();
    let mut lab = Lab::new(&site);
    let serving = [lab.serve(&site, 0, &["big", "100"], &MANY), lab.serve(&site, 1, &["big", "100"], &MANY)];
    lab.start_proxy();
    let seconds = std::env::var("DAYFLY_HOSTS_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let path = PathBuf::from(lab.front.path());
    for (hosts, state) in [(1, "maint"), (2, "ready")] {
        lab.admin(&format!("set server hosts/h2 state {state}")).unwrap();
        if hosts == 2 {
            lab.until_up(&["h1", "h2"]);
        }
        let (answered, end) = (AtomicUsize::new(0), Instant::now() + Duration::from_secs(seconds));
        std::thread::scope(|scope| {
            for client in 0..8 {
                let (answered, path) = (&answered, &path);
                scope.spawn(move || {
                    sys::enter(File::open(path).unwrap().as_fd()).unwrap();
                    while Instant::now() < end {
                        assert_eq!(ask(&format!("127.0.1.{}", client + 1), 100), Answer::Whole);
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        println!("{hosts} hosts: {} in {seconds} s", answered.load(Ordering::Relaxed));
    }
    let records = serving.each_ref().map(|serving| serving.records_until(1));
    assert!(records.iter().all(|count| *count > 0), "{records:?}");
    end(serving);
    drop(lab);
    site.check_nothing_left();
}
