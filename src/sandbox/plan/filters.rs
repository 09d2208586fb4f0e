//! seccomp: two independently built filters, so a mistake in one opens nothing.
//!
//! The **profile** is an allow-list, compiled by seccompiler. It notifies the supervisor of each other call;
//! the supervisor records number and arguments and kills the sandbox. The **guard** is a fixed deny-list
//! under every profile: a linear program with its own call numbers and constructors. It locks down the
//! connection and denies everything that makes or enters namespaces.
//!
//! The guard is installed first. It answers "notify" too, but has no listener. If both deny a call, the newer
//! filter wins and its listener gets the call. If only the guard denies it, the notification has no listener
//! and the call fails with ENOSYS. An operator's profile loses the lines that allow what the guard denies
//! whatever its arguments, so that such a call has a record.

use super::park::Park;
use super::profile;
use seccomp::abi::Files;
use seccomp::abi::Variant;
use seccomp::admit;
use seccomp::compile::CompileError;
use seccomp::guard;
use seccomp::guard_clone;
use std::borrow::Cow;
use sys::names;
use sys::seccomp::Instruction;
use sys::token::{self, Token};

/// Both programs, compiled once a service, or with dayfly itself.
#[derive(Debug)]
pub struct Plan {
    pub guard: &'static [Instruction],
    pub profile: Cow<'static, [Instruction]>,
    /// The same profile for a sandbox that is parked after exec.
    parked: Option<(Park, Cow<'static, [Instruction]>)>,
    /// The init stub's: four calls, all else kills it and with it the sandbox.
    pub init: Vec<Instruction>,
    /// All files are the sandbox's own: they can be locked if the profile says `locks own`.
    pub locks: bool,
    /// The profile notifies of each attempt to make a process, so a zygote can wait in one, and a sandbox is
    /// one process.
    pub notifies_of_processes: bool,
}

impl Plan {
    pub fn new(
        profile: &profile::Loaded,
        files: Files,
        variant: Variant,
        park: Park,
    ) -> Result<Plan, CompileError> {
        let program = |parked| profile.program(Variant { parked, ..variant });
        Ok(Plan {
            guard: guard::native(files),
            profile: program(None)?,
            parked: park
                .after_exec()
                .map(|parked| program(Some(parked)).map(|program| (park, program)))
                .transpose()?,
            init: guard::init_program(),
            locks: variant.locks,
            notifies_of_processes: profile.notifies_of_processes(),
        })
    }

    /// The guard of a zygote and its sandboxes: the token's clone3 is notified.
    pub(crate) fn guard_with(&self, token: Token) -> Vec<Instruction> {
        guard_clone::with_clone(self.guard, names::NATIVE.audit_arch(), token.word())
    }

    /// The profile's program for the sandboxes of a zygote, which are parked so, with the token's calls in
    /// front.
    pub(crate) fn profile_with(&self, token: Token, park: Park) -> Vec<Instruction> {
        let number = |call| u32::try_from(call).unwrap_or(u32::MAX);
        let calls = token::CALLS.map(number);
        let judged = token::JUDGED.map(|(call, arguments)| (number(call), arguments));
        let arch = names::NATIVE.audit_arch();
        admit::with_token(self.profile_for(park), arch, token.word(), (&calls, &judged))
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
