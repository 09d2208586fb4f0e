//! A cgroup for each live sandbox, below the one that was delegated. Groups are made as they are needed and
//! used again: one made and removed for each connection would leave a dying memory cgroup behind with every
//! page it had cached.
//!
//! A sandbox is born in its group (CLONE_INTO_CGROUP), so no moment of it goes uncounted. Everything here
//! goes by descriptors: the supervisor has left the mounts in which the groups have paths.

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use sandbox::operand::Operand;
use sandbox::step::{Failure, Step};
use std::cell::Cell;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use sys::{Errno, Ignoring};

/// The supervisor's own group. A group with processes cannot pass controllers to groups below it
/// (cgroups(7)).
const SUPERVISOR: &str = "supervisor";
const LEAF: &str = "sandbox-";
/// The group of a successor, its sandboxes included, while the one before it has the delegated group.
const SUCCESSOR: &str = "next-";
/// cpu.weight (Documentation/admin-guide/cgroup-v2.rst): the most, what a group begins with, the least.
const WEIGHT_MAX: &str = "10000";
const WEIGHT: &str = "100";
const WEIGHT_MIN: &str = "1";
/// cpu.max: the share is of so many microseconds.
const PERIOD: u64 = 100_000;

/// Limits of a sandbox's group; None: unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) memory: Option<u64>,
    pub(crate) tasks: u64,
    /// CPU limit in percent of one processor.
    pub(crate) cpu_percent: Option<u64>,
}

impl Bounds {
    /// The stub is a task as well.
    pub(crate) fn with_init(self, init: bool) -> Bounds {
        Bounds { tasks: self.tasks.saturating_add(init.into()), ..self }
    }
}

/// A failed operation on a file of a group.
#[derive(Debug)]
pub(crate) struct GroupError {
    what: String,
    errno: Errno,
}

impl GroupError {
    /// The failure that refuses the connection. The caller logs which file it was.
    pub(crate) fn failure(&self) -> Failure {
        Failure { step: Step::Group, operand: Operand::None, errno: self.errno }
    }
}

impl std::fmt::Display for GroupError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (what, errno) = (&self.what, self.errno);
        let hint = match errno {
            Errno::EROFS => "; hint: ProtectControlGroups= of the unit makes the groups read-only",
            Errno::EBUSY => "; hint: other processes of the unit are in its group itself",
            _ => "",
        };
        write!(f, "cannot {what}: {errno:?} ({}){hint}", errno.desc())
    }
}

fn failed(what: impl Into<String>) -> impl FnOnce(Errno) -> GroupError {
    move |errno| GroupError { what: what.into(), errno }
}

/// The delegated group. The supervisor is in a separate group below it.
#[derive(Debug)]
pub(crate) struct Delegated {
    group: OwnedFd,
    cpu: bool,
    next: Cell<u32>,
}

/// The delegated group, if this one is that of a supervisor that has succeeded another.
pub(super) fn root_of_successor(group: &Path) -> Option<&Path> {
    let parent = group.parent()?;
    let is_successors = parent.file_name()?.to_str()?.starts_with(SUCCESSOR);
    (group.ends_with(SUPERVISOR) && is_successors).then(|| parent.parent()).flatten()
}

impl Delegated {
    /// The group to make others in: the delegated one, or a new one below it, if another supervisor has made
    /// groups there already.
    pub(crate) fn place(group: &Path) -> Result<PathBuf, GroupError> {
        let used = fs::read_to_string(group.join("cgroup.subtree_control")).unwrap_or_default();
        if used.trim().is_empty() {
            return Ok(group.to_owned());
        }
        sweep_successors(group);
        let own = group.join(format!("{SUCCESSOR}{}", std::process::id()));
        fs::create_dir(&own)
            .map_err(|error| failed(format!("make the cgroup {}", own.display()))(errno_of(&error)))?;
        fs::write(own.join("cpu.weight"), WEIGHT_MAX).ignoring("it has an equal part then");
        Ok(own)
    }

    /// Moves the supervisor to the delegated group itself; with DelegateSubgroup= it was put below.
    pub(crate) fn go_to(group: &Path) -> Result<(), GroupError> {
        let file = group.join("cgroup.procs");
        fs::write(&file, "0").map_err(|error| {
            failed(format!("go to the delegated cgroup {}", group.display()))(errno_of(&error))
        })
    }

