//! The launcher's own privileges: root's capabilities, or, without root, a user namespace.

use caps::{CapSet, Capability};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;
use sys::{self, Errno, Ignoring};

/// The lowest base of --user-range: the ids below are users' and services'.
pub(crate) const USER_RANGE_MIN: u32 = 65_536;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Privilege {
    Root,
    /// An ordinary user: all capabilities in its own user namespace, none on the host.
    Rootless,
}

impl Privilege {
    /// uid 0, or any uid that was given CAP_SYS_ADMIN, is Root; but not where there are no ids for sandboxes.
    pub(crate) fn of_this_process() -> Privilege {
        if has_root_rights() && !IdMap::of_this_process().lacks_ids_of_sandboxes() {
            Privilege::Root
        } else {
            Privilege::Rootless
        }
    }
}

fn has_root_rights() -> bool {
    let admin = caps::has_cap(None, CapSet::Effective, Capability::CAP_SYS_ADMIN);
    nix::unistd::geteuid().is_root() || matches!(admin, Ok(true))
}

/// Ids that the user namespace of this process maps: first and count of each range.
#[derive(Debug)]
pub(crate) struct IdMap(Vec<(u32, u32)>);

impl IdMap {
    /// The ids that both the uid map and the gid map have, by the uids' ranges.
    pub(crate) fn of_this_process() -> &'static IdMap {
        static MAP: OnceLock<IdMap> = OnceLock::new();
        MAP.get_or_init(|| {
            let read =
                |path| fs::read_to_string(path).map_or_else(|_| IdMap::all(), |text| IdMap::parse(&text));
            let (uids, gids) = (read("/proc/self/uid_map"), read("/proc/self/gid_map"));
            IdMap(uids.0.into_iter().filter(|(first, count)| gids.has(*first, *count)).collect())
        })
    }

    fn all() -> IdMap {
        IdMap(vec![(0, u32::MAX)])
    }

    /// Parses lines of user_namespaces(7): the first id here, the first outside, their number.
    fn parse(text: &str) -> IdMap {
        let range = |line: &str| {
            let mut numbers = line.split_whitespace().map(str::parse);
            Some((numbers.next()?.ok()?, numbers.nth(1)?.ok()?))
        };
        IdMap(text.lines().filter_map(range).collect())
    }

    /// The initial user namespace has all ids.
    pub(crate) fn is_whole(&self) -> bool {
        self.has(0, u32::MAX)
    }

    /// Whether one range has all of these.
    pub(crate) fn has(&self, first: u32, count: u32) -> bool {
        let end = u64::from(first) + u64::from(count);
        self.0.iter().any(|(from, many)| *from <= first && end <= u64::from(*from) + u64::from(*many))
    }

    /// None of the ids that --user-range may name is mapped.
    fn lacks_ids_of_sandboxes(&self) -> bool {
        let reaches =
            |(first, count): &(u32, u32)| u64::from(*first) + u64::from(*count) > u64::from(USER_RANGE_MIN);
        !self.0.iter().any(reaches)
    }

    /// The reason why the root of such a namespace cannot give sandboxes ids, in words; None for others.
    pub(crate) fn why_no_ids(&self) -> Option<String> {
        (has_root_rights() && self.lacks_ids_of_sandboxes()).then(|| {
            format!(
                "this process is root of a user namespace, as in an unprivileged container, that maps the ids {self}: \
                 sandboxes take ids from {USER_RANGE_MIN} up"
            )
        })
    }
}

impl fmt::Display for IdMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first, count)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            match count {
                1 => write!(f, "{separator}{first}")?,
                _ => write!(f, "{separator}{first} to {}", u64::from(*first) + u64::from(*count) - 1)?,
            }
        }
        if self.0.is_empty() { f.write_str("none") } else { Ok(()) }
    }
}

/// Whether this process has one thread: /proc/self/task has `.`, `..` and one directory a thread.
pub(crate) fn is_single_threaded() -> io::Result<bool> {
    Ok(fs::metadata("/proc/self/task")?.nlink() == 3)
}

/// Each connection takes five descriptors here: as many as the hard limit allows.
pub(crate) fn raise_descriptor_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).ignoring("a lower limit is met by backing off");
    }
}

/// Descriptors that a launch takes: the numbers up to the handler's own, and some of the launcher's.
pub(crate) const DESCRIPTORS_MIN: u64 = 96;

/// How many descriptors this process may have.
pub(crate) fn descriptor_limit() -> Option<u64> {
    getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft)
}

/// Capabilities that a launch needs, each with its use.
const NEEDED: [(Capability, &str); 6] = [
    (Capability::CAP_SYS_ADMIN, "namespaces and mounts"),
    (Capability::CAP_SETUID, "the sandbox's uid"),
    (Capability::CAP_SETGID, "the sandbox's gid and groups"),
    (Capability::CAP_SETPCAP, "the bounding set and securebits"),
    (Capability::CAP_SYS_PTRACE, "fetching the seccomp listener"),
    // Without it the parent-death signal is silently not delivered: a sandbox would outlive its launcher.
    (Capability::CAP_KILL, "the parent-death signal"),
];

