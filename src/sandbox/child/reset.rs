//! The end of a sandbox whose answer is unfinished: its TCP connection is reset, so that no client takes a
//! part for the whole.
//!
//! When a process is killed, the kernel sends what is queued and then a clean end of file. Only an option of
//! the socket makes it a reset (SO_LINGER of 0, socket(7)), and the handler alone has the socket. The
//! supervisor must wait for nothing of a running handler. So a short-lived child of it takes copies of the
//! descriptors, sets the option, and kills the sandbox.

use std::mem::forget;
use std::os::fd::{AsRawFd, BorrowedFd};
use sys::process::{self, Child};
use sys::socket::{is_open_tcp, reset_at_close};
use sys::{Errno, Ignoring};

struct Ending<'a> {
    /// The process that has the connection.
    handler: BorrowedFd<'a>,
    /// The sandbox's first process: the kernel kills all others with it.
    sandbox: BorrowedFd<'a>,
}

/// Begins it. The child ends soon, unless the handler has put a file in the place of its connection
/// that blocks.
pub fn begin(handler: BorrowedFd<'_>, sandbox: BorrowedFd<'_>) -> Result<Child, Errno> {
    process::spawn(0, None, end, &Ending { handler, sandbox })
}

fn end(ending: &Ending<'_>) -> ! {
    // A copy of another connection would keep its client waiting for the end.
    let closed = close_all_but(ending.handler.as_raw_fd(), ending.sandbox.as_raw_fd());
    for number in [0, 1] {
        let Ok(file) = process::pidfd_getfd(ending.handler, number) else { continue };
        if closed.is_ok() && is_open_tcp(&file) {
            reset_at_close(&file).ignoring("its client sees a clean end");
        } else {
            // The last close of what a handler has opened may block: not before the kill.
            forget(file);
        }
    }
    process::send_signal(ending.sandbox, libc::SIGKILL).ignoring("it has ended, or the supervisor kills it");
    process::exit_now(0)
}

fn close_all_but(one: i32, other: i32) -> Result<(), Errno> {
    let (low, high) = (one.min(other), one.max(other));
    let before = |number: i32| (number - 1).unsigned_abs();
    if low > 0 {
        sys::close_range(0, before(low), 0)?;
    }
    if high - low > 1 {
        sys::close_range(low + 1, before(high), 0)?;
    }
    sys::close_range(high + 1, u32::MAX, 0)
}
