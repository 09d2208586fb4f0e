//! Landlock, in the child: the rules are added below the new root, then the domain is entered.

use super::operand::{Operand, place};
use super::step::{AtStep, Failure, Step, verify};
use crate::plan::landlock::Plan;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};
use sys::Errno;
use sys::mount::{self, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS};

/// The file that no rule can cover: on a tmpfs of the launcher's that is attached nowhere. Opens before,
/// not after.
pub const CANARY: &CStr = c"canary";

/// Adds the rules: every path resolved below `root`, EXECUTE for the handler's file alone.
pub fn add_rules(
    plan: &Plan,
    ruleset: BorrowedFd<'_>,
    root: BorrowedFd<'_>,
    handler: BorrowedFd<'_>,
) -> Result<(), Failure> {
    for (index, rule) in plan.rules().iter().enumerate() {
        let (step, operand) = (Step::LandlockRule, Operand::Rule(place(index)));
        let resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
        let path = mount::openat2(root, &rule.path, libc::O_PATH, resolve).step_on(step, operand)?;
        let kind = mount::identify(path.as_fd(), c"").step_on(step, operand)?.kind();
        let bits = plan.bits(rule.right);
        let access = if kind == libc::S_IFDIR { bits.directory } else { bits.file };
        sys::landlock::allow(ruleset, path.as_fd(), access).step_on(step, operand)?;
    }
    sys::landlock::allow(ruleset, handler, plan.execute)
        .step_on(Step::LandlockRule, Operand::Rule(place(plan.rules().len())))
}

/// Enters the domain and proves that it is in force: Landlock shows in no field of /proc, but it does in what
/// opens. Denials are not audited: the proof would leave a line of each sandbox in the host's audit log.
pub fn restrict(plan: &Plan, ruleset: BorrowedFd<'_>, canary: BorrowedFd<'_>) -> Result<(), Failure> {
    let open = || mount::openat2(canary, CANARY, libc::O_RDONLY, 0);
    open().step(Step::Canary)?;
    sys::landlock::restrict_self(ruleset, plan.is_quiet()).step(Step::LandlockRestrict)?;
    let after = open();
    verify(Step::VerifyLandlock, matches!(after, Err(Errno::EACCES)))
}