/// Capabilities that an overlay needs too, because it copies files up on the handler's behalf.
const NEEDED_FOR_OVERLAY: [(Capability, &str); 3] = [
    (Capability::CAP_DAC_OVERRIDE, "the overlay"),
    (Capability::CAP_CHOWN, "the overlay"),
    (Capability::CAP_FOWNER, "the overlay"),
];

/// Capabilities for credentials: the files are given to the sandbox's uid.
const NEEDED_FOR_CREDENTIALS: [(Capability, &str); 1] = [(Capability::CAP_CHOWN, "--credential")];

/// A file or socket may be another's than root's. Where it is root's, this is not needed.
const NEEDED_FOR_OPENED: [(Capability, &str); 1] = [(Capability::CAP_DAC_OVERRIDE, "--open")];

/// Only a process that may set capabilities of files may let a map name the host's root (user_namespaces(7),
/// Linux 5.12).
const NEEDED_FOR_OWNER: [(Capability, &str); 1] = [(Capability::CAP_SETFCAP, "--owner")];

const NEEDED_FOR_DEVICES: [(Capability, &str); 1] = [(Capability::CAP_MKNOD, "the devices of /dev")];

/// Demands of a service that need more capabilities of its launcher.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wants {
    pub(crate) overlay: bool,
    pub(crate) credentials: bool,
    pub(crate) opened: bool,
    /// Another owner of the template than root.
    pub(crate) owner: bool,
    pub(crate) devices: bool,
}

impl Wants {
    /// Each with its consumer.
    fn capabilities(self) -> impl Iterator<Item = (Capability, &'static str)> {
        let lists: [(bool, &[(Capability, &'static str)]); 6] = [
            (true, &NEEDED),
            (self.overlay, &NEEDED_FOR_OVERLAY),
            (self.credentials, &NEEDED_FOR_CREDENTIALS),
            (self.opened, &NEEDED_FOR_OPENED),
            (self.owner, &NEEDED_FOR_OWNER),
            (self.devices, &NEEDED_FOR_DEVICES),
        ];
        lists.into_iter().filter(|(wanted, _)| *wanted).flat_map(|(_, list)| list).copied()
    }

    /// Names of what is missing, with what it is for.
    pub(crate) fn missing(self) -> Vec<String> {
        let effective = caps::read(None, CapSet::Effective).unwrap_or_default();
        self.capabilities()
            .filter(|(capability, _)| !effective.contains(capability))
            .map(|(capability, purpose)| format!("{capability} ({purpose})"))
            .collect()
    }

    /// The names of all of them, as units spell them.
    pub(crate) fn names(self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (capability, _) in self.capabilities() {
            let name = capability.to_string();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

/// Whether the devices of a /dev can be made.
pub(crate) fn can_make_devices() -> bool {
    matches!(caps::has_cap(None, CapSet::Effective, Capability::CAP_MKNOD), Ok(true))
}

/// Enters a user namespace with all capabilities in it, and a mount namespace that belongs to it. `id` is the
/// one uid and gid there is inside; outside it is the caller's.
pub(crate) fn enter_user_namespace(id: u32) -> Result<(), (&'static str, io::Error)> {
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let failed = |errno: Errno| ("make a user namespace", io::Error::from(errno));
    // A process that got capabilities by exec is not dumpable, nor are its children: their listener could not
    // be fetched.
    nix::sys::prctl::set_dumpable(true).map_err(|errno| ("PR_SET_DUMPABLE", io::Error::from(errno)))?;
    sys::process::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS).map_err(failed)?;
    let write = |path: &'static str, text: String| fs::write(path, text).map_err(|error| (path, error));
    // Denied before the gid map may be written (CVE-2014-8989).
    write("/proc/self/setgroups", "deny".to_owned())?;
    write("/proc/self/uid_map", format!("{id} {uid} 1"))?;
    write("/proc/self/gid_map", format!("{id} {gid} 1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_says_which_ids_there_are() {
        let map = IdMap::parse("         0     100000      65536\n     70000 200000 2\n");
        assert_eq!(map.to_string(), "0 to 65535, 70000 to 70001");
        assert!(map.has(0, 65_536) && !map.has(0, 65_537) && map.has(70_001, 1));
        assert!(!map.lacks_ids_of_sandboxes() && !map.is_whole());
        assert!(IdMap::parse("0 0 4294967295").is_whole());
    }

    #[test]
    fn a_container_of_one_id_or_of_the_usual_number_has_none_for_sandboxes() {
        for text in ["0 1000 1", "0 100000 65536", "1000 1000 1", ""] {
            assert!(IdMap::parse(text).lacks_ids_of_sandboxes(), "{text}");
        }
    }
}
