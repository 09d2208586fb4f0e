//! The unix socket on which a live supervisor reports its counts: a client gets one JSON document and the end
//! of file.

use crate::listener::{SocketFile, bind_unix};
use nix::sys::socket::{Backlog, SockFlag, UnixAddr, accept4, getsockname, listen};
use report::Report;
use report::place::{PATIENCE, SHARED, candidates, runtime_directory, users_directory};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use sys::{Errno, Ignoring};

/// Root's and its group's: peers have addresses.
const MODE: u32 = 0o660;

#[derive(Debug)]
pub(crate) struct StatsSocket {
    fd: OwnedFd,
    /// Removed with this, if it is not somebody else's by then.
    own_file: Option<SocketFile>,
}

impl StatsSocket {
    /// Takes the socket of the process before this one.
    pub(crate) fn adopt(fd: OwnedFd) -> StatsSocket {
        let address = getsockname::<UnixAddr>(fd.as_raw_fd()).ok();
        let own_file = address.as_ref().and_then(UnixAddr::path).and_then(|path| SocketFile::find(path).ok());
        StatsSocket { fd, own_file }
    }

    /// The socket's file is the next process's now.
    pub(crate) fn leave_file(&mut self) {
        if let Some(file) = self.own_file.take() {
            file.leave();
        }
    }

    /// Called before the supervisor leaves the host's mounts. Without the socket, `serve` runs anyway.
    pub(crate) fn bind() -> io::Result<StatsSocket> {
        let own = format!("stats-{}", std::process::id());
        let paths = match runtime_directory() {
            // Somebody may live there already.
            Some(directory) => vec![directory.join("stats"), directory.join(own)],
            // The first that this user can write.
            None => {
                let shared = [Some(SHARED.into()), users_directory()].into_iter().flatten();
                let made = shared.filter(|directory| fs::create_dir_all(directory).is_ok());
                made.map(|directory| directory.join(&own)).collect()
            }
        };
        sweep();
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for path in paths {
            match StatsSocket::bind_at(&path) {
                Ok(socket) => return Ok(socket),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn bind_at(path: &Path) -> io::Result<StatsSocket> {
        let fd = bind_unix(path, MODE)?;
        let own_file = Some(SocketFile::find(path)?);
        listen(&fd, Backlog::MAXCONN)?;
        Ok(StatsSocket { fd, own_file })
    }

    /// Accepts one client, for whom the document is then written.
    pub(crate) fn accept(&self) -> Option<OwnedFd> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        sys::adopt(accept4(self.fd.as_raw_fd(), flags).ok()?).ok()
    }
}

/// A document on its way to one client: written as the client reads, so that nobody waits for it.
#[derive(Debug)]
pub(crate) struct Answer {
    client: OwnedFd,
    document: Vec<u8>,
    sent: usize,
}

impl Answer {
    pub(crate) fn new(client: OwnedFd, reports: &[Report]) -> Option<Answer> {
        Some(Answer { client, document: serde_json::to_vec(reports).ok()?, sent: 0 })
    }

    /// Writes what the socket takes. True at the end, whether all of it was taken or the client is gone.
    pub(crate) fn go_on(&mut self) -> bool {
        while let Some(rest) = self.document.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match nix::unistd::write(&self.client, rest) {
                Ok(count) => self.sent += count,
                Err(Errno::EAGAIN) => return false,
                Err(Errno::EINTR) => {}
                Err(_) => return true,
            }
        }
        true
    }
}

impl AsFd for Answer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.client.as_fd()
    }
}

impl AsFd for StatsSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Removes the sockets that killed supervisors have left, wherever one may be. Whoever may not remove them
/// leaves them.
pub(super) fn sweep() {
    for path in candidates().into_iter().filter(|path| is_left_over(path)) {
        fs::remove_file(path).ignoring("it is another's, or another start has swept it");
    }
}

/// A socket refuses also between bind(2) and listen(2): that of a process that lives, or one that is new, is
/// left alone.
fn is_left_over(path: &Path) -> bool {
    let Ok(found) = fs::symlink_metadata(path) else { return false };
    if !found.file_type().is_socket() {
        return false;
    }
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let pid = name.strip_prefix("stats-").and_then(|pid| pid.parse::<u32>().ok());
    let owner_is_gone = pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists());
    let age = found.modified().ok().and_then(|made| made.elapsed().ok());
    let is_old = age.is_some_and(|age| age > PATIENCE);
    (owner_is_gone || is_old)
        && UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}
