//! The outside eye: what /proc says about a process.

use super::sys;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Every process there is.
pub fn all() -> Vec<u32> {
    fs::read_dir("/proc")
        .expect("/proc is mounted")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// A file of /proc/PID; empty when the process has just gone.
pub fn read(pid: u32, name: &str) -> String {
    let bytes = fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

pub fn arguments(pid: u32) -> Vec<String> {
    read(pid, "cmdline").split_terminator('\0').map(String::from).collect()
}

/// /proc/PID/status as a map; values with single blanks.
pub fn status(pid: u32) -> BTreeMap<String, String> {
    let text = read(pid, "status");
    assert!(!text.is_empty(), "process {pid} has gone while it was looked at");
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key.to_owned(), value.split_whitespace().collect::<Vec<_>>().join(" ")))
        .collect()
}

/// One field of /proc/PID/stat, counted as in proc(5): 4 is the parent, 6 the session, 7 the terminal.
pub fn stat(pid: u32, field: usize) -> i64 {
    let text = read(pid, "stat");
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    rest.split_whitespace().nth(field - 3).and_then(|value| value.parse().ok()).unwrap_or(-1)
}

/// `mnt:[4026531832]` and its like: which namespace a process lives in.
pub fn namespace(pid: u32, kind: &str) -> String {
    let link = fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("namespace of a living process");
    link.to_string_lossy().into_owned()
}

/// Does something in a namespace of a living process, in a thread that ends with it.
pub fn inside<T: Send + 'static>(pid: u32, kind: &str, look: impl FnOnce() -> T + Send + 'static) -> T {
    let namespace = fs::File::open(format!("/proc/{pid}/ns/{kind}")).expect("namespace of a living process");
    let thread = std::thread::spawn(move || {
        use std::os::fd::AsFd;
        sys::enter(namespace.as_fd()).expect("root may enter it");
        look()
    });
    thread.join().expect("what was looked at could be seen")
}

/// The target of each open descriptor of a process.
pub fn descriptors(pid: u32) -> BTreeMap<u32, String> {
    descriptors_if_alive(pid).expect("descriptors of a living process")
}

/// The same; None of a process that has ended.
pub fn descriptors_if_alive(pid: u32) -> Option<BTreeMap<u32, String>> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let targets = entries
        .flatten()
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            Some((number, fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned()))
        })
        .collect();
    Some(targets)
}

/// The soft and hard value of a row of /proc/PID/limits.
pub fn limit(pid: u32, row: &str) -> (String, String) {
    let text = read(pid, "limits");
    let line = text.lines().find(|line| line.starts_with(row)).unwrap_or_else(|| panic!("no limit {row:?}"));
    let mut values = line[row.len()..].split_whitespace().map(String::from);
    (values.next().unwrap_or_default(), values.next().unwrap_or_default())
}

/// Whether `descendant` was started by `ancestor`, directly or not.
pub fn descends(descendant: u32, ancestor: u32) -> bool {
    let mut pid = descendant;
    while pid > 1 {
        if pid == ancestor {
            return true;
        }
        pid = u32::try_from(stat(pid, 4)).unwrap_or(0);
    }
    false
}

/// The processes that work for a test: its tag is in their arguments or in the root of one of their mounts.
pub fn tagged(tag: &str) -> Vec<u32> {
    all()
        .into_iter()
        .filter(|&pid| pid != std::process::id())
        .filter(|&pid| read(pid, "cmdline").contains(tag) || read(pid, "mountinfo").contains(tag))
        .collect()
}

/// The handlers among them: a handler's own arguments carry the tag as `@TAG`.
pub fn handlers(tag: &str) -> Vec<u32> {
    let mark = format!("@{tag}");
    all().into_iter().filter(|&pid| arguments(pid).get(1).is_some_and(|a| *a == mark)).collect()
}

/// Waits for the end of everything tagged; what is still there after that is a leak.
pub fn await_end_of(tag: &str, within: Duration) -> Vec<u32> {
    let deadline = Instant::now() + within;
    loop {
        let left = tagged(tag);
        let Some(&first) = left.first() else { return left };
        let now = Instant::now();
        if now >= deadline {
            return left;
        }
        if let Ok(fd) = sys::pidfd(first) {
            use std::os::fd::AsFd;
            sys::readable(fd.as_fd(), deadline - now);
        }
    }
}

/// A line per process for a failed test's message.
pub fn describe(pids: &[u32]) -> String {
    let line = |pid: &u32| {
        let status = read(*pid, "status");
        let state = status.lines().find(|l| l.starts_with("State")).unwrap_or("gone").to_owned();
        format!("{pid} {state} {:?} in {}", arguments(*pid), read(*pid, "wchan"))
    };
    pids.iter().map(line).collect::<Vec<_>>().join("\n")
}

pub fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Asks again and again until there is an answer: for what makes no event that a test could wait for.
pub fn until<T>(ask: impl Fn() -> Option<T>) -> T {
    let deadline = Instant::now() + super::PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "it never came to be");
        std::thread::yield_now();
    }
}

/// SIGKILL to a process of the test's own; it may have ended already.
pub fn kill(pid: u32) {
    if let Err(error) = sys::kill(pid, libc::SIGKILL) {
        assert_eq!(error.raw_os_error(), Some(libc::ESRCH), "{error}");
    }
}
