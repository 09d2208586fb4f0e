//! The last steps: descriptors, limits, the sealing filters, and the exec itself.

use super::identity::Unprivileged;
use super::landlock;
use super::limits;
use super::operand::{Operand, place};
use super::rootfs::Tree;
use super::step::{AtStep, Failure, Step, verify};
use super::wire::{self, Report};
use super::{Context, filters};
use crate::plan::Plan;
use crate::plan::park::{self, Park};
use std::convert::Infallible;
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use sys::mount::{self, identify};
use sys::{self, Errno, privilege, process};

pub use seccomp::abi::EXEC_FD;
/// Where the channel to the supervisor is. The supervisor keeps both numbers occupied in its own table, so
/// that nothing the child was given can be there.
pub const CHANNEL_FD: RawFd = EXEC_FD - 1;
/// Where what a handler is handed begins (sd_listen_fds(3)), and how much that may be: well below the
/// usual RLIMIT_NOFILE.
pub const HANDED_FD: RawFd = 3;
pub const HANDED_MAX: usize = 16;

/// Proof that everything but the filters is in force.
#[derive(Debug)]
pub struct Restricted(());

/// Proof that both filters answer.
#[derive(Debug)]
pub struct Filtered(());

/// *Removes* the session keyring, every resource beyond the limits, privilege by exec, W+X memory, every path
/// that no rule names. *Keeps* the connection, the link to the supervisor, and the handler's file.
pub fn restrict(_: Unprivileged, context: &Context<'_>, tree: &Tree) -> Result<Restricted, Failure> {
    let plan = context.plan;
    join_keyring(plan)?;
    if plan.dumpable_off_early {
        switch_dumpable_off()?;
    }
    put_stdio(context)?;
    sys::dup_to(tree.handler.as_fd(), EXEC_FD, libc::O_CLOEXEC).step(Step::ExecDescriptor)?;
    verify(Step::Signals, process::unblock_signals().step(Step::Signals)?)?;
    forbid_gains(plan)?;
    if let Some(path) = &plan.start.directory {
        go_to(path, tree.root.as_fd())?;
    }
    landlock::add_rules(&plan.landlock, context.ruleset, tree.root.as_fd(), tree.handler.as_fd())?;
    landlock::restrict(&plan.landlock, context.ruleset, context.canary)?;
    Ok(Restricted(()))
}

pub(super) fn join_keyring(plan: &Plan) -> Result<(), Failure> {
    if plan.keyring {
        let joined = privilege::join_new_session_keyring().step(Step::Keyring)?;
        verify(Step::Keyring, privilege::session_keyring().step(Step::Keyring)? == joined)?;
    }
    Ok(())
}

/// Privilege by exec, and memory that is writable and executable.
pub(super) fn forbid_gains(plan: &Plan) -> Result<(), Failure> {
    privilege::set_no_new_privs().step(Step::NoNewPrivs)?;
    verify(Step::NoNewPrivs, privilege::no_new_privs().step(Step::NoNewPrivs)?)?;
    if plan.mdwe {
        privilege::set_mdwe().step(Step::Mdwe)?;
        verify(Step::Mdwe, privilege::mdwe().step(Step::Mdwe)?)?;
    }
    Ok(())
}

/// Enters the handler's directory as the handler's user, so that it starts in no directory that it could not
/// enter. No link may lead out of the tree.
fn go_to(path: &CStr, root: BorrowedFd<'_>) -> Result<(), Failure> {
    let step = Step::Directory;
    let in_root = mount::RESOLVE_IN_ROOT | mount::RESOLVE_NO_MAGICLINKS;
    let directory = mount::openat2(root, path, libc::O_PATH | libc::O_DIRECTORY, in_root).step(step)?;
    mount::fchdir(directory.as_fd()).step(step)?;
    let found = identify(sys::cwd(), c".").step(step)?;
    verify(step, found == identify(directory.as_fd(), c"").step(step)?)
}

pub(super) fn switch_dumpable_off() -> Result<(), Failure> {
    privilege::set_not_dumpable().step(Step::Dumpable)?;
    verify(Step::Dumpable, !privilege::is_dumpable().step(Step::Dumpable)?)
}

/// 0 and 1 become the connection, 2 the supervisor's pipe.
fn put_stdio(context: &Context<'_>) -> Result<(), Failure> {
    for (number, given) in (0..).zip([context.input, context.output, context.stderr]) {
        put(given, number)?;
    }
    Ok(())
}

pub(super) fn put(given: BorrowedFd<'_>, number: RawFd) -> Result<(), Failure> {
    sys::dup_to(given, number, 0).step(Step::Stdio)?;
    let put = sys::borrowed(number).step(Step::Stdio)?;
    let (put, given) = (identify(put, c"").step(Step::Stdio)?, identify(given, c"").step(Step::Stdio)?);
    verify(Step::Stdio, put == given)
}

