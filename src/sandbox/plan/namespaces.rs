//! Namespaces that a sandbox makes for itself, as data.

use libc::{CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID};
use std::ffi::c_int;

/// Where a sandbox's network namespace comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// The supervisor's, which has left the host's before the clone, or is in one as empty.
    Inherited,
    /// The supervisor's, which leaves the host's after the clone: the child waits for it, and follows.
    Joined,
    /// Made by each sandbox for itself (`--net private`).
    Own,
}

/// Namespaces that each sandbox makes for itself.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub network: Network,
    /// An ipc namespace each, because the profile has calls that meet there.
    pub own_ipc: bool,
}

/// The flags of the clone. Only the pid namespace: the rest would block the supervisor while it is made.
pub const AT_CLONE: c_int = CLONE_NEWPID;

impl Plan {
    /// The flags of the child's unshare(2).
    pub fn in_child(self) -> c_int {
        let network = if self.network == Network::Own { CLONE_NEWNET } else { 0 };
        let ipc = if self.own_ipc { CLONE_NEWIPC } else { 0 };
        CLONE_NEWNS | network | ipc
    }
}
