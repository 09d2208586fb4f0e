//! Between clone and exec: the whole sequence, one line a step. No allocation, no formatting, no lock, no logging.

use super::rootfs;
use super::step::{AtStep, Failure, Step, verify};
use super::supervisor_link::SupervisorLink;
use super::{Context, capabilities, exec, identity, init};
use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::AsFd;
use sys::{self, process};

/// How the handler's process begins.
#[derive(Debug)]
pub(crate) struct Start {
    /// What /proc/PID/oom_score_adj shall say.
    pub(crate) oom_score: CString,
    /// None: the launcher's own.
    pub(crate) cpus: Option<process::CpuSet>,
    /// Where it starts; None: in /.
    pub(crate) directory: Option<CString>,
}

/// Proof that the process dies with the supervisor and passes nothing on by accident.
#[derive(Debug)]
pub(crate) struct Begun(());

/// The child's main: becomes the handler, or reports why not and ends.
pub(super) fn main(given: &Context<'_>) -> ! {
    let failure = match move_channel(given) {
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
fn move_channel<'a>(given: &Context<'a>) -> Result<Context<'a>, Failure> {
    let step = Step::CloseInherited;
    sys::close_range(3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC).step(step)?;
    sys::dup_to(given.link.channel, exec::CHANNEL_FD, libc::O_CLOEXEC).step(step)?;
    let channel = sys::borrowed(exec::CHANNEL_FD).step(step)?;
    Ok(Context { link: SupervisorLink { channel, ..given.link }, ..*given })
}

/// Not seen by anyone who got the report; the number of `run` for "the sandbox could not be set up".
pub(super) const SETUP_FAILED: i32 = 125;

fn set_up(context: &Context<'_>) -> Result<Infallible, Failure> {
    let plan = context.plan;
    let begun = begin(context)?;
    let (rooted, tree, ids) =
        rootfs::enter(begun, &context.link, &plan.rootfs, context.canary, plan.namespaces, context.snapshot)?;
    let bounded = capabilities::bound(rooted, plan.identity.last_capability)?;
    let unprivileged = identity::change(bounded, plan.identity, ids, &context.link)?;
    let restricted = exec::restrict(unprivileged, context, &tree)?;
    let restricted = init::divide(restricted, context)?;
    let restricted = exec::close_all(restricted, context, tree)?;
    let filtered = exec::filter(restricted, context)?;
    exec::execute(filtered, context)
}

/// *Removes* the controlling terminal, the caller's personality, life beyond the supervisor.
/// *Keeps* every privilege: mounts come next.
fn begin(context: &Context<'_>) -> Result<Begun, Failure> {
    let start = &context.plan.start;
    context.link.die_with_it()?;
    process::setsid().step(Step::Session)?;
    verify(Step::Session, process::session().step(Step::Session)? == FIRST_PID)?;
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

pub(crate) const UMASK: u32 = 0o022;

/// We are the first process of our pid namespace.
const FIRST_PID: i32 = 1;

/// Only where it is needed: units refuse the call that sets a policy (@resources).
fn leave_real_time() -> Result<(), sys::Errno> {
    if process::is_real_time()? {
        process::set_ordinary_scheduling()?;
    }
    if process::is_real_time()? { Err(sys::Errno::EBADE) } else { Ok(()) }
}

/// Read from /proc: the system call that asks is refused by LockPersonality= of a unit, the one that sets is not.
fn has_default_personality() -> Result<bool, sys::Errno> {
    let mut persona = [0; 8];
    let file = sys::mount::openat2(sys::cwd(), c"/proc/self/personality", libc::O_RDONLY, 0)?;
    let count = sys::read(file.as_fd(), &mut persona)?;
    Ok(count == persona.len() && persona == *b"00000000")
}

/// Under memory pressure the kernel shall take a sandbox before the supervisor, whose own score may be negative.
fn set_oom_score(score: &[u8]) -> Result<(), sys::Errno> {
    let file = sys::mount::openat2(sys::cwd(), c"/proc/self/oom_score_adj", libc::O_RDWR, 0)?;
    sys::write(file.as_fd(), score)?;
    let mut shown = [0; 8];
    let count = sys::read_start(file.as_fd(), &mut shown)?;
    let is_set = shown.get(..count).is_some_and(|shown| shown.strip_suffix(b"\n") == Some(score));
    if is_set { Ok(()) } else { Err(sys::Errno::EBADE) }
}
