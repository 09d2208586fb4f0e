//! In front of the guard of a zygote and its sandboxes: a clone3(2) that carries the token is notified.
//!
//! The guard hides clone3 (ENOSYS), since no filter can look at its flags. Only clone3 can make a process in
//! its cgroup, so a zygote makes its sandboxes by it. The call that carries the token gets the guard's other
//! denial: a notification, which the supervisor hears because the profile notifies too. The supervisor lets
//! the zygote's own process make it, and no other. To whoever lacks the token the guard is as it was.

use super::guard_emit::{
    ARCH, Instruction, NUMBER, differ, give, high_word, join_kept, keep, load, low_word, unless_equal_skip,
};
use libc::SECCOMP_RET_USER_NOTIF;

/// clone3 has one number on all machines (asm-generic/unistd.h).
const CLONE3: u32 = 435;
const LAST_ARGUMENT: u32 = 5;

/// The guard, with the call in front. Both halves of the token are compared at once, so that the time of a
/// call tells nothing about one of them.
#[allow(clippy::cast_possible_truncation, reason = "the words of the token")]
#[must_use]
pub fn with_clone(guard: &[Instruction], audit_arch: u32, token: u64) -> Vec<Instruction> {
    let (low, high) = (token as u32, (token >> 32) as u32);
    let mut program = vec![low_word(LAST_ARGUMENT), differ(low), keep()];
    program.extend([high_word(LAST_ARGUMENT), differ(high), join_kept()]);
    program.extend([unless_equal_skip(0, 5), load(ARCH), unless_equal_skip(audit_arch, 3)]);
    program.extend([load(NUMBER), unless_equal_skip(CLONE3, 1), give(SECCOMP_RET_USER_NOTIF)]);
    program.extend_from_slice(guard);
    program
}