    /// Moves the supervisor down, removes what a killed one has left, gives the controllers on.
    pub(crate) fn enter(group: &Path) -> Result<Delegated, GroupError> {
        let cpu = super::delegates_cpu();
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let directory = nix::fcntl::open(group, flags, Mode::empty())
            .map_err(failed(format!("open the delegated cgroup {}", group.display())))?;
        sweep(group);
        match mkdirat(&directory, SUPERVISOR, Mode::from_bits_truncate(0o755)) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(failed("make the supervisor's cgroup")(errno)),
        }
        let delegated = Delegated { group: directory, cpu, next: Cell::new(0) };
        write(&delegated.group, "supervisor/cgroup.procs", "0")?;
        write(
            &delegated.group,
            "cgroup.subtree_control",
            if cpu { "+memory +pids +cpu" } else { "+memory +pids" },
        )?;
        if cpu {
            // The supervisor comes before its sandboxes.
            write(&delegated.group, "supervisor/cpu.weight", WEIGHT_MAX)
                .ignoring("it has an equal part then");
        }
        Ok(delegated)
    }

    fn make(&self, bounds: Bounds) -> Result<Leaf, GroupError> {
        let name = format!("{LEAF}{}", self.next.get());
        self.next.set(self.next.get() + 1);
        mkdirat(&self.group, name.as_str(), Mode::from_bits_truncate(0o755))
            .map_err(failed(format!("make the cgroup {name}")))?;
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let fd = openat(&self.group, name.as_str(), flags, Mode::empty())
            .map_err(failed(format!("open the cgroup {name}")))?;
        let leaf = Leaf { fd, name, oom_kills: 0, cpu_us: 0, demoted: false };
        let number = |value: Option<u64>| value.map_or_else(|| "max".to_owned(), |value| value.to_string());
        set(&leaf.fd, "memory.max", &number(bounds.memory))?;
        // The file is missing without swap accounting in the kernel; then there is nothing to bound.
        match set(&leaf.fd, "memory.swap.max", "0") {
            Err(GroupError { errno: Errno::ENOENT, .. }) => {}
            other => other?,
        }
        set(&leaf.fd, "memory.oom.group", "1")?;
        set(&leaf.fd, "pids.max", &number(Some(bounds.tasks).filter(|tasks| *tasks != u64::MAX)))?;
        if let (Some(percent), true) = (bounds.cpu_percent, self.cpu) {
            set(
                &leaf.fd,
                "cpu.max",
                &format!("{} {PERIOD}", percent.saturating_mul(PERIOD / 100).max(1000)),
            )?;
        }
        Ok(leaf)
    }

    fn remove(&self, leaf: Leaf) {
        let Leaf { fd, name, .. } = leaf;
        drop(fd);
        unlinkat(&self.group, name.as_str(), UnlinkatFlags::RemoveDir)
            .ignoring("it is swept at the next start, or goes with the unit's group");
    }
}

/// Groups of a supervisor that was killed: empty, since its sandboxes have died with it.
fn sweep(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(LEAF) {
            fs::remove_dir(entry.path()).ignoring("the number is taken again and the group used as it is");
        }
    }
}

/// Groups of successors that have ended.
fn sweep_successors(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        let path = entry.path();
        let events = fs::read_to_string(path.join("cgroup.events")).unwrap_or_default();
        let is_successors = entry.file_name().to_string_lossy().starts_with(SUCCESSOR);
        if is_successors && value(&events, "populated") == Some(0) {
            for below in fs::read_dir(&path).into_iter().flatten().flatten() {
                fs::remove_dir(below.path()).ignoring("it is a file of the group");
            }
            fs::remove_dir(&path).ignoring("it goes with the unit's group");
        }
    }
}

/// Writes and reads back: a bound that was not taken is none.
fn set(directory: &OwnedFd, name: &str, value: &str) -> Result<(), GroupError> {
    write(directory, name, value)?;
    let found = read(directory, name).map_err(failed(format!("read {name}")))?;
    // Memory is rounded down to pages.
    let is = found.trim() == value
        || matches!((found.trim().parse::<u64>(), value.parse::<u64>()), (Ok(f), Ok(v)) if f <= v && v - f < 65536);
    if is { Ok(()) } else { Err(failed(format!("set {name} to {value}"))(Errno::EBADE)) }
}

fn write(directory: &OwnedFd, name: &str, value: &str) -> Result<(), GroupError> {
    let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    openat(directory, name, flags, Mode::empty())
        .and_then(|fd| File::from(fd).write_all(value.as_bytes()).map_err(|error| errno_of(&error)))
        .map_err(failed(format!("write '{value}' to {name} of the cgroup")))
}

