//! seccomp: two filters that share no source, so that a wrong line in one opens nothing.
//!
//! The **profile** is an allow-list, compiled by seccompiler; what it does not name is notified to the supervisor, which
//! records number and arguments and kills. The **guard** is a fixed deny-list under every profile, hand-written BPF: it
//! closes the connection's hole in the network namespace and everything that makes or enters namespaces.
//!
//! The guard goes first and answers "notify" too, but has no listener. Where both deny, the newer filter wins the tie and
//! its listener gets the call; where only the guard denies, a notification without listener is ENOSYS: nothing runs.

pub(crate) mod guard;
pub(crate) mod profile;

mod bpf;
mod compile;

use super::park::Park;
use super::step::{Failure, Step, verify as verify_step};
use crate::sys::{self, seccomp::Instruction};

/// Both programs, compiled once a service.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) guard: Vec<Instruction>,
    pub(crate) profile: Vec<Instruction>,
    /// The same profile for a sandbox that is parked after exec.
    parked: Option<(Park, Vec<Instruction>)>,
    /// The init stub's: four calls, all else kills it and with it the sandbox.
    pub(crate) init: Vec<Instruction>,
}

impl Plan {
    pub(crate) fn new(
        profile: &profile::Profile,
        dumpable_off_late: bool,
        park: Park,
    ) -> Result<Plan, compile::CompileError> {
        let parked =
            park.notified().map(|_| compile::compile(profile, dumpable_off_late, park)).transpose()?;
        Ok(Plan {
            guard: guard::program(),
            profile: compile::compile(profile, dumpable_off_late, Park::None)?,
            parked: parked.map(|program| (park, program)),
            init: guard::init_program(),
        })
    }

    /// The profile's program for a sandbox that is parked so.
    pub(super) fn profile_for(&self, park: Park) -> &[Instruction] {
        match &self.parked {
            Some((parked, program)) if *parked == park => program,
            _ => &self.profile,
        }
    }
}

/// A call that no kernel has and that one of the filters answers with an errno of its own: what no error table holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Canary {
    pub(crate) number: u32,
    pub(crate) errno: u16,
}

pub(crate) const GUARD_CANARY: Canary = Canary { number: 0x0ffd_f001, errno: 4001 };
pub(crate) const PROFILE_CANARY: Canary = Canary { number: 0x0ffd_f002, errno: 4002 };

/// Proves that both filters are in force.
pub(crate) fn verify() -> Result<(), Failure> {
    for canary in [GUARD_CANARY, PROFILE_CANARY] {
        let answer = sys::nonexistent_call(canary.number);
        verify_step(Step::VerifyFilters, answer == i32::from(canary.errno))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