/// Passed descriptors are above all numbers used here, and the numbers below the channel are free by now.
fn put_handed(context: &Context<'_>) -> Result<(), Failure> {
    for (index, (number, given)) in (HANDED_FD..).zip(context.passed_fds).enumerate() {
        let (step, operand) = (Step::PassedFds, Operand::Passed(place(index)));
        sys::dup_to(given.as_fd(), number, 0).step_on(step, operand)?;
        let put = identify(sys::borrowed(number).step_on(step, operand)?, c"").step_on(step, operand)?;
        if put != identify(given.as_fd(), c"").step_on(step, operand)? {
            return Err(Errno::EBADE).step_on(step, operand);
        }
    }
    Ok(())
}

/// Closes every descriptor but 0 to 2, what is handed over, the channel and the handler's file, and proves
/// it. After it the limits: RLIMIT_NOFILE would otherwise bite while rules are added.
pub fn close_all(restricted: Restricted, context: &Context<'_>, tree: Tree) -> Result<Restricted, Failure> {
    // Closed below by number, so no destructor may close it again.
    std::mem::forget(tree);
    sys::close_range(HANDED_FD, (CHANNEL_FD - 1).unsigned_abs(), 0).step(Step::CloseAll)?;
    put_handed(context)?;
    sys::close_range(EXEC_FD + 1, u32::MAX, 0).step(Step::CloseAll)?;
    verify_descriptors(context.passed_fds.len())?;
    limits::apply(&context.plan.limits, limits::Whose::All)?;
    Ok(restricted)
}

/// Asks for each number of the table whether it is open, and whether what stays beside stdio vanishes at
/// exec. By fcntl(2), not poll(2), to which an O_PATH descriptor looks closed.
fn verify_descriptors(passed_fds: usize) -> Result<(), Failure> {
    for number in 0..=EXEC_FD {
        let index = usize::try_from(number - HANDED_FD).ok();
        let expected = match number {
            CHANNEL_FD | EXEC_FD => Some(Lifetime::UntilExec),
            _ if index.is_none_or(|index| index < passed_fds) => Some(Lifetime::Kept),
            _ => None,
        };
        let operand = Operand::Descriptor(place(number.unsigned_abs() as usize));
        if lifetime(number).step_on(Step::VerifyDescriptors, operand)? != expected {
            return Err(Errno::EBADF).step_on(Step::VerifyDescriptors, operand);
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
enum Lifetime {
    Kept,
    UntilExec,
}

/// None: closed.
fn lifetime(number: RawFd) -> Result<Option<Lifetime>, Errno> {
    match sys::is_cloexec(number) {
        Ok(true) => Ok(Some(Lifetime::UntilExec)),
        Ok(false) => Ok(Some(Lifetime::Kept)),
        Err(Errno::EBADF) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// *Removes* every system call that guard or profile do not allow. *Keeps* one execveat of the
/// handler's descriptor.
///
/// The supervisor fetches the profile's listener while we wait: the guard forbids sending it, and at exec it
/// is closed.
pub fn filter(_: Restricted, context: &Context<'_>) -> Result<Filtered, Failure> {
    let plan = context.plan;
    sys::seccomp::install(plan.seccomp.guard).step(Step::GuardFilter)?;
    let listener = sys::seccomp::install_with_listener(plan.seccomp.profile_for(context.park))
        .step(Step::ProfileFilter)?;
    filters::verify()?;
    context.link.report_and_wait(Report::Listener(listener.as_raw_fd()), Step::Listener)?;
    // It is close-on-exec (seccomp(2)): close(2) is a call that the profile may deny.
    std::mem::forget(listener);
    if !plan.dumpable_off_early {
        // Rootless the supervisor could not have fetched the listener from a process that is not dumpable.
        // Reading back is forbidden by now.
        privilege::set_not_dumpable().step(Step::Dumpable)?;
    }
    Ok(Filtered(()))
}

/// Runs the handler. Returns only a failure.
pub fn execute(_: Filtered, context: &Context<'_>) -> Result<Infallible, Failure> {
    let mut message = [0; wire::ENVIRONMENT_MAX];
    let added =
        if context.park == Park::BeforeExec { wait_for_connection(context, &mut message)? } else { &[] };
    Err(sys::execveat(EXEC_FD, &context.plan.argv, context.environment, added)).step(Step::Exec)
}

/// Waits in a call that the supervisor ends once the connection is at 0 and 1, then hears what the
/// environment gets.
fn wait_for_connection<'a>(context: &Context<'_>, message: &'a mut [u8]) -> Result<&'a [u8], Failure> {
    let answer = sys::nonexistent_call(park::WAIT_CALL);
    verify(Step::Parked, answer == 0)?;
    let count = sys::read(context.link.channel, message).step(Step::Parked)?;
    match message.get(..count) {
        Some([_go_on, environment @ ..]) => Ok(environment),
        _ => Err(Errno::EPIPE).step(Step::Parked),
    }
}
