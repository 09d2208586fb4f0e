//! The zygote of a service whose sandboxes mount something of their own, and the sandboxes that it clones.
//!
//! It has no filters and no Landlock domain, which would forbid to mount. What sandboxes inherit from it is
//! what every later stage rests on and none undoes: a mount namespace that holds the trees of the service
//! alone, the bounding set, the securebits, no groups, and how a process begins. A sandbox copies the mount
//! namespace, makes its root in it, and covers the zygote's with that. All stages from there on are those of
//! every other sandbox ([`super::set_up`]), with a channel and a listener of its own.
//!
//! It waits for orders on its channel. Nobody else can write there, and it reads nothing else from outside.

use super::capabilities::{self, Bounded};
use super::exec::{CHANNEL_FD, EXEC_FD};
use super::operand::Operand;
use super::rootfs::{self, Reduced};
use super::step::{AtStep, Failure, Step, verify};
use super::supervisor_link::SupervisorLink;
use super::wire::{ORDER_LEN, Report, WITH_GROUP, WITH_STATUS};
use super::zygote::{CANARY_FD, SUPERVISOR_FD, descriptor};
use super::{exec, identity};
use crate::plan::Plan;
use crate::plan::park::Park;
use std::convert::Infallible;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use sys::mount::identify;
use sys::{self, CStrings, Errno, privilege, process, socket};

/// Everything that such a zygote is made from.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    pub plan: &'a Plan,
    pub link: SupervisorLink<'a>,
    pub environment: &'a CStrings,
    pub canary: BorrowedFd<'a>,
    /// Its descriptors 0 to 2.
    pub placeholder: BorrowedFd<'a>,
    pub park: Park,
}

/// The descriptors of a zygote that waits.
pub(crate) const OPEN_WHILE_WAITING: [RawFd; 7] = [0, 1, 2, CANARY_FD, SUPERVISOR_FD, CHANNEL_FD, EXEC_FD];

/// CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_SETGID, CAP_SETUID, CAP_SYS_CHROOT and
/// CAP_SYS_ADMIN (linux/capability.h): as many of them as the supervisor has make a sandbox.
const CAPABILITIES: u32 = 1 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 6 | 1 << 7 | 1 << 18 | 1 << 21;

/// Proof that a process is a zygote, or the clone of one: everything that sandboxes inherit is in force.
#[derive(Debug)]
struct Inherited {
    few: Reduced,
    bounded: Bounded,
}

/// The zygote's main. It ends with the supervisor, or with a report.
pub(crate) fn main(given: &Context<'_>) -> ! {
    let failure = match super::move_channel(given.link).map(|link| Context { link, ..*given }) {
        Err(failure) => failure,
        Ok(context) => match set_up(&context) {
            Ok(inherited) => clone_sandboxes(inherited, &context),
            Err(failure) => {
                context.link.report_failure(failure);
                process::exit_now(super::SETUP_FAILED)
            }
        },
    };
    given.link.report_failure(failure);
    process::exit_now(super::SETUP_FAILED)
}

fn set_up(context: &Context<'_>) -> Result<Inherited, Failure> {
    let (plan, step) = (context.plan, Step::AttachRoot);
    let begun = super::zygote::begin(context.link, &plan.start)?;
    let prebuilt = plan.rootfs.prebuilt.as_ref().ok_or(Errno::EINVAL).step(step)?;
    let (few, handler) = rootfs::enter_few(begun, &plan.rootfs, prebuilt)?;
    let (few, bounded) = capabilities::bound_few(few, plan.identity.last_capability)?;
    reduce()?;
    keep_descriptors(context, &handler)?;
    std::mem::forget(handler);
    Ok(Inherited { few, bounded })
}

/// *Removes* all groups, and all capabilities that no sandbox needs for its set-up.
fn reduce() -> Result<(), Failure> {
    privilege::clear_groups().step(Step::Groups)?;
    verify(Step::VerifyIdentity, privilege::group_count().step(Step::VerifyIdentity)? == 0)?;
    privilege::keep_capabilities(CAPABILITIES).step(Step::Capabilities)?;
    let kept = privilege::capabilities().step(Step::VerifyCapabilities)?;
    verify(Step::VerifyCapabilities, privilege::are_within(&kept, CAPABILITIES))
}

