//! The id map of an overlay's lower layer: a user namespace that exists only as a map.
//!
//! The template's files are root's. Mounted with this map they belong to the sandbox's uid, so that the handler may
//! change what it sees. Every other id stays itself.

use super::identity::Identity;
use crate::sys::process::{self, Child};
use crate::sys::{self, Errno, Ignoring, privilege};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// A user namespace in which id 0 is the sandbox's, all others themselves.
///
/// A namespace needs a process to be born with; it is gone when this returns, the namespace lives by its descriptor.
pub(super) fn user_namespace(identity: Identity, supervisor: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let holder = process::spawn(libc::CLONE_NEWUSER, None, hold, &supervisor)?;
    let userns = map_and_open(&holder, identity).map_err(|error| errno_of(&error));
    process::send_signal(holder.pidfd.as_fd(), libc::SIGKILL)?;
    process::wait_for_end(holder.pidfd.as_fd());
    userns
}

/// Waits to be killed; dies with the supervisor, before or after it is asked. It waits for the supervisor's end itself: the
/// signal is missed by who asks for it while the parent is on its way out and not dead yet.
fn hold(supervisor: &BorrowedFd<'_>) -> ! {
    let mut watched = [libc::pollfd { fd: supervisor.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
    if privilege::set_parent_death_signal(libc::SIGKILL).is_ok() {
        sys::poll(&mut watched, None).ignoring("no signal but SIGKILL comes: all are blocked");
    }
    process::exit_now(1)
}

fn map_and_open(holder: &Child, identity: Identity) -> io::Result<OwnedFd> {
    let directory = format!("/proc/{}", holder.pid);
    fs::write(format!("{directory}/uid_map"), map(identity.uid))?;
    fs::write(format!("{directory}/gid_map"), map(identity.gid))?;
    Ok(fs::File::open(format!("{directory}/ns/user"))?.into())
}

/// user_namespaces(7): `inside outside count` a line. Inside 0 is `id`; `id` itself is left out, it cannot be twice.
fn map(id: u32) -> String {
    let above = id + 1;
    format!("0 {id} 1\n1 1 {}\n{above} {above} {}\n", id - 1, u32::MAX - above)
}

fn errno_of(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_leaves_every_other_id_itself_and_names_none_twice() {
        assert_eq!(map(1000), "0 1000 1\n1 1 999\n1001 1001 4294966294\n");
    }
}
