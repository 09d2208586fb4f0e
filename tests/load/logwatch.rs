//! Many watchers of one log, one of them stopped: nobody waits for it, no line is lost or doubled, and it is told what it
//! missed. DAYFLY_WATCHERS, DAYFLY_WATCH_SECONDS and DAYFLY_WATCH_RATE (lines a second) say how many;
//! scripts/logwatch-load does.

use common::serve::{Serve, Serving};
use common::site::Beside;
use common::{PATIENCE, Site, a_site, checkout, dayfly, dist, process, sys};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const BATCHES_A_SECOND: usize = 100;
/// More than the rotated files that a watcher may leave unread.
const ROTATIONS: usize = 8;

const FOLLOWED: &[u8] = b"logwatch: messages: followed\n";

fn number(name: &str, usual: usize) -> usize {
    std::env::var(name).map_or(usual, |text| text.parse().expect("a number"))
}

/// The shipped service over the logs in `logs`.
fn service(site: &mut Site, logs: &Path) -> PathBuf {
    let (from, template) = (site.directory().join("from"), site.directory().join("watch"));
    fs::create_dir(&from).unwrap();
    fs::write(from.join(".mountpoints"), "/log\n/tmp\n").unwrap();
    let made = Command::new(dayfly())
        .args(["template", "build", "--from"])
        .args([&from, Path::new("--handler"), &dist("logwatch"), &template])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let shipped = fs::read_to_string(checkout().join("rootfs/examples/logwatch/logwatch.toml")).unwrap();
    let here = shipped.replace("/srv/templates/logwatch", template.to_str().unwrap());
    site.file("logwatch.toml", &here.replace("/var/log/relay", logs.to_str().unwrap()))
}

/// The whole log as a watcher gets it, and how long each batch of lines is there.
struct Log {
    expected: Vec<u8>,
    batch_bytes: usize,
    /// Microseconds from the beginning, when each batch was written.
    written: Vec<AtomicU64>,
    lines: usize,
    began: Instant,
}

impl Log {
    fn new(seconds: usize, rate: usize) -> Log {
        let lines = seconds * rate;
        let text: Vec<String> = (0..lines).map(|line| format!("messages: {line:09} {:060}\n", 0)).collect();
        let batch = rate / BATCHES_A_SECOND;
        let written = (0..lines / batch).map(|_| AtomicU64::new(0)).collect();
        let batch_bytes = batch * text[0].len();
        Log { expected: text.concat().into_bytes(), batch_bytes, written, lines, began: Instant::now() }
    }

    /// Writes it in time, and rotates on the way.
    fn write(&self, logs: &Path, began: Instant) {
        let path = logs.join("messages");
        let open = || OpenOptions::new().create(true).append(true).open(&path).unwrap();
        let mut file = open();
        let every = self.written.len() / (ROTATIONS + 1);
        for (number, batch) in self.expected.chunks(self.batch_bytes).enumerate() {
            let due = began + Duration::from_secs(1) * u32::try_from(number).unwrap() / 100;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if number > 0 && number % every == 0 && number / every <= ROTATIONS {
                fs::rename(&path, logs.join(format!("messages.{}", ROTATIONS + 1 - number / every))).unwrap();
                file = open();
            }
            let lines: Vec<u8> =
                batch.split_inclusive(|&byte| byte == b'\n').flat_map(|line| &line[10..]).copied().collect();
            // Before it is written: no watcher can see it earlier.
            let now = u64::try_from(self.began.elapsed().as_micros()).unwrap();
            self.written[number].store(now, Ordering::Release);
            file.write_all(&lines).unwrap();
        }
    }

    /// Reads it all, and tells how late each batch was, in microseconds.
    fn watch(&self, mut stream: TcpStream) -> Vec<u64> {
        let (mut at, mut late) = (0, Vec::new());
        let mut chunk = vec![0; 1 << 16];
        while at < self.expected.len() {
            let length = stream.read(&mut chunk).expect("lines in time");
            let now = u64::try_from(self.began.elapsed().as_micros()).unwrap();
            assert_ne!(length, 0, "the end at {at}");
            let is_right = self.expected.get(at..at + length) == Some(&chunk[..length]);
            assert!(is_right, "a line was lost or doubled in {}", String::from_utf8_lossy(&chunk[..length]));
            let before = at / self.batch_bytes;
            at += length;
            late.extend(
                (before..at / self.batch_bytes)
                    .map(|batch| now - self.written[batch].load(Ordering::Acquire)),
            );
        }
        late
    }
}