/// *Removes* every descriptor of the supervisor's but those that sandboxes are made from, and proves it.
fn keep_descriptors(context: &Context<'_>, handler: &OwnedFd) -> Result<(), Failure> {
    for number in 0..=2 {
        exec::put(context.placeholder, number)?;
    }
    sys::dup_to(handler.as_fd(), EXEC_FD, libc::O_CLOEXEC).step(Step::ExecDescriptor)?;
    let put = identify(sys::borrowed(EXEC_FD).step(Step::ExecDescriptor)?, c"").step(Step::ExecDescriptor)?;
    rootfs::changed(
        Step::HandlerChanged,
        Operand::None,
        put.is_same_file(&context.plan.rootfs.handler_identity),
    )?;
    sys::dup_to(context.link.pidfd, SUPERVISOR_FD, libc::O_CLOEXEC).step(Step::SupervisorAlive)?;
    sys::dup_to(context.canary, CANARY_FD, libc::O_CLOEXEC).step(Step::Canary)?;
    sys::close_range(3, (CANARY_FD - 1).unsigned_abs(), 0).step(Step::CloseAll)?;
    sys::close_range(SUPERVISOR_FD + 1, (CHANNEL_FD - 1).unsigned_abs(), 0).step(Step::CloseAll)?;
    sys::close_range(EXEC_FD + 1, u32::MAX, 0).step(Step::CloseAll)?;
    for number in 0..=EXEC_FD {
        let expected = match number {
            0..=2 => Ok(false),
            number if OPEN_WHILE_WAITING.contains(&number) => Ok(true),
            _ => Err(Errno::EBADF),
        };
        if sys::is_cloexec(number) != expected {
            return Err(Errno::EBADF).step_on(Step::VerifyDescriptors, descriptor(number));
        }
    }
    Ok(())
}

/// The parts of a sandbox that are its own.
#[derive(Debug)]
struct Order {
    channel: OwnedFd,
    /// Descriptors 0 and 1 until it has a connection.
    placeholder: OwnedFd,
    stderr: OwnedFd,
    ruleset: OwnedFd,
    group: Option<OwnedFd>,
    status: Option<OwnedFd>,
}

/// None: the supervisor wants no more.
fn receive_order(channel: BorrowedFd<'_>) -> Result<Option<Order>, Errno> {
    let mut message = [0; ORDER_LEN];
    let (count, fds) = socket::receive_with_fds(channel, &mut message)?;
    let ([with], ORDER_LEN) = (message, count) else { return Ok(None) };
    let mut fds = fds.into_iter().flatten();
    let mut next = || fds.next().ok_or(Errno::EBADMSG);
    Ok(Some(Order {
        channel: next()?,
        placeholder: next()?,
        stderr: next()?,
        ruleset: next()?,
        group: if with & WITH_GROUP != 0 { Some(next()?) } else { None },
        status: if with & WITH_STATUS != 0 { Some(next()?) } else { None },
    }))
}

fn clone_sandboxes(inherited: Inherited, context: &Context<'_>) -> ! {
    let mut report = Report::Waiting;
    loop {
        // If it is lost, the supervisor has died.
        let told = sys::write(context.link.channel, &report.encode());
        let order = match told.and_then(|_| receive_order(context.link.channel)) {
            Ok(Some(order)) => order,
            Ok(None) | Err(_) => process::exit_now(super::SETUP_FAILED),
        };
        report = match process::clone_sibling(order.group.as_ref().map(AsFd::as_fd)) {
            Ok(Some(pid)) => Report::Cloned(pid),
            Ok(None) => become_sandbox(inherited, context, &order),
            Err(errno) => Report::Failed(Failure { step: Step::Clone, operand: Operand::None, errno }),
        };
    }
}

/// The sandbox's main.
fn become_sandbox(inherited: Inherited, zygote: &Context<'_>, order: &Order) -> ! {
    let given = SupervisorLink { channel: order.channel.as_fd(), ..zygote.link };
    let failure = match own_set_up(inherited, zygote, given, order) {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    given.report_failure(failure);
    process::exit_now(super::SETUP_FAILED)
}

fn own_set_up(
    inherited: Inherited,
    zygote: &Context<'_>,
    given: SupervisorLink<'_>,
    order: &Order,
) -> Result<Infallible, Failure> {
    let plan = zygote.plan;
    let pidfd = sys::borrowed(SUPERVISOR_FD).step(Step::SupervisorAlive)?;
    let link = SupervisorLink { pidfd, ..super::move_channel(given)? };
    let context = super::Context {
        plan,
        link,
        input: order.placeholder.as_fd(),
        output: order.placeholder.as_fd(),
        stderr: order.stderr.as_fd(),
        passed_fds: &[],
        environment: zygote.environment,
        ruleset: order.ruleset.as_fd(),
        canary: sys::borrowed(CANARY_FD).step(Step::Canary)?,
        park: zygote.park,
        snapshot: None,
        status: order.status.as_ref().map(AsFd::as_fd),
    };
    super::begin_session(&link)?;
    let handler = sys::borrowed(EXEC_FD).step(Step::HandlerFile)?;
    let (rooted, tree, ids) = rootfs::enter_over(inherited.few, &link, &plan.rootfs, handler)?;
    let bounded = capabilities::still_bounded(rooted, inherited.bounded);
    let unprivileged = identity::change(bounded, plan.identity, ids, &link)?;
    super::become_handler(unprivileged, tree, &context)
}
