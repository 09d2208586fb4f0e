//! Copies between a TLS connection and the handler's stream until both directions have ended.

use crate::handshake::Socket;
use nix::sys::socket::{Shutdown, shutdown};
use rustls::ServerConnection;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};
use sys::{Errno, Ignoring};

/// As much is kept of what the handler has not taken; then the peer waits.
const KEPT_MAX: usize = 64 << 10;
const CHUNK: usize = 16 << 10;
/// How long, and how much, a peer is read that still sends when the handler has ended: a close with unread
/// bytes would reset the connection, and the end of the answer with it.
const LINGER_TIME: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 64 << 10;

/// How the peer's direction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    Open,
    /// It has said that this is all.
    Closed,
    /// Its stream has ended without that.
    Cut,
}

struct Copying<'s> {
    tls: ServerConnection,
    connection: BorrowedFd<'s>,
    plain: BorrowedFd<'s>,
    peer: Peer,
    /// Decrypted, and not taken by the handler yet.
    kept: Vec<u8>,
    /// The handler has been told of the peer's end, or has gone.
    input_ended: bool,
    /// The handler has ended its direction.
    handler_ended: bool,
    /// The peer has been told of that.
    said_so: bool,
    /// The handler has closed, so nobody reads what the peer sends.
    handler_gone: bool,
}

/// Copies; says whether the peer's stream was cut.
pub(crate) fn copy(
    tls: ServerConnection,
    connection: BorrowedFd<'_>,
    plain: BorrowedFd<'_>,
) -> Result<bool, Errno> {
    sys::set_nonblocking(connection)?;
    sys::set_nonblocking(plain)?;
    let mut copying = Copying {
        tls,
        connection,
        plain,
        peer: Peer::Open,
        kept: Vec::new(),
        input_ended: false,
        handler_ended: false,
        said_so: false,
        handler_gone: false,
    };
    copying.tls.set_buffer_limit(None);
    loop {
        copying.pass_to_handler();
        match copying.pass_to_peer() {
            Ok(()) => {}
            // Nobody is there to hear the rest.
            Err(_gone) => return Ok(copying.peer != Peer::Closed),
        }
        if copying.said_so && (copying.handler_gone || copying.peer != Peer::Open && copying.kept.is_empty())
        {
            copying.linger();
            return Ok(copying.peer == Peer::Cut);
        }
        copying.wait()?;
    }
}

impl Copying<'_> {
    /// Passes decrypted bytes to the handler, as far as it takes them.
    fn pass_to_handler(&mut self) {
        loop {
            self.decrypt();
            if self.handler_gone {
                self.kept.clear();
            }
            if self.kept.is_empty() {
                break;
            }
            match sys::write(self.plain, &self.kept) {
                Ok(count) => drop(self.kept.drain(..count)),
                Err(Errno::EAGAIN | Errno::EINTR) => break,
                Err(_gone) => {
                    // It may still answer: only its reading has ended.
                    self.kept.clear();
                    self.input_ended = true;
                }
            }
        }
        if self.peer != Peer::Open && self.kept.is_empty() && !self.input_ended {
            self.input_ended = true;
            shutdown(self.plain.as_raw_fd(), Shutdown::Write).ignoring("the handler has gone");
        }
    }

    /// Takes what the peer's records hold that are there already.
    fn decrypt(&mut self) {
        let mut chunk = [0; CHUNK];
        while self.kept.len() < KEPT_MAX && self.peer == Peer::Open {
            match self.tls.reader().read(&mut chunk) {
                Ok(0) => self.peer = Peer::Closed,
                Ok(_) if self.input_ended => {}
                Ok(count) => self.kept.extend(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => match self.receive() {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(()) => self.peer = Peer::Cut,
                },
                // The end of the stream without close_notify.
                Err(_error) => self.peer = Peer::Cut,
            }
        }
    }

    /// Reads records. False: there are none now. An error: the stream is over.
    fn receive(&mut self) -> Result<bool, ()> {
        match self.tls.read_tls(&mut Socket(self.connection)) {
            // At the end, the reader says how it was.
            Ok(_) => {}
            Err(error) if is_for_later(&error) => return Ok(false),
            Err(_error) => return Err(()),
        }
        self.tls.process_new_packets().map(|_state| true).map_err(|_error| ())
    }

    /// Passes the handler's bytes to the peer, as far as it takes them. An error: the peer is gone.
    fn pass_to_peer(&mut self) -> Result<(), io::Error> {
        let mut chunk = [0; CHUNK];
        loop {
            while self.tls.wants_write() {
                match self.tls.write_tls(&mut Socket(self.connection)) {
                    Ok(_) => {}
                    Err(error) if is_for_later(&error) => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
            if self.handler_ended {
                if !self.said_so {
                    self.said_so = true;
                    shutdown(self.connection.as_raw_fd(), Shutdown::Write).ignoring("the peer has gone");
                }
                return Ok(());
            }
            match sys::read(self.plain, &mut chunk) {
                Ok(0) | Err(Errno::ECONNRESET) => {
                    self.handler_ended = true;
                    self.tls.send_close_notify();
                }
                Ok(count) => self.tls.writer().write_all(&chunk[..count])?,
                Err(Errno::EAGAIN | Errno::EINTR) => return Ok(()),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Waits until something can go on.
    fn wait(&mut self) -> Result<(), Errno> {
        let wants = |wanted: bool, event: libc::c_short| if wanted { event } else { 0 };
        let read_peer = self.peer == Peer::Open && self.kept.len() < KEPT_MAX;
        let of_peer = wants(read_peer, libc::POLLIN) | wants(self.tls.wants_write(), libc::POLLOUT);
        let read_handler = !self.handler_ended && !self.tls.wants_write();
        let of_handler = wants(read_handler, libc::POLLIN) | wants(!self.kept.is_empty(), libc::POLLOUT);
        // The end of the handler is of interest as long as the peer may send.
        let watches_handler = of_handler != 0 || (self.handler_ended && !self.handler_gone);
        let watched = |fd: BorrowedFd<'_>, events, wanted: bool| libc::pollfd {
            fd: if wanted { fd.as_raw_fd() } else { -1 },
            events,
            revents: 0,
        };
        let mut both = [
            watched(self.connection, of_peer, of_peer != 0),
            watched(self.plain, of_handler, watches_handler),
        ];
        sys::poll(&mut both, None).map(drop).or_else(|errno| match errno {
            Errno::EINTR => Ok(()),
            errno => Err(errno),
        })?;
        // Both directions of it: it has closed, or is dead.
        self.handler_gone |= self.handler_ended && both[1].revents & libc::POLLHUP != 0;
        Ok(())
    }

    /// Reads and forgets what the peer still sends.
    fn linger(&mut self) {
        let (end, mut budget) = (Instant::now() + LINGER_TIME, LINGER_BYTES);
        let mut chunk = [0; CHUNK];
        if self.peer != Peer::Open {
            return;
        }
        loop {
            match sys::read(self.connection, &mut chunk) {
                Ok(count) if count > 0 && budget > count => budget -= count,
                Err(Errno::EAGAIN) => {
                    let rest = end.saturating_duration_since(Instant::now()).as_millis();
                    let mut watched =
                        [libc::pollfd { fd: self.connection.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
                    let rest = u32::try_from(rest).unwrap_or(0);
                    if rest == 0 || sys::poll(&mut watched, Some(rest)) == Ok(0) {
                        return;
                    }
                }
                Ok(_) | Err(_) => return,
            }
        }
    }
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
