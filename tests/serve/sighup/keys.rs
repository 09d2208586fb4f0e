//! The keys, and how each is seen from outside or by the probe.

use common::serve::Serving;
use common::{Client, process, sys};
use std::time::{Duration, Instant};

/// A key, two values, and what tells them apart. DIR stands for a directory beside the site.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) values: [&'static str; 2],
    /// The rest of the file.
    pub(crate) with: &'static str,
    /// The probe's command.
    pub(crate) words: &'static [&'static str],
    pub(crate) look: fn(&Serving<'_>) -> String,
    /// Text that is in the first answer and text that is in the second; neither is in the other.
    pub(crate) seen: [&'static str; 2],
}

const NOTHING: &str = "";
const SLEEP: &[&str] = &["sleep"];
const ENV: &[&str] = &["env"];

pub(crate) const TREE: &[Key] = &[
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

pub(crate) const PROCESS: &[Key] = &[
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
        words: &["calls", "umask"],
        look: |serving| format!("[{}]", answer(serving)),
        seen: ["[]", "umask ok"],
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

pub(crate) const CONNECTION: &[Key] = &[
    Key {
        name: "wall_time",
        // Below the minute at which that timeout is capped.
        values: ["\"50s\"", "\"25s\""],
        with: NOTHING,
        words: SLEEP,
        // Only the setting that the kernel was given can still be seen.
        look: |serving| {
            let rest = option(serving, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT);
            if rest > 25_000 { "long".to_owned() } else { format!("short {}", rest > 10_000) }
        },
        seen: ["long", "short true"],
    },
    Key {
        name: "cpu_burst",
        values: ["\"infinity\"", "\"20ms\""],
        with: NOTHING,
        words: &["spin"],
        look: yields,
        seen: ["keeps", "yields"],
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

/// Keys whose reload cannot be shown here, each with the reason.
pub(crate) const NOT_TRIED: &[(&str, &str)] = &[
    ("dry_run", "an option of the command line alone"),
    ("service", "names the file"),
    ("cpu", "takes a cgroup: the checks of the units' virtual machine"),
    ("cgroup", "takes a cgroup, and one that was not there takes a restart"),
    ("kill_signal", "is run's"),
    ("status_fd", "is run's"),
    ("strict", "takes another kernel: tests/isolation/kernel.rs"),
    ("allow_degraded", "takes another kernel, or an ordinary user"),
    ("quiet", "is for the whole program, from its start"),
    ("verbose", "is for the whole program, from its start"),
    ("log_format", "is for the whole program, from its start"),
    ("listen", "sighup_listens_at_a_new_address_keeps_the_old_one_and_leaves_a_dropped_one"),
    ("backlog", "is of a socket that is made"),
    ("tls_certificate", "takes a client that speaks TLS: tests/tls/reload.rs"),
    ("tls_key", "the same"),
    ("tls_client_ca", "the same"),
    ("tls_crl", "the same: a_certificate_that_is_revoked_at_a_reload_is_refused_from_then_on"),
    ("tls_handshake_time", "the same"),
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

/// Whether a handler that computes has the least weight after a second.
fn yields(serving: &Serving<'_>) -> String {
    let client = serving.connect();
    let pid = process::until(|| serving.served().first().copied());
    let until = Instant::now() + Duration::from_secs(2);
    let mut seen = "keeps";
    while Instant::now() < until && seen == "keeps" {
        std::thread::sleep(Duration::from_millis(50));
        if process::read(pid, "autogroup").contains("nice 19") {
            seen = "yields";
        }
    }
    quiet(serving, [client]);
    seen.to_owned()
}

/// The answer to a connection while another one is served.
fn second(serving: &Serving<'_>, source: &str) -> String {
    let mut first = serving.connect();
    assert_eq!(first.line(), "ready");
    let mut other = serving.connect_from(source);
    let line = other.line();
    quiet(serving, [first, other]);
    line
}
