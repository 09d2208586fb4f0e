//! How sockets arrive: systemd's LISTEN_FDS, or descriptors 0 and 1 from systemd, inetd, tcpserver or a
//! person.

pub(crate) mod variables;

use crate::connection::Connection;
use crate::privilege;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{FileStat, Mode, fstat};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use sys::Errno;
use variables::Variables;

/// The first descriptor of LISTEN_FDS (sd_listen_fds(3)).
const LISTEN_FDS_START: RawFd = 3;

/// The numbers that the child uses for itself: kept occupied here, so that nothing handed to a child can be
/// at them.
const RESERVED: [RawFd; 2] = [sandbox::child::exec::CHANNEL_FD, sandbox::child::exec::EXEC_FD];

/// Inherited descriptors, owned and moved away from 0 to 3, 62 and 63.
#[derive(Debug)]
pub(crate) struct Inherited {
    /// Descriptors passed by socket activation, with their names, if any.
    pub(crate) passed: Vec<(OwnedFd, String)>,
    stdin: OwnedFd,
    stdout: OwnedFd,
    /// Where the one JSON line goes.
    pub(crate) status: Option<OwnedFd>,
}

/// Takes 0, 1, the passed descriptors and the status descriptor; 0 and 1 become /dev/null, all else but 2 is
/// closed.
///
/// The launcher holds the connection nowhere else: a copy left at 0 would keep the client waiting for the
/// end.
pub(crate) fn take(status_fd: Option<RawFd>) -> Result<Inherited, String> {
    fill_stdio()?;
    let describe = |number: RawFd, error: Errno| format!("cannot take descriptor {number}: {error}");
    let count = passed_count()?;
    // Clear of what is passed and of the reserved numbers; below 62 where RLIMIT_NOFILE leaves no room above.
    let lowest = LISTEN_FDS_START + RawFd::try_from(count).unwrap_or(0);
    let move_up = |number: RawFd| {
        let fd = sys::borrowed(number).map_err(|error| describe(number, error))?;
        let moved = sys::dup_above(fd, lowest.max(64)).or_else(|_limit| sys::dup_above(fd, lowest.max(4)));
        moved.map_err(|error| describe(number, error))
    };
    let status = match status_fd {
        None => None,
        Some(number @ 3..) if number < lowest => {
            return Err("--status-fd: LISTEN_FDS uses this descriptor; use another".to_owned());
        }
        Some(number @ 3..) => Some(move_up(number).map_err(|error| format!("--status-fd: {error}"))?),
        Some(number @ 2) => Some(move_up(number)?),
        Some(_) => return Err("--status-fd: 0 and 1 are the connection; use another descriptor".to_owned()),
    };
    let names = Variables::from_environment().names(count);
    let passed = (LISTEN_FDS_START..).zip(names);
    let passed =
        passed.map(|(number, name)| Ok((move_up(number)?, name))).collect::<Result<Vec<_>, String>>()?;
    let inherited = Inherited { stdin: move_up(0)?, stdout: move_up(1)?, passed, status };
    close_the_rest(&inherited).map_err(|error| format!("cannot close inherited descriptors: {error}"))?;
    occupy()?;
    Ok(inherited)
}

/// A program started with 0, 1 or 2 closed would get its own files there.
fn fill_stdio() -> Result<(), String> {
    loop {
        let fd = null()?;
        if fd.as_raw_fd() > 2 {
            return Ok(());
        }
        // Stays open at 0, 1 or 2 for the life of the program.
        std::mem::forget(fd);
    }
}

fn null() -> Result<OwnedFd, String> {
    open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(|errno| format!("cannot open /dev/null: {errno}"))
}

/// How many descriptors are passed to this process.
fn passed_count() -> Result<usize, String> {
    let pid = std::process::id();
    Variables::from_environment()
        .count(pid, || sys::process::pidfd_open(pid).and_then(fstat).map(|stat| stat.st_ino).ok())
}

fn stat(number: RawFd) -> Option<FileStat> {
    fstat(sys::borrowed(number).ok()?).ok()
}

/// Whether descriptor 2 is the same open socket as 0 (inetd; StandardInput=socket alone): then it is the
/// connection, never the log. To be asked before [`take`].
pub(crate) fn stderr_is_connection() -> bool {
    let passed = RawFd::try_from(passed_count().unwrap_or(0)).unwrap_or(0);
    [0, 1].into_iter().chain(LISTEN_FDS_START..LISTEN_FDS_START + passed).any(|number| same_socket(number, 2))
}

fn same_socket(a: RawFd, b: RawFd) -> bool {
    match (stat(a), stat(b)) {
        (Some(a), Some(b)) => {
            a.st_mode & libc::S_IFMT == libc::S_IFSOCK && (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)
        }
        _ => false,
    }
}

