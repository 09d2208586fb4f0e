//! Resource limits (setrlimit(2)) of the handler, set and read back.

use super::operand::{Operand, place};
use super::step::{AtStep, Failure, Step, verify_on};
use crate::plan::limits::Limit;
use sys::privilege;

/// Sets every limit and reads it back.
pub(super) fn apply(limits: &[Limit]) -> Result<(), Failure> {
    for (index, limit) in limits.iter().enumerate() {
        let operand = Operand::Limit(place(index));
        privilege::set_limit(limit.resource, limit.soft, limit.hard).step_on(Step::Limit, operand)?;
        let in_force = privilege::limit(limit.resource).step_on(Step::Limit, operand)?;
        verify_on(Step::Limit, operand, in_force == (limit.soft, limit.hard))?;
    }
    Ok(())
}
