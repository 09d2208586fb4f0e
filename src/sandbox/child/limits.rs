//! Resource limits (setrlimit(2)) of the handler, set and read back.

use super::step::{AtStep, Failure, Step, verify};
use crate::plan::limits::Limit;
use sys::privilege;

/// Sets every limit and reads it back.
pub(super) fn apply(limits: &[Limit]) -> Result<(), Failure> {
    for (index, limit) in limits.iter().enumerate() {
        privilege::set_limit(limit.resource, limit.soft, limit.hard).step_on(Step::Limit, index)?;
        let in_force = privilege::limit(limit.resource).step_on(Step::Limit, index)?;
        verify(Step::Limit, in_force == (limit.soft, limit.hard))?;
    }
    Ok(())
}
