//! One accepted connection: who is at its other end, how it is bounded before it is handed over, and what is
//! said on it when no handler could run.

use crate::outcome::Traffic;
use nix::sys::socket::{
    self, AddressFamily, MsgFlags, Shutdown, SockType, SockaddrLike, SockaddrStorage, getpeername,
    getsockname, sockopt,
};
use std::ffi::CString;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;
use sys::{self, Errno, Ignoring};
use tls_wire::Facts;

/// Both ends of a TCP connection. IPv4 addresses are IPv4 even on an IPv6 socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Tcp(Ends),
    /// A unix stream socket.
    Unix,
    /// A terminal, pipe or file: somebody tries it by hand.
    ByHand,
}

/// The peer of a connection whose TLS a relay ends: the handler's socket does not tell it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Peer {
    ends: Option<Ends>,
    /// Of a unix socket.
    uid: Option<u32>,
}

/// A connection. Both directions use one descriptor, except if a user starts `run` by hand.
#[derive(Debug)]
pub(crate) struct Connection {
    input: OwnedFd,
    output: Option<OwnedFd>,
    pub(crate) kind: Kind,
    /// The ends that the PROXY header names.
    proxied: Option<Ends>,
    /// The peer's uid, where a relay has the peer's unix socket.
    uid: Option<u32>,
    /// The relay's report of the TLS that it has ended.
    pub(crate) tls: Option<Box<Facts>>,
}

/// Why a descriptor is not a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoConnection {
    Listening,
    NotAStream,
    NotConnected,
    Failed(Errno),
}

impl fmt::Display for NoConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoConnection::Listening => {
                f.write_str("it is a listening socket: use dayfly serve, or Accept=yes in the socket unit")
            }
            NoConnection::NotAStream => f.write_str("it is not a stream socket"),
            NoConnection::NotConnected => f.write_str("it is not connected"),
            NoConnection::Failed(errno) => write!(f, "{errno}"),
        }
    }
}

impl Connection {
    /// A connected stream socket.
    pub(crate) fn from_socket(fd: OwnedFd) -> Result<Connection, NoConnection> {
        let kind = socket_kind(fd.as_fd())?;
        Ok(Connection { input: fd, output: None, kind, proxied: None, uid: None, tls: None })
    }

    /// Something else than a socket, tried by hand.
    pub(crate) fn by_hand(input: OwnedFd, output: OwnedFd) -> Connection {
        Connection { input, output: Some(output), kind: Kind::ByHand, proxied: None, uid: None, tls: None }
    }

    /// One end of a pair of our own: a relay has the other one, which has ended the TLS of this peer.
    pub(crate) fn plain(end: OwnedFd, peer: Peer, tls: Option<Box<Facts>>) -> Connection {
        let Peer { ends, uid } = peer;
        Connection { input: end, output: None, kind: Kind::Unix, proxied: ends, uid, tls }
    }

    /// The peer's address.
    pub(crate) fn peer_of_relay(&self) -> Peer {
        let uid = if self.kind == Kind::Unix { self.peer_uid() } else { None };
        Peer { ends: self.addresses(), uid }
    }

    /// Gives a relay, as its descriptor 1, its end of the pair.
    pub(crate) fn set_plain_end(&mut self, end: OwnedFd) {
        self.output = Some(end);
    }

    /// The handler's descriptors 0 and 1.
    pub(crate) fn ends(&self) -> (BorrowedFd<'_>, BorrowedFd<'_>) {
        let input = self.input.as_fd();
        (input, self.output.as_ref().map_or(input, AsFd::as_fd))
    }

    /// Sets the ends that a proxy's header names.
    pub(crate) fn set_proxied(&mut self, peer: SocketAddr, local: SocketAddr) {
        self.proxied = Some(Ends { peer: canonical(peer), local: canonical(local) });
    }

    /// The internet addresses of both ends, if it has any.
    pub(crate) fn addresses(&self) -> Option<Ends> {
        let own = match self.kind {
            Kind::Tcp(ends) => Some(ends),
            Kind::Unix | Kind::ByHand => None,
        };
        self.proxied.or(own)
    }

    /// The peer as records show it.
    pub(crate) fn peer(&self) -> String {
        match (self.addresses(), self.kind) {
            (Some(ends), _) => ends.peer.to_string(),
            (None, Kind::Unix) => {
                self.peer_uid().map_or_else(|| "unix".to_owned(), |uid| format!("unix:uid={uid}"))
            }
            (None, Kind::Tcp(_) | Kind::ByHand) => "-".to_owned(),
        }
    }

    /// Whether the connection was reset, or given up by the kernel. Only TCP tells (getpeername(2)). A
    /// half-closed peer is not gone.
    pub(crate) fn is_gone(&self) -> bool {
        let peer = || getpeername::<SockaddrStorage>(self.input.as_raw_fd());
        matches!(self.kind, Kind::Tcp(_)) && peer() == Err(Errno::ENOTCONN)
    }

