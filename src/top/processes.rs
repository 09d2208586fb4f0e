//! Processor time and memory of sandboxes, from /proc/PID/stat (proc_pid_stat(5)). Each file stays open: it
//! is of that one process for ever, whoever has its number later.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::time::Duration;

/// Counts of all live processes of a sandbox, and of the children that they have waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) cpu: Duration,
    pub(crate) memory: u64,
    /// As ps(1) shows it, of the busiest: R, S, D, T, Z …
    pub(crate) state: char,
}

/// The files of one sandbox's first process.
#[derive(Debug)]
struct Files {
    stat: File,
    /// The numbers of its children; None if the kernel does not tell.
    children: Option<File>,
}

/// Open files, by pid. A file whose process has ended reads as an error.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    open: HashMap<u32, Files>,
}

/// Longer than any line of /proc/PID/stat.
const STAT_MAX: usize = 1024;
const CHILDREN_MAX: usize = 4096;
/// More processes of one sandbox are not looked at.
const TREE_MAX: usize = 256;

impl Processes {
    /// Resources that the sandbox with this first process has used; None if it has ended, or /proc hides it.
    pub(crate) fn of(&mut self, pid: u32) -> Option<Use> {
        // An open file may be of a process that had the number before.
        let mut used = self.known(pid).or_else(|| self.open(pid))?;
        let children = self.open.get(&pid).and_then(|files| files.children.as_ref());
        let mut queue = children.map(numbers).unwrap_or_default();
        let mut looked_at = 0;
        while let Some(child) = queue.pop().filter(|_| looked_at < TREE_MAX) {
            looked_at += 1;
            let stat = File::open(format!("/proc/{child}/stat")).ok();
            if let Some(more) = stat.as_ref().and_then(read) {
                used.add(more);
            }
            queue.extend(children_of(child));
        }
        Some(used)
    }

    fn known(&mut self, pid: u32) -> Option<Use> {
        let used = read(&self.open.get(&pid)?.stat);
        if used.is_none() {
            self.open.remove(&pid);
        }
        used
    }

    fn open(&mut self, pid: u32) -> Option<Use> {
        let stat = File::open(format!("/proc/{pid}/stat")).ok()?;
        let used = read(&stat)?;
        let children = File::open(format!("/proc/{pid}/task/{pid}/children")).ok();
        self.open.insert(pid, Files { stat, children });
        Some(used)
    }

    /// Closes the files of all others.
    pub(crate) fn keep(&mut self, is_live: impl Fn(u32) -> bool) {
        self.open.retain(|pid, _| is_live(*pid));
    }
}

impl Use {
    fn add(&mut self, more: Use) {
        self.cpu = self.cpu.saturating_add(more.cpu);
        self.memory = self.memory.saturating_add(more.memory);
        if more.state == 'R' || self.state != 'R' {
            self.state = more.state;
        }
    }
}

fn children_of(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let texts = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    texts.flat_map(|text| parse_numbers(&text)).collect()
}

fn parse_numbers(text: &str) -> Vec<u32> {
    text.split_ascii_whitespace().filter_map(|number| number.parse().ok()).collect()
}

fn numbers(file: &File) -> Vec<u32> {
    let mut buffer = [0; CHILDREN_MAX];
    let count = sys::read_start(file.as_fd(), &mut buffer).unwrap_or(0);
    buffer
        .get(..count)
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .map(parse_numbers)
        .unwrap_or_default()
}

fn read(file: &File) -> Option<Use> {
    let mut buffer = [0; STAT_MAX];
    let count = sys::read_start(file.as_fd(), &mut buffer).ok()?;
    parse(&String::from_utf8_lossy(buffer.get(..count)?))
}

/// A clock tick of /proc is a hundredth of a second on every machine that Linux has today (USER_HZ, time(7)).
const TICK: Duration = Duration::from_millis(10);
const PAGE: u64 = 4096;

/// The name, which the handler chooses, ends with the last parenthesis.
fn parse(line: &str) -> Option<Use> {
    let (_, rest) = line.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // By the numbers of the manual, of which the third comes first here.
    let field = |number: usize| fields.get(number.checked_sub(3)?).copied();
    let ticks = |number: usize| field(number)?.parse::<u32>().ok();
    let ticks =
        [14, 15, 16, 17].into_iter().try_fold(0_u32, |sum, number| sum.checked_add(ticks(number)?))?;
    Some(Use {
        cpu: TICK.checked_mul(ticks)?,
        memory: field(24)?.parse::<u64>().ok()?.saturating_mul(PAGE),
        state: field(3)?.chars().next()?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
    use super::*;

    #[test]
    fn times_of_children_count_and_a_name_cannot_shift_the_fields() {
        let line = "7 (a) R 9 (b) S 1 2 3 0 -1 4 5 6 7 8 10 20 30 40 20 0 1 0 99 1000 3 184";
        let used = parse(line).unwrap();
        assert_eq!((used.cpu, used.memory, used.state), (Duration::from_secs(1), 3 * 4096, 'S'));
        assert_eq!(parse("7 (a) S 1 2"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn a_process_that_has_ended_has_no_numbers_and_no_open_file() {
        let mut processes = Processes::default();
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        assert!(processes.of(child.id()).is_some());
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(processes.of(child.id()), None);
        assert!(processes.open.is_empty());
        assert!(processes.of(std::process::id()).is_some());
        processes.keep(|_| false);
        assert!(processes.open.is_empty());
    }

    #[test]
    fn the_children_of_a_sandboxs_first_process_count() {
        let mut processes = Processes::default();
        let alone = processes.of(std::process::id()).unwrap();
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        // A thread's children are that thread's: the first one has none here.
        let shell = std::process::Command::new("sh")
            .args(["-c", "cat; true"])
            .stdin(std::process::Stdio::piped())
            .spawn();
        let mut shell = shell.unwrap();
        let end = std::time::Instant::now() + Duration::from_secs(10);
        // A child that is about to execute may have no page yet.
        loop {
            let of_both = processes.of(shell.id()).unwrap().memory;
            let line = fs::read_to_string(format!("/proc/{}/stat", shell.id())).unwrap();
            if of_both > parse(&line).unwrap().memory {
                break;
            }
            assert!(std::time::Instant::now() < end, "sh starts cat");
        }
        assert!(!children_of(shell.id()).is_empty());
        assert!(alone.memory > 0);
        for child in [&mut child, &mut shell] {
            drop(child.stdin.take());
            child.wait().unwrap();
        }
    }
}
