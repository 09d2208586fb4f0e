//! Where records go: stderr, journald or syslog, as descriptors opened before any namespace is entered.

use crate::config::options::LogFormat;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::fstat;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;

/// A destination and its form.
#[derive(Debug)]
pub(crate) enum Destination {
    Text,
    Json,
    /// journald's own protocol (systemd.io, JOURNAL_NATIVE_PROTOCOL), one field a line.
    Journal(UnixDatagram),
    Syslog(UnixDatagram),
    /// Neither journal nor syslog is there and stderr is the connection.
    Nowhere,
}

impl Destination {
    pub(super) fn choose(format: Option<LogFormat>, stderr_is_connection: bool) -> Destination {
        if stderr_is_connection {
            let syslog = || connect("/dev/log").map_or(Destination::Nowhere, Destination::Syslog);
            return connect(JOURNAL).map_or_else(syslog, Destination::Journal);
        }
        match format {
            Some(LogFormat::Json) => Destination::Json,
            Some(LogFormat::Journal) => connect(JOURNAL).map_or(Destination::Text, Destination::Journal),
            None if stderr_is_journal() => connect(JOURNAL).map_or(Destination::Text, Destination::Journal),
            Some(LogFormat::Text) | None => Destination::Text,
        }
    }
}

const JOURNAL: &str = "/run/systemd/journal/socket";

fn connect(path: &str) -> Option<UnixDatagram> {
    let socket = UnixDatagram::unbound().ok()?;
    socket.connect(path).ok()?;
    socket.set_nonblocking(true).ok()?;
    Some(socket)
}

/// systemd names the stream it has put at fd 2 as `DEV:INO` (systemd.exec(5), $JOURNAL_STREAM).
fn stderr_is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(stat) = fstat(io::stderr().as_fd()) else { return false };
    stream == format!("{}:{}", stat.st_dev, stat.st_ino)
}

/// A record is at most as long as a pipe takes at once (PIPE_BUF, pipe(7)).
pub(super) const RECORD_MAX: usize = 4096;

/// Writes each record in one call, so that records of several processes do not mix. It never blocks: a slow
/// reader of the log must not stop the service. Returns whether the record was written.
pub(super) fn write_stderr(record: &str) -> bool {
    let stderr = io::stderr();
    let mut watched = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    // A pipe is writable when it has room for PIPE_BUF bytes.
    let writable = poll(&mut watched, PollTimeout::ZERO).is_ok_and(|count| count == 1);
    writable && nix::unistd::write(&stderr, record.as_bytes()).is_ok()
}

/// Sends a message over a datagram socket.
pub(super) fn send(socket: &UnixDatagram, message: &[u8]) -> bool {
    socket.send(message).is_ok()
}
