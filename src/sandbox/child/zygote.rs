//! The zygote of a service, and the sandboxes that it clones: the same layers as in [`super::set_up`], in two
//! parts.
//!
//! The zygote makes what is the same for all sandboxes: the root, the namespaces, the bounding set, the
//! Landlock domain, both filters. Then it waits in clone3(2). A sandbox inherits all that, and makes only what
//! is its own.
//!
//! In front of the profile stands one line more than in every other sandbox: it allows the calls of a
//! sandbox's own set-up to whoever knows a random word ([`Token`]). The word is in the memory of the zygote
//! and of sandboxes that it has just cloned. Exec replaces that memory: no handler knows it. The clone itself
//! both filters notify, if it carries the word, and the supervisor lets it be made by the zygote's process
//! alone. Where the service has cgroups, the supervisor has put the directory of one at [`GROUP_FD`] by then:
//! the sandbox is born in it.
//!
//! Why is a layer that is inherited as good as one that is made? fork(2) copies the credentials, the filters,
//! the Landlock domain, the limits and the namespaces of a process, and none of them can be widened by a
//! process without capabilities. The zygote verifies each of them once. It never reads a byte from outside,
//! so it is at every clone what it was then. What /proc shows of a sandbox the supervisor looks at again
//! before it has a connection.

use super::capabilities::{self, Bounded};
use super::exec::{self, CHANNEL_FD, EXEC_FD, HANDED_FD};
use super::limits::Whose;
use super::operand::{Operand, place};
use super::step::{AtStep, Failure, Step, verify, verify_on};
use super::supervisor_link::SupervisorLink;
use super::wire::Report;
use super::{Begun, filters, landlock, limits, rootfs};
use crate::plan::identity::Identity;
use crate::plan::zygote::{ARRIVE_CALL, FAIL_CALL};
use crate::plan::{Plan, Start};
use std::convert::Infallible;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use sys::privilege::{self, CapData, NO_CAPABILITIES};
use sys::seccomp::Instruction;
use sys::token::Token;
use sys::{self, CStrings, Errno, Ignoring, process};

/// Everything that a zygote is made from.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    pub plan: &'a Plan,
    pub link: SupervisorLink<'a>,
    pub environment: &'a CStrings,
    pub ruleset: BorrowedFd<'a>,
    /// The ruleset of each sandbox's own domain.
    pub parting: BorrowedFd<'a>,
    pub canary: BorrowedFd<'a>,
    /// Descriptors 0 and 1 until a sandbox has its connection.
    pub placeholder: BorrowedFd<'a>,
    pub token: Token,
    /// With the token's calls in front.
    pub guard: &'a [Instruction],
    pub profile: &'a [Instruction],
    /// Each sandbox is born in the cgroup at [`GROUP_FD`].
    pub in_groups: bool,
}

/// Where a connection and a sandbox's stderr will be.
const PLACEHOLDERS: std::ops::RangeInclusive<RawFd> = 0..=2;
const STDERR_FD: RawFd = 2;
/// Where the supervisor finds the other end of the next sandbox's stderr. It vanishes at exec.
pub(crate) const STDERR_READER_FD: RawFd = HANDED_FD;
/// Where the supervisor puts the directory of the next sandbox's cgroup. It vanishes at exec.
pub(crate) const GROUP_FD: RawFd = HANDED_FD + 1;

/// Where the ruleset of the sandboxes' own domains is.
const PARTING_FD: RawFd = CHANNEL_FD - 1;
/// Where the supervisor's pidfd is.
pub(super) const SUPERVISOR_FD: RawFd = CHANNEL_FD - 2;
/// Where the canary's directory is.
pub(super) const CANARY_FD: RawFd = CHANNEL_FD - 3;

/// The descriptors of a zygote that waits for the first time.
pub(crate) const OPEN_WHILE_WAITING: [RawFd; 8] =
    [0, 1, STDERR_FD, STDERR_READER_FD, CANARY_FD, SUPERVISOR_FD, PARTING_FD, EXEC_FD];

/// CAP_SETGID, CAP_SETUID and CAP_SYS_ADMIN (linux/capability.h): to become a sandbox, and to clone one.
const ZYGOTES_CAPABILITIES: [CapData; 2] = privilege::only_capabilities(&[6, 7, 21]);

/// Proof that the zygote has neither groups nor capabilities beyond those that it needs.
#[derive(Debug)]
struct Reduced(());

