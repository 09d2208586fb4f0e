//! kill -9 of any process of ours, at random moments, under load: the service goes on or ends clean, nothing
//! is left behind, and nobody is served with a layer missing. DAYFLY_KILLS=200 says how often.

use common::serve::{Serve, Serving};
use common::{SetAtEnd, a_site, process};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// A generator of its own, so that what was seen can be had again: xorshift by Marsaglia.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}

/// One request to the echo. An answer may be cut by a kill; it is never another one.
fn ask(address: SocketAddr, line: &str) -> bool {
    let mut stream = TcpStream::connect(address).expect("the listening socket stays");
    stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
    // A client whose other end was killed sees it here or in reading.
    let _sent = stream.write_all(line.as_bytes()).and_then(|()| stream.shutdown(Shutdown::Write));
    let (mut answer, mut buffer) = (Vec::new(), [0; 256]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&buffer[..count]),
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{line:?} waited in vain");
                break;
            }
        }
    }
    assert!(line.as_bytes().starts_with(&answer), "asked {line:?}, was answered {answer:?}");
    answer.len() == line.len()
}

/// A missing layer of a handler that has a connection, as /proc shows it. None for one that has just gone.
fn unsealed(pid: u32) -> Option<String> {
    let fd0 = std::fs::read_link(format!("/proc/{pid}/fd/0")).ok()?;
    let status = process::read(pid, "status");
    if !fd0.to_string_lossy().starts_with("socket:")
        || !status.contains("State:")
        || status.contains("State:\tZ")
    {
        return None;
    }
    let zeros = "0000000000000000";
    let caps = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map(|set| format!("{set}:\t{zeros}"));
    let others = ["NoNewPrivs:\t1", "Seccomp:\t2", "Seccomp_filters:\t2", "Groups:\t \n"].map(String::from);
    let missing: Vec<_> = caps.into_iter().chain(others).filter(|line| !status.contains(line)).collect();
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:\t")).unwrap_or("0");
    if missing.is_empty() && !uid.starts_with("0\t") {
        None
    } else {
        Some(format!("{missing:?} in\n{status}"))
    }
}

/// Everything below the supervisor: parked, served, in the middle of their set-up.
fn below(supervisor: u32) -> Vec<u32> {
    process::all()
        .into_iter()
        .filter(|&pid| pid != supervisor && process::descends(pid, supervisor))
        .collect()
}

#[test]
fn a_kill_of_any_process_at_any_moment_leaves_nothing_behind_and_no_one_badly_served() {
    let _alone = crate::alone();
    let site = a_site!();
    let kills = std::env::var("DAYFLY_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(60_usize);
    let kept = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = kept.local_addr().unwrap();
    let parks = ["entry", "before-exec", "none"];
    let start = |n: usize| -> Serving<'_> {
        let snapshot = if n.is_multiple_of(2) { "readonly" } else { "overlay" };
        let options =
            ["--snapshot", snapshot, "--park", parks[n % 3], "--warm", "2..8", "--max-per-source", "100"];
        Serve::probe(&site, &["echo"]).options(&options).on(&kept).start()
    };
    let (done, whole, looks) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let going = || !done.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        let ask_on = |client: usize| {
            let (going, whole) = (&going, &whole);
            scope.spawn(move || {
                let mut n = 0;
                while going() {
                    n += 1;
                    let right = ask(address, &format!("client {client} request {n}\n"));
                    whole.fetch_add(usize::from(right), Ordering::Relaxed);
                }
            })
        };
        let clients: Vec<_> = (0..8).map(ask_on).collect();
        scope.spawn(|| {
            while going() {
                for pid in process::handlers(site.tag()) {
                    assert_eq!(unsealed(pid), None, "pid {pid}");
                    looks.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let _done = SetAtEnd(&done);
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let (mut serving, mut starts) = (start(0), 1);
        for kill in 1..=kills {
            // On a slow machine the clients set the pace: what is killed all the time never serves.
            process::until(|| (whole.load(Ordering::Relaxed) > kill).then_some(()));
            std::thread::sleep(Duration::from_millis(random.below(30) as u64));
            let victims = below(serving.supervisor());
            if victims.is_empty() || random.below(6) == 0 {
                // Its sandboxes follow it, all of them; then it is started again, as systemd does.
                serving.murder();
                serving = start(starts);
                starts += 1;
            } else {
                process::kill(victims[random.below(victims.len())]);
            }
        }
        // It still serves.
        process::until(|| ask(address, "after all\n").then_some(()));
        done.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().unwrap();
        }
        let (status, log) = serving.terminate();
        assert_eq!(status, 0, "{log}");
    });
    let (whole, looks) = (whole.into_inner(), looks.into_inner());
    assert!(whole > kills && looks > 0, "{whole} whole answers, {looks} looks at handlers");
    site.check_nothing_left();
}
