//! The cases: each call of a good launch, and what a table says of it.

use common::inject::Call;
use common::kernel::Wall;
use nix::errno::Errno;
use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

/// The expected result of a launch with a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Not tried.
    Skip,
    /// The handler runs: the call was not needed.
    Runs,
    /// The launcher ends before it has a connection, with an error that names the errno.
    Ends,
    /// The one use of such a call is as `Runs`, another as a refusal or as `Ends`.
    Either,
    /// The handler may run with less than it should have, never with more.
    Less,
    /// Refused, with its own words instead of the errno.
    Said,
    /// Refused, and the error names the errno. In no table: it is what there is otherwise.
    Refused,
}

/// One line of a table: which calls it means, and why they are an exception.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) role: &'static str,
    /// Names of calls, with blanks between.
    pub(crate) calls: &'static str,
    /// The beginning of the call's text; after `…`, any part of it. A path's beginning may depend on the machine.
    pub(crate) text: &'static str,
    /// Empty: whatever the errno.
    pub(crate) errnos: &'static [Errno],
    pub(crate) verdict: Verdict,
    pub(crate) why: &'static str,
}

impl Line {
    fn means(&self, call: &Call, errno: Errno) -> bool {
        (self.role == "*" || self.role == call.role)
            && self.calls.split(' ').any(|name| name == call.name)
            && self.means_text(&call.text)
            && (self.errnos.is_empty() || self.errnos.contains(&errno))
    }

    fn means_text(&self, text: &str) -> bool {
        match self.text.strip_prefix('…') {
            Some(part) => text.contains(part),
            None => text.starts_with(self.text),
        }
    }
}

/// A table, and which of its lines were needed.
#[derive(Debug)]
pub(crate) struct Table {
    lines: &'static [Line],
    needed: Mutex<HashSet<usize>>,
}

impl Table {
    pub(crate) fn new(lines: &'static [Line]) -> Table {
        Table { lines, needed: Mutex::new(HashSet::new()) }
    }

    /// And why it is another than `Refused`, for who reads a complaint.
    pub(crate) fn verdict(&self, call: &Call, errno: Errno) -> (Verdict, &'static str) {
        if asks_for_a_missing_wall(&call.name, &call.text) && errno != Errno::EINVAL {
            return (
                Verdict::Said,
                "taken for a kernel that has the wall: to raise it fails, which is refused",
            );
        }
        let Some(index) = self.lines.iter().position(|line| line.means(call, errno)) else {
            return (Verdict::Refused, "what no line excepts is refused, and the errno named");
        };
        self.needed.lock().expect("nobody panics with it").insert(index);
        (self.lines[index].verdict, self.lines[index].why)
    }

    pub(crate) fn is_skipped(&self, call: &Call, errno: Errno) -> bool {
        self.verdict(call, errno).0 == Verdict::Skip
    }

    /// Lines that no call was meant by.
    pub(crate) fn stale(&self) -> Vec<String> {
        let needed = self.needed.lock().expect("nobody panics with it");
        let unneeded = self.lines.iter().enumerate().filter(|(index, _)| !needed.contains(index));
        let stale = unneeded.filter(|(_, line)| !asks_for_a_missing_wall(line.calls, line.text));
        stale.map(|(_, line)| format!("no call needs this line any more: {line:?}")).collect()
    }
}

/// Whether memory-deny-write-execute is there, asked of a kernel that has none: EINVAL.
pub(crate) fn asks_for_a_missing_wall(name: &str, text: &str) -> bool {
    name == "prctl" && text.starts_with("0x42") && !Wall::Mdwe.is_here()
}

/// Two errnos for every call, and the one that is most its own.
pub(crate) fn errnos(call: &Call) -> [Errno; 3] {
    [Errno::EPERM, Errno::ENOMEM, typical(&call.name)]
}

pub(crate) fn typical(name: &str) -> Errno {
    match name {
        "clone3" | "unshare" => Errno::ENOSPC,
        "open" | "openat" | "openat2" | "stat" | "lstat" | "statx" | "readlink" | "chdir" => Errno::ENOENT,
        "fsopen" | "fsmount" => Errno::ENODEV,
        "socket" | "socketpair" | "pipe2" | "dup2" | "dup3" | "fcntl" | "pidfd_open" | "pidfd_getfd" => {
            Errno::EMFILE
        }
        "accept4" => Errno::EMFILE,
        "read" | "write" | "sendmsg" | "recvmsg" | "sendto" | "recvfrom" => Errno::EIO,
        "execveat" => Errno::E2BIG,
        "seccomp" | "landlock_restrict_self" | "landlock_add_rule" => Errno::E2BIG,
        "setresuid" | "setresgid" => Errno::EAGAIN,
        "keyctl" => Errno::EDQUOT,
        _ => Errno::EINVAL,
    }
}

/// Number of calls of each kind, by role, name and text. A variant of the launch adds calls that others lack.
#[derive(Debug, Default)]
pub(crate) struct Seen(HashMap<(String, String, String), usize>);

impl Seen {
    /// The calls beyond those that a variant before had as often.
    pub(crate) fn new_of(&mut self, calls: Vec<Call>) -> Vec<Call> {
        let mut here: HashMap<(String, String, String), usize> = HashMap::new();
        let mut new = Vec::new();
        for call in calls {
            let key = (call.role.clone(), call.name.clone(), call.text.clone());
            let count = here.entry(key.clone()).or_default();
            *count += 1;
            let before = self.0.entry(key).or_default();
            if *count > *before {
                *before = *count;
                new.push(call);
            }
        }
        new
    }
}
