//! How far ahead a sandbox is built.

use seccomp::abi::Parked;

/// Place at which a parked sandbox waits: the values of `--park`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Park {
    /// Not parked: built when its connection is there.
    None,
    /// Built and restricted, before exec; the peer is in the environment.
    BeforeExec,
    /// Executed, before the handler's first instruction that could matter: in the one call that every libc
    /// start-up makes exactly once before main (musl, glibc, Rust, Go).
    Entry,
    /// Waits at the handler's first sched_yield(2), which it calls once it is initialised.
    Ready,
    /// Waits at the handler's first read(2) of descriptor 0.
    Read,
}

/// A call that no kernel has, made by ourselves before exec to wait there.
pub(crate) const WAIT_CALL: u32 = 0x0ffd_f003;

impl Park {
    /// Where the handler waits once it is executed.
    pub fn after_exec(self) -> Option<Parked> {
        match self {
            Park::None | Park::BeforeExec => None,
            Park::Entry => Some(Parked::Entry),
            Park::Ready => Some(Parked::Ready),
            Park::Read => Some(Parked::Read),
        }
    }

    /// Whether the handler's process has been executed while it is parked: then its environment has no peer.
    pub fn is_after_exec(self) -> bool {
        self.after_exec().is_some()
    }
}
