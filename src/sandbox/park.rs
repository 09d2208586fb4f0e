//! Parking: a sandbox is built ahead, restricted and sealed, and waits for its one connection.
//!
//! It waits in a system call that the profile notifies; the supervisor puts the connection at descriptors 0 and 1 and lets
//! the call go on. Until then 0 and 1 are /dev/null. Which call depends on how far ahead the sandbox is to be.

use crate::outcome::Denied;
use libc::c_long;

/// How far a parked sandbox has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Park {
    /// Built when its connection is there.
    None,
    /// All but executed; the peer is in the environment.
    BeforeExec,
    /// Executed, before the handler's first instruction that could matter: in the one call that every libc start-up makes
    /// exactly once before main (musl, glibc, Rust, Go).
    Entry,
    /// At the handler's first sched_yield(2), which it calls once it is initialised.
    Ready,
    /// At the handler's first read(2) of descriptor 0.
    Read,
}

/// A call that no kernel has, made by ourselves before exec to wait there.
pub(super) const WAIT_CALL: u32 = 0x0ffd_f003;

#[cfg(target_arch = "x86_64")]
const ENTRY_CALL: c_long = libc::SYS_arch_prctl;
#[cfg(not(target_arch = "x86_64"))]
const ENTRY_CALL: c_long = libc::SYS_set_tid_address;

impl Park {
    /// The handler's call that is notified although the profile allows it.
    pub(super) fn notified(self) -> Option<c_long> {
        match self {
            Park::None | Park::BeforeExec => None,
            Park::Entry => Some(ENTRY_CALL),
            Park::Ready => Some(libc::SYS_sched_yield),
            Park::Read => Some(libc::SYS_read),
        }
    }

    /// Whether a notified call is the one that parks, or one like it later, which is let go on.
    pub(crate) fn is_parking_call(self, call: &Denied) -> bool {
        if call.foreign {
            return false;
        }
        match self {
            Park::None => false,
            Park::BeforeExec => call.number.cast_unsigned() == WAIT_CALL,
            Park::Read => c_long::from(call.number) == libc::SYS_read && call.args[0] == 0,
            Park::Entry | Park::Ready => self.notified() == Some(call.number.into()) && is_allowed(call),
        }
    }

    /// Whether the handler's process has been executed while it is parked: then its environment has no peer.
    pub(crate) fn is_after_exec(self) -> bool {
        matches!(self, Park::Entry | Park::Ready | Park::Read)
    }
}

/// The profile allows arch_prctl(2) for one thing only.
fn is_allowed(call: &Denied) -> bool {
    const ARCH_SET_FS: u64 = 0x1002;
    !cfg!(target_arch = "x86_64") || c_long::from(call.number) != ENTRY_CALL || call.args[0] == ARCH_SET_FS
}