fn read(directory: &OwnedFd, name: &str) -> Result<String, Errno> {
    let fd = openat(directory, name, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    let mut text = String::new();
    File::from(fd).read_to_string(&mut text).map_err(|error| errno_of(&error))?;
    Ok(text)
}

fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

/// The number after a word, one such pair a line.
fn value(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

/// One sandbox's group.
#[derive(Debug)]
pub(crate) struct Leaf {
    fd: OwnedFd,
    name: String,
    /// Counts in memory.events and cpu.stat when the leaf was given out.
    oom_kills: u64,
    cpu_us: u64,
    /// It has the least weight.
    demoted: bool,
}

impl Leaf {
    fn count_oom_kills(&self) -> Option<u64> {
        value(&read(&self.fd, "memory.events").ok()?, "oom_kill")
    }

    /// Whether the kernel has killed in it for want of memory, since it was given out.
    pub(crate) fn ran_out_of_memory(&self) -> bool {
        self.count_oom_kills().is_some_and(|count| count > self.oom_kills)
    }

    fn count_cpu(&self) -> Option<u64> {
        value(&read(&self.fd, "cpu.stat").ok()?, "usage_usec")
    }

    /// The CPU time of everything that ran in it since it was given out.
    pub(crate) fn cpu_time(&self) -> Option<Duration> {
        Some(Duration::from_micros(self.count_cpu()?.saturating_sub(self.cpu_us)))
    }

    /// Gives it the least weight: it runs when nothing else wants to. ENOENT where the CPU controller was not
    /// delegated.
    pub(crate) fn demote(&mut self) -> Result<(), GroupError> {
        self.demoted = true;
        // cpu.idle is of Linux 5.15; a kernel without group scheduling by idleness has the weight.
        match write(&self.fd, "cpu.idle", "1") {
            Ok(()) => Ok(()),
            Err(_) => write(&self.fd, "cpu.weight", WEIGHT_MIN),
        }
    }

    /// Stops everything in it, until it is thawed or killed (Linux 5.2).
    pub(crate) fn freeze(&self, frozen: bool) -> Result<(), GroupError> {
        write(&self.fd, "cgroup.freeze", if frozen { "1" } else { "0" })
    }

    /// As it was made.
    fn promote(&mut self) -> Result<(), GroupError> {
        if std::mem::take(&mut self.demoted) {
            self.freeze(false)?;
            match write(&self.fd, "cpu.idle", "0") {
                Ok(()) | Err(GroupError { errno: Errno::ENOENT, .. }) => {}
                other => other?,
            }
            write(&self.fd, "cpu.weight", WEIGHT)?;
        }
        Ok(())
    }

    /// Makes sure that this process is in it, and no other.
    pub(crate) fn verify_holds(&self, pid: u32) -> Result<(), GroupError> {
        let found = read(&self.fd, "cgroup.procs");
        let held =
            found.and_then(|found| if found == format!("{pid}\n") { Ok(()) } else { Err(Errno::EBADE) });
        held.map_err(failed(format!("find process {pid}, and no other, in the cgroup {}", self.name)))
    }

    fn is_empty(&self) -> bool {
        read(&self.fd, "cgroup.events").is_ok_and(|text| value(&text, "populated") == Some(0))
    }
}

impl AsFd for Leaf {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The groups of one service, all with the same bounds.
#[derive(Debug)]
pub(crate) struct Leaves {
    delegated: Rc<Delegated>,
    bounds: Bounds,
    free: Vec<Leaf>,
}

impl Leaves {
    pub(crate) fn new(delegated: Rc<Delegated>, bounds: Bounds) -> Leaves {
        Leaves { delegated, bounds, free: Vec::new() }
    }

    /// A group for a sandbox that is about to be made.
    pub(crate) fn take(&mut self) -> Result<Leaf, GroupError> {
        let mut leaf = match self.free.pop() {
            Some(leaf) => leaf,
            None => self.delegated.make(self.bounds)?,
        };
        leaf.oom_kills = leaf.count_oom_kills().unwrap_or(0);
        leaf.cpu_us = leaf.count_cpu().unwrap_or(0);
        Ok(leaf)
    }

    /// A group whose sandbox is dead. One of other bounds, or in which something lives after all, is not used
    /// again.
    pub(crate) fn put(&mut self, mut leaf: Leaf, bounds: Bounds) {
        if bounds == self.bounds && leaf.is_empty() && leaf.promote().is_ok() {
            self.free.push(leaf);
            return;
        }
        write(&leaf.fd, "cgroup.kill", "1").ignoring("it is empty then");
        self.delegated.remove(leaf);
    }
}

impl Drop for Leaves {
    fn drop(&mut self) {
        for leaf in std::mem::take(&mut self.free) {
            self.delegated.remove(leaf);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_group_of_a_successor_is_two_steps_below_the_delegated_one() {
        let root = |group| root_of_successor(Path::new(group));
        assert_eq!(
            root("/sys/fs/cgroup/s.slice/a.service/next-7/supervisor"),
            Some(Path::new("/sys/fs/cgroup/s.slice/a.service"))
        );
        assert_eq!(root("/sys/fs/cgroup/u@1.service/app.slice/supervisor"), None);
        assert_eq!(root("/sys/fs/cgroup/u@1.service/next-7/a.service"), None);
    }

    #[test]
    fn a_value_is_found_by_its_whole_name() {
        let text = "low 0\noom 3\noom_kill 2\noom_group_kill 1\n";
        assert_eq!(value(text, "oom_kill"), Some(2));
        assert_eq!(value(text, "oom_"), None);
        assert_eq!(value("populated 0\nfrozen 0\n", "populated"), Some(0));
    }
}
