//! The code between clone and exec: the whole sequence, one line a stage. No allocation, no formatting, no
//! lock, no logging.

pub mod capabilities;
pub mod devices;
pub mod exec;
pub mod landlock;
pub mod mounting;
pub mod operand;
pub mod reset;
pub mod step;
pub mod subvolume;
pub mod supervisor_link;
pub mod wire;
pub mod zygote;

pub mod binds;
pub mod credentials;
pub mod rootfs;

mod filters;
mod identity;
mod init;
mod limits;

use crate::plan::park::Park;
use crate::plan::{Plan, Start};
use std::convert::Infallible;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use step::{AtStep, Failure, Step, verify};
use supervisor_link::SupervisorLink;
use sys::{self, CStrings, process};

/// Everything that one sandbox is built from, ready for the child.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    pub plan: &'a Plan,
    pub link: SupervisorLink<'a>,
    pub input: BorrowedFd<'a>,
    pub output: BorrowedFd<'a>,
    pub stderr: BorrowedFd<'a>,
    /// Descriptors for the numbers from [`exec::HANDED_FD`] up; each is above [`exec::EXEC_FD`].
    pub passed_fds: &'a [OwnedFd],
    pub environment: &'a CStrings,
    pub ruleset: BorrowedFd<'a>,
    pub canary: BorrowedFd<'a>,
    pub park: Park,
    /// The snapshot to make, by its name among its launcher's.
    pub snapshot: Option<&'a CStr>,
    /// Where the init stub says how the handler ended.
    pub status: Option<BorrowedFd<'a>>,
}

/// Proof that the process dies with the supervisor and passes nothing on by accident.
#[derive(Debug)]
pub struct Begun(());

/// The child's main: becomes the handler, or reports why not and ends.
pub(crate) fn main(given: &Context<'_>) -> ! {
    let failure = match move_channel(given.link).map(|link| Context { link, ..*given }) {
        Err(failure) => failure,
        Ok(context) => match set_up(&context) {
            Ok(never) => match never {},
            Err(failure) => {
                context.link.report_failure(failure);
                process::exit_now(SETUP_FAILED)
            }
        },
    };
    given.link.report_failure(failure);
    process::exit_now(SETUP_FAILED)
}

/// Marks everything inherited close-on-exec and puts the channel at its number for good.
fn move_channel(link: SupervisorLink<'_>) -> Result<SupervisorLink<'_>, Failure> {
    let step = Step::CloseInherited;
    sys::close_range(3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC).step(step)?;
    sys::dup_to(link.channel, exec::CHANNEL_FD, libc::O_CLOEXEC).step(step)?;
    let channel = sys::borrowed(exec::CHANNEL_FD).step(step)?;
    Ok(SupervisorLink { channel, ..link })
}

/// Exit status of a child whose set-up failed, as `run` has it; the supervisor goes by the report instead.
pub(crate) const SETUP_FAILED: i32 = 125;

fn set_up(context: &Context<'_>) -> Result<Infallible, Failure> {
    let plan = context.plan;
    let begun = begin(context)?;
    let (rooted, tree, ids) =
        rootfs::enter(begun, &context.link, &plan.rootfs, context.canary, plan.namespaces, context.snapshot)?;
    let bounded = capabilities::bound(rooted, plan.identity.last_capability)?;
    let unprivileged = identity::change(bounded, plan.identity, ids, &context.link)?;
    become_handler(unprivileged, tree, context)
}

/// The stages that need no privilege.
fn become_handler(
    unprivileged: identity::Unprivileged,
    tree: rootfs::Tree,
    context: &Context<'_>,
) -> Result<Infallible, Failure> {
    let restricted = exec::restrict(unprivileged, context, &tree)?;
    let restricted = init::fork_stub(restricted, context)?;
    let restricted = exec::close_all(restricted, context, tree)?;
    let filtered = exec::filter(restricted, context)?;
    exec::execute(filtered, context)
}

/// *Removes* the controlling terminal, the caller's personality, life beyond the supervisor.
/// *Keeps* every privilege: mounts come next.
fn begin(context: &Context<'_>) -> Result<Begun, Failure> {
    begin_session(&context.link)?;
    begin_process(&context.plan.start)
}

/// Of the first process of a pid namespace.
fn begin_session(link: &SupervisorLink<'_>) -> Result<(), Failure> {
    link.die_with_it()?;
    process::setsid().step(Step::Session)?;
    verify(Step::Session, process::session().step(Step::Session)? == FIRST_PID)
}

fn begin_process(start: &Start) -> Result<Begun, Failure> {
    process::set_umask(UMASK);
    process::reset_personality().step(Step::Personality)?;
    verify(Step::Personality, has_default_personality().step(Step::Personality)?)?;
    leave_real_time().step(Step::Scheduling)?;
    set_oom_score(start.oom_score.as_bytes()).step(Step::OomScore)?;
    if let Some(cpus) = &start.cpus {
        verify(Step::Affinity, process::run_on(cpus).step(Step::Affinity)?)?;
    }
    Ok(Begun(()))
}

pub const UMASK: u32 = 0o022;

/// We are the first process of our pid namespace.
const FIRST_PID: i32 = 1;

/// Only if needed, because units may refuse the call that sets a policy (@resources).
fn leave_real_time() -> Result<(), sys::Errno> {
    if process::is_real_time()? {
        process::set_ordinary_scheduling()?;
    }
    if process::is_real_time()? { Err(sys::Errno::EBADE) } else { Ok(()) }
}

/// Read from /proc: the system call that asks is refused by LockPersonality= of a unit, the one that sets
/// is not.
fn has_default_personality() -> Result<bool, sys::Errno> {
    let mut persona = [0; 8];
    let file = sys::mount::openat2(sys::cwd(), c"/proc/self/personality", libc::O_RDONLY, 0)?;
    let count = sys::read(file.as_fd(), &mut persona)?;
    Ok(count == persona.len() && persona == *b"00000000")
}

/// Under memory pressure the kernel must kill a sandbox before the supervisor, whose own score may
/// be negative.
fn set_oom_score(score: &[u8]) -> Result<(), sys::Errno> {
    let file = sys::mount::openat2(sys::cwd(), c"/proc/self/oom_score_adj", libc::O_RDWR, 0)?;
    sys::write(file.as_fd(), score)?;
    let mut shown = [0; 8];
    let count = sys::read_start(file.as_fd(), &mut shown)?;
    let is_set = shown.get(..count).is_some_and(|shown| shown.strip_suffix(b"\n") == Some(score));
    if is_set { Ok(()) } else { Err(sys::Errno::EBADE) }
}
