//! seccomp: two filters, built independently, so that a wrong line in one opens nothing.
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
use seccomp::agreed::Files;
use seccomp::agreed::Variant;
use seccomp::compile::CompileError;
use seccomp::guard;
use std::borrow::Cow;
use sys::seccomp::Instruction;

/// Both programs, compiled once a service, or with dayfly itself.
#[derive(Debug)]
pub struct Plan {
    pub guard: &'static [Instruction],
    pub profile: Cow<'static, [Instruction]>,
    /// The same profile for a sandbox that is parked after exec.
    parked: Option<(Park, Cow<'static, [Instruction]>)>,
    /// The init stub's: four calls, all else kills it and with it the sandbox.
    pub init: Vec<Instruction>,
}

impl Plan {
    pub fn new(
        profile: &profile::Loaded,
        files: Files,
        dumpable_off_late: bool,
        park: Park,
    ) -> Result<Plan, CompileError> {
        let program = |parked| profile.program(Variant { dumpable_off_late, parked });
        Ok(Plan {
            guard: guard::native(files),
            profile: program(None)?,
            parked: park
                .after_exec()
                .map(|parked| program(Some(parked)).map(|program| (park, program)))
                .transpose()?,
            init: guard::init_program(),
        })
    }

    /// The profile's program for a sandbox that is parked so.
    pub(crate) fn profile_for(&self, park: Park) -> &[Instruction] {
        match &self.parked {
            Some((parked, program)) if *parked == park => program,
            _ => &self.profile,
        }
    }
}

#[cfg(test)]
mod tests;
