//! SIGHUP: every key of a service file that a reload can change, seen before and after by what the next connection finds.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod common;

use common::serve::{Serve, Serving};
use common::site::{Beside, give_to, make_directory, write};
use common::{Client, PATIENCE, Site, a_site, dayfly, process, sys};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

/// A key, two values, and what tells them apart. DIR stands for a directory beside the site.
struct Key {
    name: &'static str,
    values: [&'static str; 2],
    /// The rest of the file.
    with: &'static str,
    /// What the probe does.
    words: &'static [&'static str],
    look: fn(&Serving<'_>) -> String,
    /// What is looked for in the first answer and in the second, and is not in the other.
    seen: [&'static str; 2],
}

const NOTHING: &str = "";
const SLEEP: &[&str] = &["sleep"];
const ENV: &[&str] = &["env"];

const TREE: &[Key] = &[
    Key {
        name: "template",
        values: ["\"DIR/../template\"", "\"DIR/other\""],
        with: NOTHING,
        words: &["try", "cat", "/etc/os-release"],
        look: answer,
        seen: ["ID=dayfly-test", "ID=other"],
    },
    Key {
        name: "snapshot",
        values: ["\"readonly\"", "\"overlay\""],
        with: "landlock_rw = [\"/\"]",
        words: &["try", "write", "/srv/new"],
        look: answer,
        seen: ["errno 30", "ok"],
    },
    Key {
        name: "owner",
        values: ["\"0\"", "\"4242\""],
        with: "snapshot = \"overlay\"",
        words: &["try", "write", "/srv/hello"],
        look: answer,
        seen: ["ok", "errno 13"],
    },
    Key {
        name: "landlock_ro",
        values: ["[\"/srv\"]", "[\"/etc\"]"],
        with: "snapshot = \"readonly\"",
        words: &["try", "open", "/srv/hello"],
        look: answer,
        seen: ["ok", "errno 13"],
    },
    Key {
        name: "landlock_rw",
        values: ["[\"/srv\"]", "[\"/tmp\"]"],
        with: "snapshot = \"overlay\"",
        words: &["try", "write", "/srv/new"],
        look: answer,
        seen: ["ok", "errno 13"],
    },
    Key {
        name: "bind_ro",
        values: ["[\"DIR/a:/empty\"]", "[\"DIR/b:/empty\"]"],
        with: NOTHING,
        words: &["try", "cat", "/empty/name"],
        look: answer,
        seen: ["name of a", "name of b"],
    },
    Key {
        name: "overlay_ro",
        values: ["[\"DIR/b:DIR/a:/empty\"]", "[\"DIR/a:DIR/b:/empty\"]"],
        with: NOTHING,
        words: &["try", "cat", "/empty/name"],
        look: answer,
        seen: ["name of a", "name of b"],
    },
    Key {
        name: "bind",
        values: ["[\"DIR/a:/empty\"]", "[\"DIR/b:/empty\"]"],
        with: NOTHING,
        words: &["try", "cat", "/empty/name"],
        look: answer,
        seen: ["name of a", "name of b"],
    },
    Key {
        name: "open",
        values: ["[\"DIR/one:x:ro\"]", "[\"DIR/two:x:ro\"]"],
        with: NOTHING,
        words: &["try", "read_fd", "3"],
        look: answer,
        seen: ["content one", "content two"],
    },
    Key {
        name: "credential",
        values: ["[\"x:DIR/one\"]", "[\"x:DIR/two\"]"],
        with: NOTHING,
        words: &["try", "cat", "/run/credentials/x"],
        look: answer,
        seen: ["content one", "content two"],
    },
    Key {
        name: "tmpfs",
        values: ["[\"/empty:1M\"]", "[\"/empty:2M\"]"],
        with: NOTHING,
        words: &["fill", "/empty/fill"],
        look: answer,
        seen: ["fill 1048576 ", "fill 2097152 "],
    },
    Key {
        name: "proc",
        values: ["false", "true"],
        with: NOTHING,
        words: &["see", "/proc"],
        look: |serving| format!("has{}", answer(serving).matches("entry self").count()),
        seen: ["has0", "has1"],
    },
];

const PROCESS: &[Key] = &[
    Key {
        name: "handler",
        values: ["[\"/bin/probe\", \"see\", \"ids\"]", "[\"/bin/probe\", \"see\", \"cwd\"]"],
        with: NOTHING,
        words: &[],
        look: answer,
        seen: ["uid ", "cwd /"],
    },
    Key {
        name: "profile",
        values: ["\"static\"", "\"interpreter\""],
        with: NOTHING,
        words: &["calls", "getppid"],
        look: |serving| format!("[{}]", answer(serving)),
        seen: ["[]", "getppid ok"],
    },
    Key {
        name: "setenv",
        values: ["[\"WORD=one\"]", "[\"WORD=two\"]"],
        with: NOTHING,
        words: ENV,
        look: answer,
        seen: ["WORD=one", "WORD=two"],
    },
    Key {
        name: "hostname",
        values: ["\"one.example\"", "\"two.example\""],
        with: NOTHING,
        words: SLEEP,
        look: |serving| {
            of_handler(serving, |pid| {
                process::inside(pid, "uts", || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap())
            })
        },
        seen: ["one.example", "two.example"],
    },
    Key {
        name: "chdir",
        values: ["\"/srv\"", "\"/etc\""],
        with: NOTHING,
        words: &["see", "cwd"],
        look: answer,
        seen: ["cwd /srv", "cwd /etc"],
    },
    Key {
        name: "net",
        values: ["\"shared\"", "\"private\""],
        with: NOTHING,
        words: SLEEP,
        look: |serving| {
            let mut clients = [(); 2].map(|()| serving.connect());
            clients.iter_mut().for_each(|client| assert_eq!(client.line(), "ready"));
            let mut networks: Vec<_> =
                serving.served().iter().map(|pid| process::namespace(*pid, "net")).collect();
            networks.dedup();
            quiet(serving, clients);
            assert!(!networks.contains(&process::namespace(std::process::id(), "net")), "the host's network");
            format!("{} networks", networks.len())
        },
        seen: ["1 networks", "2 networks"],
    },
    Key {
        name: "init",
        values: ["false", "true"],
        with: NOTHING,
        words: &["see", "pid"],
        look: answer,
        seen: ["pid 1", "pid 2"],
    },
    Key {
        name: "memory",
        values: ["\"32M\"", "\"48M\""],
        with: "cgroup = \"none\"",
        words: SLEEP,
        look: |serving| of_handler(serving, |pid| process::limit(pid, "Max data size").0),
        seen: ["33554432", "50331648"],
    },
    Key {
        name: "tasks",
        values: ["2", "3"],
        with: "cgroup = \"none\"",
        words: SLEEP,
        look: |serving| of_handler(serving, |pid| format!("<{}>", process::limit(pid, "Max processes").0)),
        seen: ["<2>", "<3>"],
    },
    Key {
        name: "cpu_affinity",
        values: ["\"0\"", "\"1\""],
        with: NOTHING,
        words: SLEEP,
        look: |serving| of_handler(serving, |pid| format!("<{}>", process::status(pid)["Cpus_allowed_list"])),
        seen: ["<0>", "<1>"],
    },
    Key {
        name: "oom_score_adjust",
        values: ["300", "400"],
        with: NOTHING,
        words: SLEEP,
        look: |serving| of_handler(serving, |pid| process::read(pid, "oom_score_adj")),
        seen: ["300", "400"],
    },
    Key {
        name: "rlimit",
        values: ["[\"nofile=16\"]", "[\"nofile=20\"]"],
        with: NOTHING,
        words: SLEEP,
        look: |serving| of_handler(serving, |pid| process::limit(pid, "Max open files").0),
        seen: ["16", "20"],
    },
    Key {
        name: "user_range",
        values: ["\"1879048192+4194304\"", "\"1900000000+4194304\""],
        with: NOTHING,
        words: &["see", "ids"],
        look: answer,
        seen: ["uid 18", "uid 190"],
    },
    Key {
        name: "park",
        values: ["\"entry\"", "\"before-exec\""],
        with: NOTHING,
        words: ENV,
        look: |serving| {
            let named = answer(serving).contains("REMOTE_ADDR=");
            if named { "named".to_owned() } else { "alone".to_owned() }
        },
        seen: ["alone", "named"],
    },
    Key {
        name: "warm",
        values: ["2", "3"],
        with: NOTHING,
        words: SLEEP,
        look: |serving| {
            // As many are there for a while.
            let count = || serving.handlers().len();
            process::until(|| {
                let before = count();
                std::thread::sleep(Duration::from_millis(300));
                (before > 1 && before == count()).then(|| format!("{before} parked"))
            })
        },
        seen: ["2 parked", "3 parked"],
    },
];

const CONNECTION: &[Key] = &[
    Key {
        name: "wall_time",
        values: ["\"1000s\"", "\"500s\""],
        with: NOTHING,
        words: SLEEP,
        // What the kernel is told is what remains of it.
        look: |serving| {
            let rest = option(serving, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT);
            if rest > 500_000 { "long".to_owned() } else { format!("short {}", rest > 400_000) }
        },
        seen: ["long", "short true"],
    },
    Key {
        name: "idle_time",
        values: ["\"infinity\"", "\"300ms\""],
        with: NOTHING,
        words: SLEEP,
        look: |serving| is_ended(serving, "ready"),
        seen: ["stays", "ended"],
    },
    Key {
        name: "wait_for_data",
        values: ["\"infinity\"", "\"300ms\""],
        with: NOTHING,
        words: SLEEP,
        look: |serving| is_ended(serving, ""),
        seen: ["stays", "ended"],
    },
    Key {
        name: "send_buffer",
        values: ["\"32K\"", "\"64K\""],
        with: NOTHING,
        words: SLEEP,
        look: |serving| format!("<{}>", option(serving, libc::SOL_SOCKET, libc::SO_SNDBUF)),
        seen: ["<65536>", "<131072>"],
    },
    Key {
        name: "on_refusal",
        values: ["\"sorry, one\"", "\"sorry, two\""],
        with: "open = [\"DIR/nobody:x:connect\"]",
        words: SLEEP,
        look: answer,
        seen: ["sorry, one", "sorry, two"],
    },
    Key {
        name: "proxy_protocol",
        values: ["[\"192.0.2.1\"]", "[\"127.0.0.1\"]"],
        with: NOTHING,
        words: &["echo"],
        look: |serving| {
            let header = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 7070\r\nhello";
            String::from_utf8(serving.ask(header)).unwrap().replace("PROXY", "as it came") + "."
        },
        seen: ["as it came", "hello."],
    },
    Key {
        name: "max_connections",
        values: ["1", "2"],
        with: "over_limit = \"full\\n\"",
        words: SLEEP,
        look: |serving| second(serving, "127.0.0.1"),
        seen: ["full", "ready"],
    },
    Key {
        name: "max_per_source",
        values: ["1", "2"],
        with: "over_limit = \"full\\n\"",
        words: SLEEP,
        look: |serving| second(serving, "127.0.0.1"),
        seen: ["full", "ready"],
    },
    Key {
        name: "source_prefix4",
        values: ["8", "32"],
        with: "over_limit = \"full\\n\"\nmax_per_source = 1",
        words: SLEEP,
        look: |serving| second(serving, "127.0.0.2"),
        seen: ["full", "ready"],
    },
    Key {
        name: "rate",
        values: ["\"1/1h\"", "\"2/1h\""],
        with: "over_limit = \"slower\"",
        words: &["banner"],
        // From somebody who has not come before.
        look: |serving| {
            static NEXT: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(10);
            let source = format!("127.0.1.{}", NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
            let mut last = String::new();
            for _ in 0..2 {
                let mut client = serving.connect_from(&source);
                last = client.line();
                drop(client);
            }
            last
        },
        seen: ["slower", "welcome"],
    },
    Key {
        name: "over_limit",
        values: ["\"full, one\\n\"", "\"full, two\\n\""],
        with: "max_connections = 1",
        words: SLEEP,
        look: |serving| second(serving, "127.0.0.1"),
        seen: ["full, one", "full, two"],
    },
];

/// What a reload cannot show here, each with the reason.
const NOT_TRIED: &[(&str, &str)] = &[
    ("service", "names the file"),
    ("cpu", "takes a cgroup: the checks of the units' virtual machine"),
    ("cgroup", "takes a cgroup, and one that was not there takes a restart"),
    ("kill_signal", "is run's"),
    ("status_fd", "is run's"),
    ("strict", "takes another kernel: tests/kernel.rs"),
    ("allow_degraded", "takes another kernel, or an ordinary user"),
    ("quiet", "is for the whole program, from its start"),
    ("verbose", "is for the whole program, from its start"),
    ("log_format", "is for the whole program, from its start"),
    ("listen", "sighup_listens_at_a_new_address_keeps_the_old_one_and_leaves_a_dropped_one"),
    ("backlog", "is of a socket that is made"),
    ("source_prefix6", "the loopback has one IPv6 address"),
    ("min_rate", "min_rate_and_drain_time_are_those_of_the_reloaded_file"),
    ("drain_time", "min_rate_and_drain_time_are_those_of_the_reloaded_file"),
];

fn answer(serving: &Serving<'_>) -> String {
    String::from_utf8_lossy(&serving.ask(b"")).into_owned()
}

/// Closes connections and waits until they are not counted any more.
fn quiet<const N: usize>(serving: &Serving<'_>, clients: [Client; N]) {
    drop(clients);
    process::until(|| (serving.live() == 0).then_some(()));
}

/// Something about the handler of a connection.
fn of_handler(serving: &Serving<'_>, look: impl FnOnce(u32) -> String) -> String {
    let mut client = serving.connect();
    assert_eq!(client.line(), "ready");
    let seen = look(serving.served()[0]);
    quiet(serving, [client]);
    seen
}

fn option(serving: &Serving<'_>, level: i32, name: i32) -> i32 {
    use std::os::fd::AsFd;
    let mut value = 0;
    of_handler(serving, |pid| {
        value = sys::option(sys::borrow(pid, 0).unwrap().as_fd(), level, name).unwrap();
        String::new()
    });
    value
}

/// Whether a connection that says nothing is ended, after the line that its handler begins with.
fn is_ended(serving: &Serving<'_>, first: &str) -> String {
    let mut client = serving.connect();
    if !first.is_empty() {
        assert_eq!(client.line(), first);
    }
    let ended = sys::readable(client.fd(), Duration::from_secs(2));
    quiet(serving, [client]);
    if ended { "ended".to_owned() } else { "stays".to_owned() }
}

/// What a connection is told while another one is served.
fn second(serving: &Serving<'_>, source: &str) -> String {
    let mut first = serving.connect();
    assert_eq!(first.line(), "ready");
    let mut other = serving.connect_from(source);
    let line = other.line();
    quiet(serving, [first, other]);
    line
}

/// What the values speak of.
fn furnish(site: &mut Site, beside: &Beside) {
    for name in ["run", "run/credentials", "proc"] {
        make_directory(&site.template().join(name), 0o755);
    }
    site.settle();
    for (name, content) in [("one", "one\n"), ("two", "two\n")] {
        beside.file(name, content, 0o644);
    }
    for name in ["a", "b"] {
        make_directory(&beside.0.join(name), 0o755);
        let file = beside.0.join(name).join("name");
        write(&file, format!("name of {name}\n").as_bytes(), 0o644);
        give_to(&file, 4242);
        give_to(&beside.0.join(name), 4242);
    }
    let copied =
        std::process::Command::new("cp").arg("-a").arg(site.template()).arg(beside.0.join("other")).status();
    assert!(copied.unwrap().success());
    write(&beside.0.join("other/etc/os-release"), b"ID=other\n", 0o644);
    // A socket at which nobody answers.
    drop(UnixListener::bind(beside.0.join("nobody")).unwrap());
}

fn text(site: &Site, beside: &Path, key: &Key, value: &str) -> String {
    let mut text = format!("{} = {value}\n{}\n", key.name, key.with);
    if key.name != "template" {
        text += &format!("template = {:?}\n", site.template());
    }
    if key.name != "handler" {
        let words: Vec<String> = key.words.iter().map(|word| format!("{word:?}")).collect();
        text += &format!("handler = [\"/bin/probe\", \"@{}\", {}]\n", site.tag(), words.join(", "));
    }
    let template = site.template().display().to_string();
    text.replace("DIR/../template", &template).replace("DIR", &beside.display().to_string())
}

fn try_all(keys: &[Key]) {
    let Some(mut site) = Site::new() else { return common::skip("this test needs root") };
    let beside = Beside::new(&site);
    furnish(&mut site, &beside);
    for key in keys {
        if key.name == "cpu_affinity" && std::thread::available_parallelism().unwrap().get() < 2 {
            eprintln!("skipped: cpu_affinity, with one processor");
            continue;
        }
        let [before, after] = key.values;
        let file = beside.file("service.toml", &text(&site, &beside.0, key, before), 0o644);
        let serving = Serve::file(&site, &file).start();
        let seen = (key.look)(&serving);
        assert!(seen.contains(key.seen[0]), "{} = {before}: {seen}", key.name);
        // Until it is told, nothing is different.
        std::fs::write(&file, text(&site, &beside.0, key, after)).unwrap();
        let seen = (key.look)(&serving);
        assert!(seen.contains(key.seen[0]), "{} = {before}, without SIGHUP: {seen}", key.name);
        serving.signal(libc::SIGHUP);
        serving.await_log(&["dayfly: reloaded"]);
        let seen = (key.look)(&serving);
        assert!(seen.contains(key.seen[1]), "{} = {after}: {seen}", key.name);
        let (status, log) = serving.terminate();
        assert_eq!(status, 0, "{}: {log}", key.name);
    }
}

#[test]
fn sighup_changes_every_key_of_the_tree() {
    try_all(TREE);
}

#[test]
fn sighup_changes_every_key_of_the_process() {
    try_all(PROCESS);
}

#[test]
fn sighup_changes_every_key_of_connections_and_limits() {
    try_all(CONNECTION);
}

#[test]
fn min_rate_and_drain_time_are_those_of_the_reloaded_file() {
    let site = a_site!();
    let beside = Beside::new(&site);
    let text = |rest: &str| {
        let (template, tag) = (site.template(), site.tag());
        format!(
            "template = {template:?}\nhandler = [\"/bin/probe\", \"@{tag}\", \"big\", \"10000000\"]\n{rest}\n\
             idle_time = \"infinity\"\nwall_time = \"infinity\"\n"
        )
    };
    let file = beside.file("service.toml", &text("min_rate = \"infinity\"\ndrain_time = \"1h\""), 0o644);
    let serving = Serve::file(&site, &file).start();
    // Asked for, and not taken: served by the first file, before the reload and after it.
    let slow = || {
        let mut client = serving.connect();
        sys::small_receive_buffer(client.fd()).unwrap();
        client.send(b"/\n");
        assert_eq!(client.read(&mut [0]), 1);
        client
    };
    let old = slow();
    std::fs::write(&file, text("min_rate = \"1G\"\ndrain_time = \"200ms\"")).unwrap();
    serving.signal(libc::SIGHUP);
    serving.await_log(&["dayfly: reloaded"]);
    let new = slow();
    let line = serving.await_log(&["ended"]);
    assert!(line.contains("limit=min-rate") && line.contains("conn=2"), "{line}");
    drop(new);
    let started = Instant::now();
    serving.signal(libc::SIGTERM);
    let (status, log) = serving.end();
    assert_eq!(status, 0, "{log}");
    assert!(started.elapsed() < PATIENCE && log.contains("conn=1"), "{log}");
    drop(old);
}

/// Where every sandbox has a network of its own, the supervisor stays in the host's: nobody may come to share that.
#[test]
fn no_reload_puts_a_sandbox_into_the_hosts_network() {
    let mut site = a_site!();
    let beside = Beside::new(&site);
    furnish(&mut site, &beside);
    let net = PROCESS.iter().find(|key| key.name == "net").unwrap();
    let [shared, private] = net.values;
    let file = beside.file("service.toml", &text(&site, &beside.0, net, private), 0o644);
    let serving = Serve::file(&site, &file).start();
    assert_eq!((net.look)(&serving), "2 networks");
    std::fs::write(&file, text(&site, &beside.0, net, shared)).unwrap();
    serving.signal(libc::SIGHUP);
    serving.await_log(&["not reloaded", "net: 'shared' takes a restart"]);
    assert_eq!((net.look)(&serving), "2 networks");
    assert_eq!(serving.terminate().0, 0);
}

#[test]
fn every_key_is_tried_or_has_a_reason() {
    let help = std::process::Command::new(dayfly()).args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let options = help.lines().map(str::trim).filter(|line| line.starts_with('-'));
    let names = options.filter_map(|line| line.split_once("--").map(|(_, rest)| rest));
    let names = names.map(|rest| rest.split([' ', '[', ',']).next().unwrap().replace('-', "_"));
    let names: Vec<String> = names.filter(|name| name != "help").collect();
    assert!(names.len() > 50, "{names:?}");
    let all = || TREE.iter().chain(PROCESS).chain(CONNECTION).map(|key| key.name);
    let known = |name: &str| {
        all().any(|known| known == name)
            || name == "handler"
            || NOT_TRIED.iter().any(|(known, _)| *known == name)
    };
    let unknown: Vec<_> = names.iter().filter(|name| !known(name)).collect();
    assert!(unknown.is_empty(), "neither tried nor left out with a reason: {unknown:?}");
    let stale: Vec<_> =
        NOT_TRIED.iter().filter(|(name, _)| !names.iter().any(|known| known == name)).collect();
    assert!(stale.is_empty(), "no option: {stale:?}");
}