/// Proof that everything that sandboxes inherit is in force, but for the filters.
#[derive(Debug)]
struct Restricted(());

/// Proof that a process has every layer that sandboxes inherit: it is a zygote, or the clone of one.
#[derive(Debug, Clone, Copy)]
struct Inherited(());

/// Proof that a sandbox has a session, a Landlock domain and a limit of CPU time of its own.
#[derive(Debug)]
struct Apart(());

/// Proof that it has no privilege.
#[derive(Debug)]
struct Unprivileged(());

/// The zygote's main. It ends with the supervisor, or with a report.
pub(crate) fn main(given: &Context<'_>) -> ! {
    let failure = match move_channel(given) {
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

fn move_channel<'a>(given: &Context<'a>) -> Result<Context<'a>, Failure> {
    Ok(Context { link: super::move_channel(given.link)?, ..*given })
}

fn set_up(context: &Context<'_>) -> Result<Inherited, Failure> {
    let plan = context.plan;
    let begun = begin(context.link, &plan.start)?;
    let (rooted, tree, _) =
        rootfs::enter(begun, &context.link, &plan.rootfs, context.canary, plan.namespaces, None)?;
    let bounded = capabilities::bound(rooted, plan.identity.last_capability)?;
    let reduced = reduce(bounded, plan)?;
    let restricted = restrict(reduced, context, &tree)?;
    let restricted = close_all(restricted, context, tree)?;
    filter(restricted, context)
}

/// As [`super::begin`], but that it stays in the supervisor's session, and so has the weight that the
/// supervisor has there (sched(7), autogroups). Each sandbox has a session of its own.
pub(super) fn begin(link: SupervisorLink<'_>, start: &Start) -> Result<Begun, Failure> {
    link.die_with_it()?;
    super::begin_process(start)
}

/// *Removes* all groups, and all capabilities but three. *Keeps* root's ids: each sandbox has its own.
fn reduce(_: Bounded, plan: &Plan) -> Result<Reduced, Failure> {
    privilege::clear_groups().step(Step::Groups)?;
    verify(Step::VerifyIdentity, privilege::group_count().step(Step::VerifyIdentity)? == 0)?;
    capabilities::verify_bounding(plan.identity.last_capability)?;
    privilege::set_capabilities(&ZYGOTES_CAPABILITIES).step(Step::Capabilities)?;
    let sets = privilege::capabilities().step(Step::VerifyCapabilities)?;
    verify(Step::VerifyCapabilities, sets == ZYGOTES_CAPABILITIES).map(|()| Reduced(()))
}

/// *Removes* the session keyring, privilege by exec, W+X memory, every path that no rule names.
/// *Keeps* the link to the supervisor, the handler's file, and the ruleset of the sandboxes' own domains.
fn restrict(_: Reduced, context: &Context<'_>, tree: &rootfs::Tree) -> Result<Restricted, Failure> {
    let plan = context.plan;
    exec::join_keyring(plan)?;
    exec::switch_dumpable_off()?;
    for number in PLACEHOLDERS {
        exec::put(context.placeholder, number)?;
    }
    sys::dup_to(tree.handler.as_fd(), EXEC_FD, libc::O_CLOEXEC).step(Step::ExecDescriptor)?;
    exec::forbid_gains(plan)?;
    // A sandbox's own domain on top forbids some of it again.
    let writing = plan.landlock.writing();
    for (ruleset, path) in [(context.ruleset, context.canary), (context.parting, tree.root.as_fd())] {
        sys::landlock::allow(ruleset, path, writing).step(Step::LandlockRule)?;
    }
    landlock::add_rules(&plan.landlock, context.ruleset, tree.root.as_fd(), tree.handler.as_fd())?;
    landlock::restrict(&plan.landlock, context.ruleset, context.canary)?;
    // First: any number may be its own, these too.
    if context.parting.as_raw_fd() != PARTING_FD {
        sys::dup_to(context.parting, PARTING_FD, libc::O_CLOEXEC).step(Step::LandlockRestrict)?;
    }
    sys::dup_to(context.link.pidfd, SUPERVISOR_FD, libc::O_CLOEXEC).step(Step::SupervisorAlive)?;
    sys::dup_to(context.canary, CANARY_FD, libc::O_CLOEXEC).step(Step::Canary)?;
    Ok(Restricted(()))
}

