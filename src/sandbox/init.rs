//! The init stub: PID 1 of a sandbox whose handler may fork, or relies on signals.
//!
//! To PID 1 a signal with default disposition does nothing (pid_namespaces(7)): alarm(2) never fires, SIGPIPE never
//! kills, children are never reaped. With the stub as PID 1 the handler is an ordinary process, PID 2.

use super::Context;
use super::exec::Restricted;
use super::step::{AtStep, Failure, Step, verify};
use super::wire::{GO_ON, Report};
use crate::sys::{self, Ignoring, process};
use std::convert::Infallible;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Without a stub, goes on as PID 1. With one, clones: the child goes on, the parent becomes the stub and never returns
/// but with a failure.
///
/// Both have the one channel to the supervisor, where each could take the other's answer: the child waits at a gate
/// until the parent is done with it.
pub(super) fn divide(restricted: Restricted, context: &Context<'_>) -> Result<Restricted, Failure> {
    let Some(status) = context.status else { return Ok(restricted) };
    let (gate, gatekeeper) = sys::socket::message_pair().step(Step::Init)?;
    let Some(handler) = process::fork().step(Step::Init)? else {
        let opened = sys::read(gate.as_fd(), &mut [0]).step(Step::Init)?;
        return verify(Step::Init, opened == 1).map(|()| restricted);
    };
    // The supervisor fetches the pidfd from us: it is to fetch the listener from the handler's process.
    context.link.report_and_wait(Report::Handler(handler.pidfd.as_raw_fd()), Step::Init)?;
    sys::write(gatekeeper.as_fd(), &GO_ON).step(Step::Init)?;
    match seal(status, context)? {}
}

/// *Removes* everything: descriptors but one, system calls but three.
fn seal(status: BorrowedFd<'_>, context: &Context<'_>) -> Result<Infallible, Failure> {
    sys::dup_to(status, STATUS_FD, libc::O_CLOEXEC).step(Step::InitFilter)?;
    sys::close_range(STATUS_FD + 1, u32::MAX, 0).step(Step::InitFilter)?;
    let status_pipe = sys::borrowed(STATUS_FD).step(Step::InitFilter)?;
    sys::seccomp::install(&context.plan.seccomp.init).step(Step::InitFilter)?;
    reap_until_the_handler_ends(status_pipe)
}

const STATUS_FD: i32 = 0;

/// The first child is the handler: orphans that end before it are reaped and forgotten.
fn reap_until_the_handler_ends(status_pipe: BorrowedFd<'_>) -> ! {
    loop {
        match process::wait_any() {
            Ok((HANDLER_PID, status)) => {
                sys::write(status_pipe, &status.to_ne_bytes()).ignoring("the supervisor is dead");
                process::exit_now(0);
            }
            Ok(_) => {}
            Err(_) => process::exit_now(super::child::SETUP_FAILED),
        }
    }
}

/// In a new pid namespace numbers are given in order.
const HANDLER_PID: u32 = 2;
