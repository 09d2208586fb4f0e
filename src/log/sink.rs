//! Where records go: stderr, journald or syslog, as descriptors opened before any namespace is entered.

use crate::config::options::LogFormat;
use crate::sys::Ignoring;
use nix::sys::stat::fstat;
use std::io::{self, Write};
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
    Some(socket)
}

/// systemd names the stream it has put at fd 2 as `DEV:INO` (systemd.exec(5), $JOURNAL_STREAM).
fn stderr_is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(stat) = fstat(io::stderr().as_fd()) else { return false };
    stream == format!("{}:{}", stat.st_dev, stat.st_ino)
}

/// One write a record, so that records of several processes do not mix. A record that cannot be written is lost: there
/// is no other place to say so, and a full disk or a closed pipe must not end a service.
pub(super) fn write_stderr(line: &str) {
    io::stderr().write_all(line.as_bytes()).ignoring("no other place to say it");
}

pub(super) fn send(socket: &UnixDatagram, message: &[u8]) {
    socket.send(message).ignoring("no other place to say it");
}
