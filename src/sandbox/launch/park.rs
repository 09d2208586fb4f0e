//! Parking: a sandbox is built ahead, restricted and sealed, and waits for its one connection.
//!
//! It waits in a system call that the profile notifies. The supervisor puts the connection at descriptors 0
//! and 1 and lets the call go on. Until then 0 and 1 are /dev/null. `--park` decides which call it is.

use super::denied::Denied;
use crate::plan::park::{Park, WAIT_CALL};
use seccomp::abi::Parked;
use sys::names::{self, Machine};

impl Park {
    /// Whether a notified call is the one that parks, or one like it later, which is let go on.
    pub fn is_parking_call(self, call: &Denied) -> bool {
        if call.foreign {
            return false;
        }
        match self {
            Park::None => false,
            Park::BeforeExec => call.number.cast_unsigned() == WAIT_CALL,
            Park::Read => is_waiting_call(Parked::Read, call) && call.args[0] == 0,
            Park::Entry => is_waiting_call(Parked::Entry, call) && is_allowed(call),
            Park::Ready => is_waiting_call(Parked::Ready, call),
        }
    }
}

fn is_waiting_call(parked: Parked, call: &Denied) -> bool {
    let number = match parked {
        Parked::Entry if names::NATIVE == Machine::X86_64 => ARCH_PRCTL,
        Parked::Entry => libc::SYS_set_tid_address,
        Parked::Ready => libc::SYS_sched_yield,
        Parked::Read => libc::SYS_read,
    };
    libc::c_long::from(call.number) == number
}

/// Its number on x86-64, the one machine that has it.
const ARCH_PRCTL: libc::c_long = 158;

/// The profile allows arch_prctl(2) for one thing only.
fn is_allowed(call: &Denied) -> bool {
    const ARCH_SET_FS: u64 = 0x1002;
    names::NATIVE != Machine::X86_64 || call.args[0] == ARCH_SET_FS
}

#[cfg(test)]
mod tests {
    use super::*;
    use seccomp::compile::waits_in;

    #[test]
    fn the_filters_and_the_supervisor_mean_the_same_call() {
        for parked in [Parked::Entry, Parked::Ready, Parked::Read] {
            let (_, number) = names::NATIVE.call(waits_in(parked, names::NATIVE)).unwrap();
            let call = Denied { number: number.cast_signed(), foreign: false, args: [0x1002; 6] };
            assert!(is_waiting_call(parked, &call), "{parked:?}");
            assert!(!is_waiting_call(parked, &Denied { number: call.number + 1, ..call }), "{parked:?}");
        }
    }
}
