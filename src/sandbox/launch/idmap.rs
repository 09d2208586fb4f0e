//! Id maps of mounts: a user namespace that exists only as a map.
//!
//! The map of an overlay's lower layer: files of root (or of another chosen owner) in the template belong to
//! the sandbox's uid, so that the handler may change them. Every other id stays itself.
//!
//! The map of a writable bind: one owner's files belong to the sandbox's uid. Every other id is unmapped.

use crate::plan::identity::Identity;
use std::fs;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use sys::process::{self, Child};
use sys::{self, Errno, Ignoring, privilege};

/// The files that appear as the sandbox's own.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Map {
    /// The owner's; all others stay themselves.
    All { owner: Identity, sandbox: Identity },
    /// Only the owner's; other users have no mapping.
    Only { owner: Identity, sandbox: Identity },
}

/// A user namespace with that map.
///
/// A namespace needs a process to be born with; it is gone when this returns, the namespace lives by
/// its descriptor.
pub(crate) fn user_namespace(map: Map, supervisor: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let holder = process::spawn(libc::CLONE_NEWUSER, None, hold, &supervisor)?;
    let userns = map_and_open(&holder, map).map_err(|error| errno_of(&error));
    process::kill_child(holder.pidfd.as_fd(), holder.pid)?;
    process::wait_for_end(holder.pidfd.as_fd());
    userns
}

/// Waits to be killed; dies with the supervisor, before or after it is asked. It waits for the supervisor's
/// end itself: the signal is missed by who asks for it while the parent is on its way out and not dead yet.
fn hold(supervisor: &BorrowedFd<'_>) -> ! {
    let mut watched = [libc::pollfd { fd: supervisor.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
    if privilege::set_parent_death_signal(libc::SIGKILL).is_ok() {
        sys::poll(&mut watched, None).ignoring("no signal but SIGKILL comes: all are blocked");
    }
    process::exit_now(1)
}

fn map_and_open(holder: &Child, map: Map) -> io::Result<OwnedFd> {
    let (uids, gids) = map.texts();
    let directory = format!("/proc/{}", holder.pid);
    write_and_verify(&format!("{directory}/uid_map"), &uids)?;
    write_and_verify(&format!("{directory}/gid_map"), &gids)?;
    Ok(fs::File::open(format!("{directory}/ns/user"))?.into())
}

/// Reads the map back by the same descriptor, because before Linux 6.9 a mount accepts an empty map too.
fn write_and_verify(path: &str, map: &str) -> io::Result<()> {
    let mut file = fs::File::options().read(true).write(true).open(path)?;
    file.write_all(map.as_bytes())?;
    // Four lines of three numbers at most, each 11 bytes.
    let mut shown = [0; 256];
    let length = sys::read_start(file.as_fd(), &mut shown)?;
    let shown = shown.get(..length).unwrap_or_default();
    let same = String::from_utf8_lossy(shown).split_ascii_whitespace().eq(map.split_ascii_whitespace());
    if same { Ok(()) } else { Err(Errno::EBADE.into()) }
}

impl Map {
    /// The texts of the uid map and of the gid map.
    fn texts(self) -> (String, String) {
        match self {
            Map::All { owner, sandbox } => (all(owner.uid, sandbox.uid), all(owner.gid, sandbox.gid)),
            Map::Only { owner, sandbox } => (only(owner.uid, sandbox.uid), only(owner.gid, sandbox.gid)),
        }
    }
}

/// user_namespaces(7): `inside outside count` a line. Inside `owner` is `id`; `id` itself is left out, it
/// cannot be twice.
fn all(owner: u32, id: u32) -> String {
    let (low, high) = (owner.min(id), owner.max(id));
    let others = [(0, low), (low.saturating_add(1), high), (high.saturating_add(1), u32::MAX)];
    let others = others.iter().filter(|(from, to)| from < to);
    let lines = others.map(|(from, to)| format!("{from} {from} {}\n", to - from));
    format!("{owner} {id} 1\n") + &lines.collect::<String>()
}

fn only(owner: u32, id: u32) -> String {
    format!("{owner} {id} 1\n")
}

fn errno_of(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_leaves_every_other_id_itself_and_names_none_twice() {
        assert_eq!(all(0, 1000), "0 1000 1\n1 1 999\n1001 1001 4294966294\n");
        assert_eq!(all(33, 1000), "33 1000 1\n0 0 33\n34 34 966\n1001 1001 4294966294\n");
        assert_eq!(all(1000, 33), "1000 33 1\n0 0 33\n34 34 966\n1001 1001 4294966294\n");
        assert_eq!(all(7, 7), "7 7 1\n0 0 7\n8 8 4294967287\n");
        assert_eq!(all(u32::MAX - 1, 7), "4294967294 7 1\n0 0 7\n8 8 4294967286\n");
    }
}