/// A watcher that has been told that it is one.
fn connected(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut said = [0; FOLLOWED.len()];
    stream.read_exact(&mut said).unwrap();
    assert_eq!(said, FOLLOWED);
    stream
}

/// A watcher that is a process, and writes what it gets to a file.
fn stopped(address: SocketAddr, output: &Path) -> Child {
    let script = format!("exec cat <>/dev/tcp/{}/{}", address.ip(), address.port());
    let child = Command::new("bash")
        .args(["-c", &script])
        .stdin(Stdio::null())
        .stdout(File::create(output).unwrap())
        .spawn()
        .unwrap();
    process::until(|| fs::read(output).ok().filter(|said| said.starts_with(FOLLOWED)));
    sys::kill(child.id(), libc::SIGSTOP).unwrap();
    child
}

/// How many lines the stopped one was told to have missed; all others it must have, each once.
fn missed(log: &Log, output: &Path) -> Option<usize> {
    let text = fs::read_to_string(output).unwrap();
    let (mut next, mut gone) = (0, 0);
    for line in text.strip_prefix(std::str::from_utf8(FOLLOWED).unwrap())?.split_inclusive('\n') {
        if !line.ends_with('\n') {
            return None;
        }
        match line.trim_end().strip_prefix("logwatch: messages: lost lines: ") {
            Some(count) => {
                let count: usize = count.parse().expect("an exact number");
                (next, gone) = (next + count, gone + count);
            }
            None => {
                assert!(line.starts_with(&format!("messages: {next:09} ")), "{line} in the place of {next}");
                next += 1;
            }
        }
    }
    (next == log.lines).then_some(gone)
}

/// KiB of anonymous memory, and of all that is counted to it in parts, of the sandboxes with a watcher; the largest.
fn memory(serving: &Serving<'_>) -> (u64, u64) {
    let kib = |text: &str, key: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or("0 kB");
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    let is_served = |pid: &u32| {
        let first = process::descriptors_if_alive(*pid).and_then(|mut all| all.remove(&0));
        first.is_some_and(|name| name.starts_with("socket:")) && process::descends(*pid, serving.supervisor())
    };
    let all = process::all().into_iter().filter(is_served).map(|pid| process::read(pid, "smaps_rollup"));
    all.map(|text| (kib(&text, "Anonymous:"), kib(&text, "Pss:"))).max().unwrap()
}

#[test]
fn a_stopped_watcher_makes_nobody_late_and_is_told_exactly_what_it_missed() {
    let _alone = crate::alone();
    let mut site = a_site!();
    let beside = Beside::new(&site);
    let logs = beside.0.join("logs");
    fs::create_dir(&logs).unwrap();
    File::create(logs.join("messages")).unwrap();
    let file = service(&mut site, &logs);
    let serving = Serve::file(&site, &file).start();
    let watchers = number("DAYFLY_WATCHERS", 20);
    let log = Log::new(number("DAYFLY_WATCH_SECONDS", 3), number("DAYFLY_WATCH_RATE", 10_000));
    let output = beside.0.join("output");
    let mut slow = stopped(serving.address, &output);
    let streams: Vec<_> = (1..watchers).map(|_| connected(serving.address)).collect();
    let mut late: Vec<u64> = std::thread::scope(|scope| {
        let readers: Vec<_> =
            streams.iter().map(|stream| scope.spawn(|| log.watch(stream.try_clone().unwrap()))).collect();
        log.write(&logs, Instant::now());
        readers.into_iter().flat_map(|reader| reader.join().expect("every line once")).collect()
    });
    let (anonymous, pss) = memory(&serving);
    sys::kill(slow.id(), libc::SIGCONT).unwrap();
    let gone = process::until(|| missed(&log, &output));
    sys::kill(slow.id(), libc::SIGKILL).unwrap();
    slow.wait().unwrap();
    late.sort_unstable();
    let part = |of: usize| late[(late.len() - 1) * of / 1000] / 1000;
    println!(
        "{watchers} watchers, one stopped, {} lines: late by p50 {} ms, p99 {} ms, p99.9 {} ms, most {} ms; \
         the stopped one missed {gone}; memory of a watcher at most {anonymous} KiB anonymous, {pss} KiB in all",
        log.lines,
        part(500),
        part(990),
        part(999),
        part(1000),
    );
    assert!(gone > 0, "the stopped one was to miss some");
    drop(streams);
    assert_eq!(serving.terminate().0, 0);
}