    /// The uid of a unix socket's peer.
    pub(crate) fn peer_uid(&self) -> Option<u32> {
        let asked = || socket::getsockopt(&self.input, sockopt::PeerCredentials).ok().map(|peer| peer.uid());
        self.uid.or_else(asked)
    }

    /// Limits the kernel's buffers and retransmission time. Socket memory is charged to the process that
    /// accepted, and outlives the handler as long as the peer acknowledges probes. `wall_time` is the
    /// remaining time.
    pub(crate) fn bound(&self, send_buffer: Option<u64>, wall_time: Option<Duration>) -> Result<(), Errno> {
        if self.kind == Kind::ByHand {
            return Ok(());
        }
        if let Some(bytes) = send_buffer {
            let bytes = usize::try_from(bytes.min(i32::MAX as u64)).unwrap_or(usize::MAX);
            socket::setsockopt(&self.input, sockopt::SndBuf, &bytes)?;
        }
        if let Kind::Tcp(_) = self.kind {
            socket::setsockopt(&self.input, sockopt::TcpNoDelay, &true)?;
            if let Some(rest) = wall_time {
                let milliseconds =
                    u32::try_from(rest.as_millis()).unwrap_or(u32::MAX).clamp(1, i32::MAX as u32);
                socket::setsockopt(&self.input, sockopt::TcpUserTimeout, &milliseconds)?;
            }
        }
        // The acceptor's non-blocking mode is shared by every copy of the socket.
        sys::set_blocking(self.input.as_fd())
    }

    /// Makes its last close a reset, because the answer is not whole.
    pub(crate) fn reset_at_close(&self) {
        if sys::socket::is_open_tcp(&self.input) {
            sys::socket::reset_at_close(&self.input).ignoring("its client sees a clean end");
        }
    }

    /// REMOTE_* and SERVER_* for TCP, as systemd names them, and TLS_* of TLS; nothing for the rest. A name that is `set`
    /// already stays as it is.
    pub(crate) fn environment(&self, set: &[CString]) -> Vec<CString> {
        let ends = self.addresses().map(|ends| {
            [
                format!("REMOTE_ADDR={}", ends.peer.ip()),
                format!("REMOTE_PORT={}", ends.peer.port()),
                format!("SERVER_ADDR={}", ends.local.ip()),
                format!("SERVER_PORT={}", ends.local.port()),
            ]
        });
        ends.into_iter()
            .flatten()
            .chain(self.tls.as_deref().map(tls_variables).unwrap_or_default())
            .filter(|variable| !set.iter().any(|known| name(known.as_bytes()) == name(variable.as_bytes())))
            // Addresses hold no NUL byte, nor do names that a relay tells.
            .filter_map(|variable| CString::new(variable).ok())
            .collect()
    }

    /// Says `bytes` and ends the sending side; gives the connection back where unread input must be drained
    /// before the close, or a reset would eat the answer.
    pub(crate) fn refuse(self, bytes: &[u8]) -> Option<Draining> {
        let (_, output) = self.ends();
        if self.output.is_some() && self.kind != Kind::ByHand {
            // Its relay has not got it: nobody there speaks TLS.
            return None;
        }
        if self.kind == Kind::ByHand {
            sys::write(output, bytes).ignoring("nobody reads it");
            return None;
        }
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        // A peer that takes not even this line, or is gone, gets nothing.
        let said = bytes.is_empty() || socket::send(output.as_raw_fd(), bytes, flags).is_ok();
        let ended = socket::shutdown(output.as_raw_fd(), Shutdown::Write).is_ok();
        (said && ended).then_some(Draining { socket: self.input, budget: DRAIN_BYTES })
    }
}

/// TLS_*, of a connection whose TLS a relay has ended.
fn tls_variables(facts: &Facts) -> Vec<String> {
    let mut variables =
        vec![format!("TLS_VERSION={}", tls_wire::VERSION), format!("TLS_CIPHER={}", facts.cipher.name())];
    variables.extend(facts.server_name.iter().map(|name| format!("TLS_SERVER_NAME={name}")));
    if let Some(client) = &facts.client {
        variables.extend([
            format!("TLS_CLIENT_HASH={}", client.fingerprint()),
            format!("TLS_CLIENT_SUBJECT={}", client.subject),
            format!("TLS_CLIENT_ISSUER={}", client.issuer),
            format!("TLS_CLIENT_NOT_AFTER={}", client.not_after),
        ]);
    }
    variables
}

/// Limit on the bytes that a peer may still send after a refusal.
const DRAIN_BYTES: usize = 64 << 10;

/// A refused connection whose input is read and forgotten until it ends.
#[derive(Debug)]
pub(crate) struct Draining {
    socket: OwnedFd,
    budget: usize,
}

impl Draining {
    /// Reads what is there; true once nothing more will be read.
    pub(crate) fn drain(&mut self) -> bool {
        let mut buffer = [0; 4096];
        loop {
            match socket::recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Err(Errno::EAGAIN) => return false,
                Ok(0) | Err(_) => return true,
                Ok(count) => self.budget = self.budget.saturating_sub(count),
            }
            if self.budget == 0 {
                return true;
            }
        }
    }
}