/// Closes everything but 0 to 2 and what was moved: whatever the caller leaked stays out of every sandbox.
fn close_the_rest(inherited: &Inherited) -> Result<(), Errno> {
    let moved = inherited.passed.iter().map(|(fd, _)| fd).chain([&inherited.stdin, &inherited.stdout]);
    let mut kept: Vec<RawFd> = moved.chain(&inherited.status).map(AsRawFd::as_raw_fd).collect();
    kept.sort_unstable();
    let mut first = LISTEN_FDS_START;
    for number in kept {
        if number > first {
            sys::close_range(first, (number - 1).unsigned_abs(), 0)?;
        }
        first = number + 1;
    }
    sys::close_range(first, u32::MAX, 0)
}

/// /dev/null at 0 and 1, which were the connection, and at the reserved numbers.
fn occupy() -> Result<(), String> {
    let null = null()?;
    for number in [0, 1].into_iter().chain(RESERVED) {
        let flags = if number <= 1 { 0 } else { libc::O_CLOEXEC };
        sys::dup_to(null.as_fd(), number, flags).map_err(|errno| {
            // dup2(2): EBADF for a number that the limit does not allow.
            let limit = privilege::descriptor_limit().filter(|_| errno == Errno::EBADF);
            let hint = limit.map(|limit| {
                format!(
                    "; hint: at most {limit} descriptors are allowed here, and it takes at least {}: raise the hard \
                     limit (ulimit -Hn, LimitNOFILE= of the unit)",
                    privilege::DESCRIPTORS_MIN
                )
            });
            format!("cannot occupy descriptor {number}: {errno}{}", hint.unwrap_or_default())
        })?;
    }
    if RESERVED.contains(&null.as_raw_fd()) {
        // Its number must stay occupied for the life of the program.
        std::mem::forget(null);
    }
    Ok(())
}

impl Inherited {
    /// The descriptor that was 1 at the start.
    pub(crate) fn stdout(&self) -> BorrowedFd<'_> {
        self.stdout.as_fd()
    }

    /// The one connection of `run`. LISTEN_FDS wins over descriptor 0.
    pub(crate) fn into_connection(mut self) -> Result<(Connection, Option<OwnedFd>), String> {
        let status = self.status.take();
        if self.passed.len() > 1 {
            let count = self.passed.len();
            return Err(format!(
                "LISTEN_FDS={count}: run serves one connection; use dayfly serve for listening sockets"
            ));
        }
        if let Some((fd, _)) = self.passed.pop() {
            let connection = Connection::from_socket(fd)
                .map_err(|why| format!("descriptor 3 (LISTEN_FDS) is not a connection: {why}"))?;
            return Ok((connection, status));
        }
        let connection = if is_connection(self.stdin.as_fd(), self.stdout.as_fd()) {
            Connection::from_socket(self.stdin)
                .map_err(|why| format!("descriptor 0 is not a connection: {why}"))?
        } else {
            for (fd, number) in [(&self.stdin, 0), (&self.stdout, 1)] {
                if !is_for_talking(fd.as_fd()) {
                    return Err(format!(
                        "descriptor {number} is a directory or an O_PATH descriptor, which would open the host to the handler"
                    ));
                }
            }
            Connection::by_hand(self.stdin, self.stdout)
        };
        Ok((connection, status))
    }
}

/// A file, pipe, device or socket that was opened to be read or written. A directory, or a descriptor that
/// only names a file (O_PATH), would be a way into the host's tree.
fn is_for_talking(fd: BorrowedFd<'_>) -> bool {
    let Ok(stat) = fstat(fd) else { return false };
    let kinds = [libc::S_IFREG, libc::S_IFIFO, libc::S_IFCHR, libc::S_IFSOCK];
    let flags = nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_GETFL);
    kinds.contains(&(stat.st_mode & libc::S_IFMT)) && flags.is_ok_and(|flags| flags & libc::O_PATH == 0)
}

/// Whether descriptor 0 alone is the connection: a socket that 1 is a copy of, or an internet socket whatever
/// 1 is. Two different unix sockets are how some programs make a child's stdin and stdout: then it is by
/// hand.
fn is_connection(stdin: BorrowedFd<'_>, stdout: BorrowedFd<'_>) -> bool {
    let (Ok(input), Ok(output)) = (fstat(stdin), fstat(stdout)) else { return false };
    let is_socket = |stat: &FileStat| stat.st_mode & libc::S_IFMT == libc::S_IFSOCK;
    if !is_socket(&input) {
        return false;
    }
    let is_unix = {
        use nix::sys::socket::{AddressFamily, SockaddrLike, SockaddrStorage, getsockname};
        let name: Result<SockaddrStorage, _> = getsockname(stdin.as_raw_fd());
        name.is_ok_and(|name| name.family() == Some(AddressFamily::Unix))
    };
    let other_socket = is_socket(&output) && input.st_ino != output.st_ino;
    !(is_unix && other_socket && !is_journal(&output))
}

/// systemd's StandardOutput=journal beside StandardInput=socket: a socket too, but not the other half of a
/// conversation.
fn is_journal(stat: &FileStat) -> bool {
    std::env::var("JOURNAL_STREAM").is_ok_and(|stream| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}