/// Closes every descriptor but those above, and proves it.
fn close_all(
    restricted: Restricted,
    context: &Context<'_>,
    tree: rootfs::Tree,
) -> Result<Restricted, Failure> {
    // Closed below by number, so no destructor may close it again.
    std::mem::forget(tree);
    sys::close_range(PLACEHOLDERS.end() + 1, (CANARY_FD - 1).unsigned_abs(), 0).step(Step::CloseAll)?;
    sys::close_range(EXEC_FD + 1, u32::MAX, 0).step(Step::CloseAll)?;
    for number in 0..=EXEC_FD {
        let expected = match number {
            CANARY_FD.. => Ok(true),
            _ if PLACEHOLDERS.contains(&number) => Ok(false),
            _ => Err(Errno::EBADF),
        };
        if sys::is_cloexec(number) != expected {
            return Err(Errno::EBADF).step_on(Step::VerifyDescriptors, descriptor(number));
        }
    }
    limits::apply(&context.plan.limits, Whose::Inherited)?;
    Ok(restricted)
}

pub(super) fn descriptor(number: RawFd) -> Operand {
    Operand::Descriptor(place(number.unsigned_abs() as usize))
}

/// *Removes* every system call that guard or profile do not allow, but for those that carry the token. The
/// listener is the supervisor's alone: a sandbox that had it could answer its own calls.
fn filter(_: Restricted, context: &Context<'_>) -> Result<Inherited, Failure> {
    sys::seccomp::install(context.guard).step(Step::GuardFilter)?;
    let listener = sys::seccomp::install_with_listener(context.profile).step(Step::ProfileFilter)?;
    filters::verify()?;
    let number = listener.as_raw_fd();
    context.link.report_and_wait(Report::Listener(number), Step::Listener)?;
    std::mem::forget(listener);
    for number in [number, CHANNEL_FD] {
        sys::close_range(number, number.unsigned_abs(), 0).step(Step::CloseAll)?;
        let closed = sys::is_cloexec(number) == Err(Errno::EBADF);
        if !closed {
            return Err(Errno::EBADF).step_on(Step::VerifyDescriptors, descriptor(number));
        }
    }
    Ok(Inherited(()))
}

/// Waits in clone3(2), which the supervisor lets be made each time it wants a sandbox. The answer goes with
/// the next one.
fn clone_sandboxes(inherited: Inherited, context: &Context<'_>) -> ! {
    let group = context.in_groups.then_some(GROUP_FD);
    let mut answer = 0;
    loop {
        if let Err(failure) = make_stderr(context.token, answer) {
            tell_failure(context.token, failure);
            process::exit_now(super::SETUP_FAILED);
        }
        answer = match context.token.clone_sibling(group, answer) {
            Ok(Some(pid)) => i64::from(pid),
            Ok(None) => become_handler(inherited, context),
            // Twice in a row: nobody listens any more, or it is not made at all. Another zygote may do
            // better.
            Err(errno) if answer < 0 => {
                let failure = Failure { step: Step::Clone, operand: Operand::None, errno };
                tell_failure(context.token, failure);
                process::exit_now(super::SETUP_FAILED)
            }
            Err(errno) => -i64::from(errno as i32),
        };
    }
}

/// The pipe of the next sandbox in the place of the last one's. Made here, it is inherited without a wait;
/// the supervisor takes its end while we wait.
fn make_stderr(token: Token, answer: i64) -> Result<(), Failure> {
    let step = Step::StderrPipe;
    if answer != 0 {
        token.close(STDERR_READER_FD).step(step)?;
    }
    let [reader, writer] = token.pipe().step(step)?;
    verify(step, reader == STDERR_READER_FD)?;
    token.dup_to(writer, STDERR_FD).step(step)?;
    // Otherwise it would still be the last one's.
    verify(step, token.inode(STDERR_FD).step(step)? == token.inode(writer).step(step)?)?;
    token.close(writer).step(step)
}

/// The sandbox's main.
fn become_handler(inherited: Inherited, context: &Context<'_>) -> ! {
    match own_set_up(inherited, context) {
        Ok(never) => match never {},
        Err(failure) => {
            tell_failure(context.token, failure);
            process::exit_now(super::SETUP_FAILED)
        }
    }
}

fn tell_failure(token: Token, Failure { step, operand, errno }: Failure) {
    let words = [step as u64, u64::from(operand.to_number()), u64::from((errno as i32).unsigned_abs())];
    token.tell(FAIL_CALL, words).ignoring("nobody hears it, so nobody waits");
}

