//! Kills one sandbox: as whoever runs `dayfly top`, with a file descriptor of the process. The supervisor has
//! no command for it, so nobody who may only ask for its statistics can end anything.

use crate::sample::Row;
use report::place;
use std::os::fd::AsFd;

/// SIGKILL to the first process of the sandbox, which takes all others with it. Answers what was done.
pub(crate) fn kill(row: &Row) -> Result<String, String> {
    let (pid, peer) = (row.sandbox.pid, &row.sandbox.peer);
    let gone = || format!("the sandbox of {peer} has ended by itself");
    let pidfd = sys::process::pidfd_open(pid).map_err(|_errno| gone())?;
    // The number may have gone to another process before it was opened. If the supervisor, asked after that,
    // still has the sandbox, it has not reaped it, and the number is the sandbox's own.
    let reports =
        place::ask(&row.socket).map_err(|error| format!("cannot ask the supervisor again: {error}"))?;
    let mut sandboxes = reports.iter().flat_map(|report| &report.sandboxes);
    if !sandboxes.any(|sandbox| sandbox.conn == row.sandbox.conn && sandbox.pid == pid) {
        return Err(gone());
    }
    sys::process::send_signal(pidfd.as_fd(), nix::libc::SIGKILL)
        .map(|()| format!("killed the sandbox of {peer}, pid {pid}"))
        .map_err(|errno| {
            format!("cannot kill pid {pid}: {errno}: run dayfly top as root, or as the supervisor's user")
        })
}
