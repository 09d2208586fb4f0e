//! Proves that both filters are in force.

use super::step::{Failure, Step, verify as verify_step};
use seccomp::abi::{GUARD_CANARY, PROFILE_CANARY};

/// Proves that both filters are in force.
pub(super) fn verify() -> Result<(), Failure> {
    for canary in [GUARD_CANARY, PROFILE_CANARY] {
        let answer = sys::nonexistent_call(canary.number);
        verify_step(Step::VerifyFilters, answer == i32::from(canary.errno))?;
    }
    Ok(())
}
