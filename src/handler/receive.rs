//! Reads the request, and after the answer drains the bytes that no one asked for.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::gemini::url;
use crate::request::{self, Scan};

/// How long a client may take for its request line, all of it.
const REQUEST_DEADLINE: Duration = Duration::from_secs(5);

/// How long, and how much, is read after the answer before the connection is given up.
const DRAIN_DEADLINE: Duration = Duration::from_secs(2);
const DRAIN_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How the reading of a request ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Line(Vec<u8>),
    /// The client closed, or sent its end of file, without a byte.
    Nothing,
    TooLong(Vec<u8>),
    TimedOut(Vec<u8>),
    Foreign(&'static str),
    Lost,
}

/// Reads one request line. End of file ends it as a line end does: `printf /x | nc` must work.
pub(crate) fn request(fd: BorrowedFd<'_>) -> Received {
    until_line(fd, request::scan)
}

/// Reads one request of Gemini, to whose URL a CR-LF belongs. Without that it is no URL.
pub(crate) fn url(fd: BorrowedFd<'_>) -> Received {
    let mut ended = false;
    let received = until_line(fd, |bytes| {
        let scan = url::scan(bytes);
        ended = matches!(scan, Scan::Line(_));
        scan
    });
    match received {
        Received::Line(mut bytes) if !ended => {
            bytes.push(b'\n');
            Received::Line(bytes)
        }
        received => received,
    }
}

fn until_line(fd: BorrowedFd<'_>, mut scan: impl FnMut(&[u8]) -> Scan) -> Received {
    let deadline = Instant::now() + REQUEST_DEADLINE;
    let mut bytes = Vec::new();
    let mut chunk = [0; 2048];
    loop {
        match scan(&bytes) {
            Scan::More => {}
            Scan::Line(length) => {
                bytes.truncate(length);
                return Received::Line(bytes);
            }
            Scan::TooLong => return Received::TooLong(bytes),
            Scan::Foreign(protocol) => return Received::Foreign(protocol),
        }
        match read(fd, &mut chunk, deadline) {
            Read::Some(count) => bytes.extend_from_slice(&chunk[..count]),
            Read::End if bytes.is_empty() => return Received::Nothing,
            Read::End => {
                let length = request::without_cr(&bytes).len();
                bytes.truncate(length);
                return Received::Line(bytes);
            }
            Read::TimedOut => return Received::TimedOut(bytes),
            Read::Failed => return Received::Lost,
        }
    }
}

/// Reads and forgets until the client closes. A socket closed with unread bytes in it, or that gets more of
/// them, answers with a reset, and a reset takes the unread part of our answer away from the client.
pub(crate) fn drain(fd: BorrowedFd<'_>) {
    let deadline = Instant::now() + DRAIN_DEADLINE;
    let mut chunk = [0; 16 * 1024];
    let mut drained = 0;
    while drained < DRAIN_BYTES_MAX {
        match read(fd, &mut chunk, deadline) {
            Read::Some(count) => drained += count,
            Read::End | Read::TimedOut | Read::Failed => return,
        }
    }
}

enum Read {
    Some(usize),
    End,
    TimedOut,
    Failed,
}

fn read(fd: BorrowedFd<'_>, chunk: &mut [u8], deadline: Instant) -> Read {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(timeout) = Timespec::try_from(left) else { return Read::Failed };
        let ready = poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&timeout));
        match ready {
            Ok(0) => return Read::TimedOut,
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(_) => return Read::Failed,
        }
        match rustix::io::read(fd, &mut *chunk) {
            Ok(0) => return Read::End,
            Ok(count) => return Read::Some(count),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => return Read::Failed,
        }
    }
}
