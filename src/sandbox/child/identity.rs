//! Identity: a uid and gid that no other live process has, no groups, no capability.

use super::capabilities::{self, Bounded};
use super::step::{AtStep, Failure, Step, verify};
use super::supervisor_link::SupervisorLink;
use crate::plan::identity::{Identity, Plan};
use sys::privilege;

/// Proof that the process has no privilege.
#[derive(Debug)]
pub struct Unprivileged(());

/// *Removes* root's ids, all groups, all capabilities, and the chance to outlive the supervisor.
/// *Keeps* what needs no privilege: rlimits, no_new_privs, Landlock, seccomp come after.
///
/// The parent-death signal is set again because the kernel clears it at a change of ids (prctl(2),
/// PR_SET_PDEATHSIG), and the supervisor may have died between the two.
pub(super) fn change(
    _: Bounded,
    plan: Plan,
    identity: Identity,
    supervisor: &SupervisorLink<'_>,
) -> Result<Unprivileged, Failure> {
    if plan.drop_groups {
        privilege::clear_groups().step(Step::Groups)?;
    }
    privilege::set_gid(identity.gid).step(Step::Gid)?;
    privilege::set_uid(identity.uid).step(Step::Uid)?;
    capabilities::drop_all()?;
    supervisor.die_with_it()?;
    verify_ids(plan, identity)?;
    capabilities::verify_none(plan.last_capability)?;
    Ok(Unprivileged(()))
}

fn verify_ids(plan: Plan, identity: Identity) -> Result<(), Failure> {
    let step = Step::VerifyIdentity;
    verify(step, identity.uid != 0 && identity.gid != 0)?;
    verify(step, privilege::uids().step(step)? == [identity.uid; 3])?;
    verify(step, privilege::gids().step(step)? == [identity.gid; 3])?;
    verify(step, !plan.drop_groups || privilege::group_count().step(step)? == 0)
}
