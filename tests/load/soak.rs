//! Many connections of every kind, 64 at a time: each well-formed one is answered right, and afterwards
//! there is no more of anything than there was after the first few. DAYFLY_SOAK=100000 says how many;
//! scripts/soak does.

use common::serve::{Serve, Serving};
use common::{PATIENCE, a_site, process};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket, sockopt,
};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const AT_ONCE: usize = 64;
const WARM: usize = 8;
/// Once the first few have been served.
const FIRST: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Reads its answer, then closes.
    Clean,
    /// Says that it has no more, then reads.
    HalfClosed,
    /// Goes away with a reset before it has its answer.
    Reset,
    /// A byte now, the rest in a while.
    Slow,
    /// Sends more than all buffers on the way hold.
    Oversized,
    /// Closes without a byte.
    Silent,
    /// Says nothing and waits to be sent away.
    Idle,
}

impl Kind {
    fn of(n: usize) -> Kind {
        match n % 64 {
            0..28 => Kind::Clean,
            28..42 => Kind::HalfClosed,
            42..50 => Kind::Reset,
            50..54 => Kind::Slow,
            54..58 => Kind::Oversized,
            58..63 => Kind::Silent,
            _ => Kind::Idle,
        }
    }
}

/// Each client has an address of its own in the loopback network, and so enough ports.
fn client(number: usize, address: SocketAddr) -> TcpStream {
    let own = SocketAddr::from(([127, 0, 1, u8::try_from(number).unwrap() + 1], 0));
    let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    setsockopt(&fd, sockopt::ReuseAddr, &true).unwrap();
    bind(fd.as_raw_fd(), &SockaddrStorage::from(own)).unwrap();
    connect(fd.as_raw_fd(), &SockaddrStorage::from(address)).expect("the listening socket is open");
    let stream = TcpStream::from(fd);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// One conversation with the echo; Err says what was wrong with it.
fn converse(kind: Kind, n: usize, mut stream: TcpStream) -> Result<(), String> {
    let size = if kind == Kind::Oversized { 600_000 } else { 100 };
    let text: Vec<u8> = format!("connection {n} ").bytes().cycle().take(size).collect();
    let failed = |error: std::io::Error| format!("{kind:?} {n}: {error}");
    let mut answer = vec![0; size];
    match kind {
        Kind::Clean | Kind::Slow => {
            let (first, rest) = text.split_at(if kind == Kind::Slow { 1 } else { size });
            stream.write_all(first).map_err(failed)?;
            if kind == Kind::Slow {
                std::thread::sleep(Duration::from_millis(50));
            }
            stream.write_all(rest).map_err(failed)?;
            stream.read_exact(&mut answer).map_err(failed)?;
        }
        Kind::HalfClosed | Kind::Oversized => {
            let mut sender = stream.try_clone().map_err(failed)?;
            std::thread::scope(|scope| {
                let sending =
                    scope.spawn(|| sender.write_all(&text).and_then(|()| sender.shutdown(Shutdown::Write)));
                answer.clear();
                stream.read_to_end(&mut answer)?;
                sending.join().unwrap()
            })
            .map_err(failed)?;
        }
        Kind::Reset => {
            stream.write_all(&text).map_err(failed)?;
            let linger = libc::linger { l_onoff: 1, l_linger: 0 };
            setsockopt(&stream, sockopt::Linger, &linger).unwrap();
            return Ok(());
        }
        Kind::Silent => return Ok(()),
        Kind::Idle => {
            let mut rest = Vec::new();
            // Sent away with an end or a reset, and without a byte.
            let _either = stream.read_to_end(&mut rest);
            return if rest.is_empty() { Ok(()) } else { Err(format!("{kind:?} {n}: was told {rest:?}")) };
        }
    }
    if answer == text { Ok(()) } else { Err(format!("{kind:?} {n}: {} bytes, not its own", answer.len())) }
}

/// Counts that must not grow.
#[derive(Debug)]
struct Counts {
    processes: usize,
    namespaces: usize,
    mounts: usize,
    host_mounts: usize,
    descriptors: usize,
    cgroups: usize,
    /// /proc/net/sockstat; these are of the whole machine, where others may be at work.
    orphans: u64,
    sockets: u64,
    tcp_pages: u64,
    /// The supervisor's anonymous memory.
    memory_kib: u64,
}

impl Counts {
    fn take(serving: &Serving<'_>) -> Counts {
        let supervisor = serving.supervisor();
        let ours: Vec<u32> =
            process::all().into_iter().filter(|&pid| process::descends(pid, supervisor)).collect();
        let nets = ours.iter().filter_map(|pid| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok());
        let namespaces: std::collections::BTreeSet<_> = nets.collect();
        let sockstat = std::fs::read_to_string("/proc/net/sockstat").unwrap();
        let tcp: Vec<&str> =
            sockstat.lines().find(|line| line.starts_with("TCP:")).unwrap().split(' ').collect();
        let of = |name: &str| {
            let at = tcp.iter().position(|word| *word == name).unwrap();
            tcp[at + 1].parse::<u64>().unwrap()
        };
        let status = process::status(supervisor);
        Counts {
            processes: ours.len(),
            namespaces: namespaces.len(),
            mounts: process::read(supervisor, "mountinfo").lines().count(),
            host_mounts: process::read(std::process::id(), "mountinfo").lines().count(),
            descriptors: process::descriptors(supervisor).len(),
            cgroups: directories(std::path::Path::new("/sys/fs/cgroup")),
            orphans: of("orphan"),
            sockets: of("alloc"),
            tcp_pages: of("mem"),
            memory_kib: status["RssAnon"].split(' ').next().unwrap().parse().unwrap(),
        }
    }

    /// Whether there is no more of anything than before, give or take what others do and what an
    /// allocator keeps.
    fn is_as(&self, before: &Counts) -> bool {
        self.processes <= before.processes
            && self.namespaces <= before.namespaces
            && self.mounts <= before.mounts
            && self.host_mounts <= before.host_mounts
            && self.descriptors <= before.descriptors
            && self.cgroups <= before.cgroups + 16
            && self.orphans <= before.orphans + 32
            && self.sockets <= before.sockets + 256
            && self.tcp_pages <= before.tcp_pages + 1024
            && self.memory_kib <= before.memory_kib + 512
    }
}

fn directories(top: &std::path::Path) -> usize {
    let below = std::fs::read_dir(top).into_iter().flatten().flatten();
    below.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| 1 + directories(&e.path())).sum()
}

