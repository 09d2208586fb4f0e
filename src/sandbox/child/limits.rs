//! Resource limits (setrlimit(2)) of the handler, set and read back.

use super::operand::{Operand, place};
use super::step::{AtStep, Failure, Step, verify_on};
use crate::plan::limits::Limit;
use sys::privilege;

/// Which limits: a zygote sets those that its sandboxes inherit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    All,
    /// All that do not count what a process has used already.
    Inherited,
    /// The rest: CPU time.
    Own,
}

/// Those limits, each with its operand.
pub(super) fn of(limits: &[Limit], whose: Whose) -> impl Iterator<Item = (Operand, &Limit)> {
    let is_meant = move |limit: &Limit| match whose {
        Whose::All => true,
        Whose::Inherited => !limit.counts_past_use(),
        Whose::Own => limit.counts_past_use(),
    };
    let numbered = limits.iter().enumerate().filter(move |(_, limit)| is_meant(limit));
    numbered.map(|(index, limit)| (Operand::Limit(place(index)), limit))
}

/// Sets limits and reads each back.
pub(super) fn apply(limits: &[Limit], whose: Whose) -> Result<(), Failure> {
    for (operand, limit) in of(limits, whose) {
        privilege::set_limit(limit.resource, limit.soft, limit.hard).step_on(Step::Limit, operand)?;
        let in_force = privilege::limit(limit.resource).step_on(Step::Limit, operand)?;
        verify_on(Step::Limit, operand, in_force == (limit.soft, limit.hard))?;
    }
    Ok(())
}