fn own_set_up(inherited: Inherited, context: &Context<'_>) -> Result<Infallible, Failure> {
    let identity = arrive(inherited, context)?;
    let apart = part(inherited, context)?;
    let unprivileged = change_identity(apart, context.token, identity)?;
    execute(unprivileged, context)
}

/// The supervisor puts the descriptors in their places while we wait, and answers with the uid.
fn arrive(_: Inherited, context: &Context<'_>) -> Result<Identity, Failure> {
    let step = Step::ReceiveIdentity;
    let id = context.token.tell(ARRIVE_CALL, [0; 3]).step(step)?;
    let id = u32::try_from(id).ok().filter(|id| *id != 0).ok_or(Errno::EBADE).step(step)?;
    let passed = HANDED_FD + RawFd::from(place(context.plan.passed_fds.len()).cast_signed());
    for number in 0..passed {
        if !context.token.is_kept(number) {
            return Err(Errno::EBADF).step_on(Step::VerifyDescriptors, descriptor(number));
        }
    }
    Ok(Identity { uid: id, gid: id })
}

/// *Removes* the zygote's session and its mask of signals, what the Landlock domain that it shares with others
/// allows among them, and CPU time beyond the limit.
fn part(_: Inherited, context: &Context<'_>) -> Result<Apart, Failure> {
    let token = context.token;
    token.setsid().step(Step::Session)?;
    verify(Step::Session, token.session().step(Step::Session)? == FIRST_PID)?;
    token.unblock_signals().step(Step::Signals)?;
    verify(Step::Signals, token.unblock_signals().step(Step::Signals)?)?;
    // Signals and abstract sockets have no target here to try it on.
    token.open_to_write(CANARY_FD, landlock::CANARY).step(Step::Canary)?;
    token.restrict_self(PARTING_FD, context.plan.landlock.is_quiet()).step(Step::LandlockRestrict)?;
    let after = token.open_to_write(CANARY_FD, landlock::CANARY);
    verify(Step::VerifyLandlock, after == Err(Errno::EACCES))?;
    limit_cpu(context)?;
    Ok(Apart(()))
}

/// *Removes* CPU time beyond the limit: the zygote has none, because its own time would count.
fn limit_cpu(context: &Context<'_>) -> Result<(), Failure> {
    let token = context.token;
    for (operand, limit) in limits::of(&context.plan.limits, Whose::Own) {
        token.set_limit(limit.resource, limit.soft, limit.hard).step_on(Step::Limit, operand)?;
        let in_force = token.limit(limit.resource).step_on(Step::Limit, operand)?;
        verify_on(Step::Limit, operand, in_force == (limit.soft, limit.hard))?;
    }
    Ok(())
}

/// The first process of a pid namespace.
const FIRST_PID: libc::c_long = 1;

/// *Removes* root's ids, all capabilities, and the chance to outlive the supervisor.
fn change_identity(_: Apart, token: Token, identity: Identity) -> Result<Unprivileged, Failure> {
    token.set_gid(identity.gid).step(Step::Gid)?;
    token.set_uid(identity.uid).step(Step::Uid)?;
    token.set_capabilities(&NO_CAPABILITIES).step(Step::Capabilities)?;
    token.set_parent_death_signal(libc::SIGKILL).step(Step::ParentDeathSignal)?;
    let set = token.parent_death_signal().step(Step::ParentDeathSignal)?;
    verify(Step::ParentDeathSignal, set == libc::SIGKILL)?;
    // It may have died before.
    let dead = token.has_ended(SUPERVISOR_FD).step(Step::SupervisorAlive)?;
    verify(Step::SupervisorAlive, !dead)?;
    let step = Step::VerifyIdentity;
    verify(step, token.uids().step(step)? == [identity.uid; 3])?;
    verify(step, token.gids().step(step)? == [identity.gid; 3])?;
    let sets = token.capabilities().step(Step::VerifyCapabilities)?;
    verify(Step::VerifyCapabilities, sets == NO_CAPABILITIES).map(|()| Unprivileged(()))
}

/// Runs the handler. Returns only a failure.
fn execute(_: Unprivileged, context: &Context<'_>) -> Result<Infallible, Failure> {
    Err(sys::execveat(EXEC_FD, &context.plan.argv, context.environment, &[])).step(Step::Exec)
}
