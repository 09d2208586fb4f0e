//! The client's end of the answer: buffered, counted, and patient with partial writes.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::charset::Charset;
use crate::menu::{Item, Sink};

const BUFFER_BYTES: usize = 64 * 1024;

/// How long a descriptor that does not block may take nothing at all. A blocking one waits in write(2),
/// bounded by whoever started us.
const STALLED: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

/// Collects an answer and sends it; `sent` counts what the kernel has taken, which is all that can be known.
#[derive(Debug)]
pub(crate) struct Output<'fd> {
    fd: BorrowedFd<'fd>,
    buffer: Vec<u8>,
    sent: u64,
    /// The character set that text is converted to.
    pub(crate) charset: Charset,
}

impl Sink for Output<'_> {
    fn item(&mut self, item: &Item<'_>) -> io::Result<()> {
        self.put(&[item.item_type])?;
        let port = item.port.to_string();
        let name = self.charset.converted(item.name);
        let fields = [&name, item.selector, item.host, port.as_bytes()];
        self.put(&[fields.join(&b'\t').as_slice(), b"\r\n"].concat())
    }
}

impl<'fd> Output<'fd> {
    pub(crate) fn new(fd: BorrowedFd<'fd>, charset: Charset) -> Output<'fd> {
        Output { fd, buffer: Vec::new(), sent: 0, charset }
    }

    /// Adds bytes to the answer. Memory stays bounded: a full buffer goes out first, a large piece goes
    /// past it.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.flush()?;
        }
        if bytes.len() >= BUFFER_BYTES {
            return self.write(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let pending = std::mem::take(&mut self.buffer);
        let written = self.write(&pending);
        self.buffer = pending;
        self.buffer.clear();
        written
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match rustix::io::write(self.fd, bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(taken) => {
                    self.sent += taken as u64;
                    bytes = &bytes[taken..];
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.wait()?,
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    fn wait(&self) -> io::Result<()> {
        let mut fds = [PollFd::from_borrowed_fd(self.fd, PollFlags::OUT)];
        match poll(&mut fds, Some(&STALLED)) {
            Ok(0) => Err(io::ErrorKind::TimedOut.into()),
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}