impl AsFd for Draining {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Bytes over the connection so far, for idle time and the record; from any copy of the socket.
pub(crate) fn traffic(socket: BorrowedFd<'_>, kind: Kind) -> Result<Traffic, Errno> {
    if kind == Kind::ByHand {
        return Ok(Traffic { sent: 0, received: 0, queued: 0 });
    }
    let (inbound, queued) = sys::socket::queued_bytes(socket)?;
    let (sent, received) = match kind {
        Kind::Tcp(_) => sys::socket::tcp_bytes(socket)?,
        // No counters: what waits in the queues at least shows change.
        Kind::Unix | Kind::ByHand => (queued, inbound),
    };
    Ok(Traffic { sent, received, queued })
}

fn socket_kind(fd: BorrowedFd<'_>) -> Result<Kind, NoConnection> {
    match socket::getsockopt(&fd, sockopt::SockType) {
        Ok(SockType::Stream) => {}
        Ok(_) => return Err(NoConnection::NotAStream),
        Err(errno) => return Err(NoConnection::Failed(errno)),
    }
    if socket::getsockopt(&fd, sockopt::AcceptConn).map_err(NoConnection::Failed)? {
        return Err(NoConnection::Listening);
    }
    let local: SockaddrStorage = getsockname(fd.as_raw_fd()).map_err(NoConnection::Failed)?;
    let peer: SockaddrStorage = match getpeername(fd.as_raw_fd()) {
        Ok(peer) => peer,
        Err(Errno::ENOTCONN) => return Err(NoConnection::NotConnected),
        Err(errno) => return Err(NoConnection::Failed(errno)),
    };
    match (address(&peer), address(&local)) {
        (Some(peer), Some(local)) => Ok(Kind::Tcp(Ends { peer, local })),
        _ if local.family() == Some(AddressFamily::Unix) => Ok(Kind::Unix),
        _ => Err(NoConnection::NotAStream),
    }
}

/// An internet address; IPv4-mapped IPv6 is IPv4, everywhere.
fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage.as_sockaddr_in().map(|address| SocketAddr::from(*address));
    let v6 = || storage.as_sockaddr_in6().map(|address| SocketAddr::from(*address));
    v4.or_else(v6).map(canonical)
}

/// The name in `NAME=VALUE`.
fn name(variable: &[u8]) -> Option<&[u8]> {
    variable.split(|byte| *byte == b'=').next()
}

fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(v4) => SocketAddr::from((v4, address.port())),
        IpAddr::V6(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_mapped_peer_is_written_as_ipv4() {
        let mapped: SocketAddr = "[::ffff:192.0.2.7]:70".parse().unwrap();
        assert_eq!(canonical(mapped).to_string(), "192.0.2.7:70");
    }

    #[test]
    fn a_listening_socket_is_no_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(Connection::from_socket(listener.into()).unwrap_err(), NoConnection::Listening);
    }

    #[test]
    fn a_refused_peer_that_never_ends_its_sending_is_not_read_for_ever() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let mut draining = Connection::from_socket(server.into()).unwrap().refuse(b"full\r\n").unwrap();
        let (chunk, mut sent) = ([0; 1024], 0);
        loop {
            assert!(sent <= DRAIN_BYTES, "{sent} bytes, and it reads on");
            client.write_all(&chunk).unwrap();
            sent += chunk.len();
            // Data may take a moment to cross the loopback.
            let mut watched = [nix::poll::PollFd::new(draining.as_fd(), nix::poll::PollFlags::POLLIN)];
            nix::poll::poll(&mut watched, 5000_u16).unwrap();
            if draining.drain() {
                break;
            }
        }
        assert_eq!(sent, DRAIN_BYTES);
    }

    /// Its socket would tell the supervisor's own uid, for every client.
    #[test]
    fn behind_a_relay_the_peer_of_a_unix_socket_is_the_relays() {
        let end = || sys::socket::message_pair().unwrap().0;
        let mut of_relay = Connection { kind: Kind::Unix, ..Connection::by_hand(end(), end()) };
        of_relay.uid = Some(1234);
        let plain = Connection::plain(end(), of_relay.peer_of_relay(), None);
        assert_eq!((plain.peer_uid(), plain.peer()), (Some(1234), "unix:uid=1234".to_owned()));
    }

    #[test]
    fn both_ends_of_a_tcp_connection_are_known() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let connection = Connection::from_socket(server.into()).unwrap();
        let ends = Ends { peer: client.local_addr().unwrap(), local: client.peer_addr().unwrap() };
        assert_eq!(connection.kind, Kind::Tcp(ends));
        assert_eq!(connection.environment(&[]).len(), 4);
        let set = [c"REMOTE_ADDR=-".to_owned(), c"REMOTE=-".to_owned()];
        let more = connection.environment(&set);
        assert!(
            more.len() == 3 && more.iter().all(|variable| !variable.as_bytes().starts_with(b"REMOTE_ADDR="))
        );
    }
}
