//! The supervisor's side of a zygote whose sandboxes mount something of their own: makes it, orders a sandbox
//! of it, and takes that in. From there on the sandbox is as one that the supervisor has cloned itself.

use super::zygote::{Status, Zygote, descriptors};
use super::{Ends, Sandbox, Workshop};
use crate::child::step::{AtStep, Failure, Step, verify};
use crate::child::{mounting, supervisor_link, wire};
use crate::plan::Plan;
use crate::plan::park::Park;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use sys::{self, CStrings, process};

/// Begins a zygote; it goes on by itself and reports on the channel.
pub fn make(plan: &Plan, workshop: &Workshop, environment: &CStrings, park: Park) -> Result<Zygote, Failure> {
    let (channel, child_channel) = sys::socket::message_pair().step(Step::Channel)?;
    let placeholder = workshop.placeholder()?;
    let context = mounting::Context {
        plan,
        link: supervisor_link::SupervisorLink {
            pidfd: workshop.supervisor.as_fd(),
            channel: child_channel.as_fd(),
        },
        environment,
        canary: workshop.canary.as_fd(),
        placeholder: placeholder.as_fd(),
        park,
    };
    // Not in a pid namespace, as every zygote.
    let child = process::spawn(0, None, mounting::main, &context).step(Step::Clone)?;
    Ok(Zygote { pid: child.pid, pidfd: child.pidfd, channel, token: None })
}

/// Looks at a zygote that waits for its first order.
pub fn verify_zygote(zygote: &Zygote) -> Result<(), Failure> {
    let step = Step::Inherit;
    let status = Status::of(zygote.pid).step(step)?;
    let empty = ["CapInh", "CapBnd", "CapAmb"].into_iter().all(|set| status.is_zero(set));
    verify(step, empty && status.has_no_groups())?;
    verify(step, descriptors(zygote.pid).step(step)?.iter().eq(&mounting::OPEN_WHILE_WAITING))
}

/// The supervisor's part of a sandbox that was ordered.
#[derive(Debug)]
pub struct Ordered {
    channel: OwnedFd,
    stderr: OwnedFd,
    status: Option<OwnedFd>,
}

/// Has the zygote clone a sandbox, in this cgroup.
pub fn order(
    zygote: &Zygote,
    plan: &Plan,
    workshop: &Workshop,
    group: Option<BorrowedFd<'_>>,
) -> Result<Ordered, Failure> {
    let (ends, placeholder) = (Ends::new(plan)?, workshop.placeholder()?);
    let mut fds = vec![
        ends.child_channel.as_fd(),
        placeholder.as_fd(),
        ends.child_stderr.as_fd(),
        ends.ruleset.as_fd(),
    ];
    fds.extend(group);
    fds.extend(ends.child_status.as_ref().map(AsFd::as_fd));
    let with_group = if group.is_some() { wire::WITH_GROUP } else { 0 };
    let with_status = if ends.child_status.is_some() { wire::WITH_STATUS } else { 0 };
    let order = [with_group | with_status];
    sys::socket::send_with_fds(zygote.channel.as_fd(), &order, &fds).step(Step::Clone)?;
    let Ends { channel, stderr, status, .. } = ends;
    Ok(Ordered { channel, stderr, status })
}

/// The sandbox by the number of its first process, which must be a child of ours. It waits for its release.
pub fn adopt(plan: &Plan, workshop: &Workshop, pid: u32, ordered: Ordered) -> Result<Sandbox, Failure> {
    let pidfd = process::pidfd_open(pid).step(Step::Clone)?;
    process::verify_own_child(pidfd.as_fd()).step(Step::Clone)?;
    let Ordered { channel, stderr, status } = ordered;
    let identity = plan.ids.identity(pid);
    let sandbox = Sandbox { pid, pidfd, identity, channel: None, stderr, status, _snapshot: None };
    sandbox.released(plan, workshop, channel)
}
