//! The init stub: PID 1 of a sandbox whose handler may fork, or relies on signals.
//!
//! To PID 1 a signal with default disposition does nothing (pid_namespaces(7)): alarm(2) never fires, SIGPIPE
//! never kills, children are never reaped. With the stub as PID 1 the handler is an ordinary process, PID 2.

use super::Context;
use super::exec::{CHANNEL_FD, EXEC_FD, Restricted};
use super::step::{AtStep, Failure, Step, verify};
use super::wire::{GO_ON, Report};
use seccomp::abi::GUARD_CANARY;
use std::convert::Infallible;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use sys::mount::identify;
use sys::{self, Errno, Ignoring, process};

/// Clones the handler's process if there is to be a stub: the child goes on, the parent becomes the stub and,
/// sealed or not, never returns. Without a stub, the caller goes on as PID 1.
///
/// Both have the one channel to the supervisor, where each could take the other's answer: the child waits at
/// a gate until the parent is done with it.
pub(crate) fn fork_stub(restricted: Restricted, context: &Context<'_>) -> Result<Restricted, Failure> {
    let Some(status) = context.status else { return Ok(restricted) };
    let (gate, gatekeeper) = sys::socket::message_pair().step(Step::Init)?;
    let Some(handler) = process::fork().step(Step::Init)? else {
        let opened = sys::read(gate.as_fd(), &mut [0]).step(Step::Init)?;
        return verify(Step::Init, opened == 1).map(|()| restricted);
    };
    // The supervisor fetches the pidfd from us: it is to fetch the listener from the handler's process.
    context.link.report_and_wait(Report::Handler(handler.pidfd.as_raw_fd()), Step::Init)?;
    match seal(status, gatekeeper.as_fd(), context) {
        Ok(never) => match never {},
        Err(failure) => {
            // Said here: the way out would close descriptors, which is death under the stub's filter.
            context.link.report_failure(failure);
            process::exit_now(super::SETUP_FAILED)
        }
    }
}

/// *Removes* everything: descriptors but two, system calls but three. The gate opens last: no handler runs
/// under a stub that is not sealed.
fn seal(
    status: BorrowedFd<'_>,
    gatekeeper: BorrowedFd<'_>,
    context: &Context<'_>,
) -> Result<Infallible, Failure> {
    let step = Step::InitFilter;
    for (number, given) in [(STATUS_FD, status), (GATE_FD, gatekeeper)] {
        sys::dup_to(given, number, libc::O_CLOEXEC).step(step)?;
        let put = identify(sys::borrowed(number).step(step)?, c"").step(step)?;
        verify(step, put == identify(given, c"").step(step)?)?;
    }
    // The channel stays for a failure.
    sys::close_range(GATE_FD + 1, (CHANNEL_FD - 1).unsigned_abs(), 0).step(step)?;
    sys::close_range(CHANNEL_FD + 1, u32::MAX, 0).step(step)?;
    for number in (GATE_FD + 1..=EXEC_FD).filter(|number| *number != CHANNEL_FD) {
        verify(step, sys::is_cloexec(number) == Err(Errno::EBADF))?;
    }
    let (status, gate) = (sys::borrowed(STATUS_FD).step(step)?, sys::borrowed(GATE_FD).step(step)?);
    sys::seccomp::install(&context.plan.seccomp.init).step(step)?;
    verify(step, sys::nonexistent_call(GUARD_CANARY.number) == i32::from(GUARD_CANARY.errno))?;
    // Held open it would keep the supervisor from seeing the exec.
    sys::close_range(CHANNEL_FD, CHANNEL_FD.unsigned_abs(), 0).step(step)?;
    // If this fails, the child finds the gate closed and ends.
    sys::write(gate, &GO_ON).step(step)?;
    reap_until_the_handler_ends(status)
}

const STATUS_FD: i32 = 0;
const GATE_FD: i32 = 1;

/// The first child is the handler: orphans that end before it are reaped and forgotten.
fn reap_until_the_handler_ends(status_pipe: BorrowedFd<'_>) -> ! {
    loop {
        match process::wait_any() {
            Ok((HANDLER_PID, status)) => {
                sys::write(status_pipe, &status.to_ne_bytes()).ignoring("the supervisor is dead");
                process::exit_now(0);
            }
            Ok(_) => {}
            Err(_) => process::exit_now(super::SETUP_FAILED),
        }
    }
}

/// In a new pid namespace numbers are given in order.
const HANDLER_PID: u32 = 2;