/// Waits until the pool is full again and nothing else is there.
fn settled(serving: &Serving<'_>, as_before: Option<&Counts>) -> Counts {
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let counts = Counts::take(serving);
        let good = match as_before {
            // The supervisor and its warm ones.
            None => counts.processes == WARM + 1,
            Some(before) => counts.processes == WARM + 1 && counts.is_as(before),
        };
        if good || Instant::now() > deadline {
            return counts;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// All connections from the one number up to the other; how many of each kind there were.
fn serve_all(address: SocketAddr, from: usize, to: usize) -> BTreeMap<Kind, usize> {
    let (next, wrong, kinds) = (AtomicUsize::new(from), Mutex::new(Vec::new()), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for number in 0..AT_ONCE {
            let (next, wrong, kinds) = (&next, &wrong, &kinds);
            scope.spawn(move || {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= to {
                        return;
                    }
                    let kind = Kind::of(n);
                    if let Err(error) = converse(kind, n, client(number, address)) {
                        wrong.lock().unwrap().push(error);
                    }
                    *kinds.lock().unwrap().entry(kind).or_insert(0) += 1;
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    let first: Vec<_> = wrong.iter().take(20).collect();
    assert!(wrong.is_empty(), "{} were answered wrongly: {first:#?}", wrong.len());
    kinds.into_inner().unwrap()
}

#[test]
fn many_connections_of_every_kind_are_answered_right_and_leave_nothing() {
    let _alone = crate::alone();
    let site = a_site!();
    let all = std::env::var("DAYFLY_SOAK").ok().and_then(|n| n.parse().ok()).unwrap_or(3000_usize);
    let warm = WARM.to_string();
    let options = ["--quiet", "--warm", &warm, "--idle-time", "2s", "--max-per-source", "64"];
    let serving = Serve::probe(&site, &["echo"]).options(&options).start();
    serve_all(serving.address, 0, FIRST);
    let before = settled(&serving, None);
    let started = Instant::now();
    let kinds = serve_all(serving.address, FIRST, all);
    let elapsed = started.elapsed();
    let after = settled(&serving, Some(&before));
    eprintln!("{} connections in {elapsed:.1?}, 64 at a time: {kinds:?}", all - FIRST);
    eprintln!("after the first {FIRST}: {before:?}\nafter all of them: {after:?}");
    assert!(after.is_as(&before), "before {before:#?}\nafter {after:#?}");
    let (status, log) = serving.terminate();
    assert_eq!(status, 0, "{log}");
}
