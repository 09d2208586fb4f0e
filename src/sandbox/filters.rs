//! seccomp: two filters that share no source, so that a wrong line in one opens nothing.
//!
//! The **profile** is an allow-list, compiled by seccompiler; what it does not name is notified to the supervisor, which
//! records number and arguments and kills. The **guard** is a fixed deny-list under every profile: a linear program with
//! call numbers and constructors of its own. It closes the connection's hole in the network namespace and everything that
//! makes or enters namespaces.
//!
//! The guard goes first and answers "notify" too, but has no listener. Where both deny, the newer filter wins the tie and
//! its listener gets the call; where only the guard denies, a notification without listener is ENOSYS: nothing runs.

use super::park::Park;
use super::profile;
use super::step::{Failure, Step, verify as verify_step};
use seccomp::agreed::{GUARD_CANARY, PROFILE_CANARY, Variant};
use seccomp::compile::CompileError;
use seccomp::guard;
use std::borrow::Cow;
use sys::seccomp::Instruction;

/// Both programs, compiled once a service, or with dayfly itself.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) guard: &'static [Instruction],
    pub(crate) profile: Cow<'static, [Instruction]>,
    /// The same profile for a sandbox that is parked after exec.
    parked: Option<(Park, Cow<'static, [Instruction]>)>,
    /// The init stub's: four calls, all else kills it and with it the sandbox.
    pub(crate) init: Vec<Instruction>,
}

impl Plan {
    pub(crate) fn new(
        profile: &profile::Loaded,
        dumpable_off_late: bool,
        park: Park,
    ) -> Result<Plan, CompileError> {
        let program = |parked| profile.program(Variant { dumpable_off_late, parked });
        Ok(Plan {
            guard: &guard::PROGRAM,
            profile: program(None)?,
            parked: park
                .after_exec()
                .map(|parked| program(Some(parked)).map(|program| (park, program)))
                .transpose()?,
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
