//! The watcher's end: what is ready for it, and what it has taken.

use std::io::{self, IsTerminal as _};
use std::os::fd::{AsFd as _, BorrowedFd};

use rustix::io::{Errno, ioctl_fionbio};

/// While more than this waits for the watcher, nothing is added.
const FULL_BYTES: usize = 32 * 1024;

#[derive(Debug)]
pub(crate) struct Output<'fd> {
    fd: BorrowedFd<'fd>,
    pub(crate) waiting: Vec<u8>,
    /// How much of it was taken.
    taken: usize,
}

impl<'fd> Output<'fd> {
    /// A watcher that takes nothing must not stop this program: it has to look at the files.
    pub(crate) fn new(fd: &'fd io::Stdout) -> Output<'fd> {
        if !fd.is_terminal() {
            // Where it cannot be, a write may wait; nothing is wrong with that but a rotation seen late.
            ioctl_fionbio(fd, true).unwrap_or_default();
        }
        Output { fd: fd.as_fd(), waiting: Vec::new(), taken: 0 }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'fd> {
        self.fd
    }

    pub(crate) fn is_full(&self) -> bool {
        self.waiting.len() - self.taken > FULL_BYTES
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.len() == self.taken
    }

    /// Writes what the watcher takes now.
    pub(crate) fn flush(&mut self) -> Result<(), Errno> {
        while !self.is_empty() {
            match rustix::io::write(self.fd, &self.waiting[self.taken..]) {
                Ok(count) => self.taken += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(errno) => return Err(errno),
            }
        }
        self.waiting.drain(..self.taken);
        self.taken = 0;
        Ok(())
    }
}
