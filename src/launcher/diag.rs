//! The kernel's counts of a connection, asked of the kernel and not of the handler that holds it
//! (sock_diag(7)).
//!
//! A socket is found by its addresses, or its inode number, and is the right one by its cookie, which no
//! other socket ever has. The question goes by a netlink socket that belongs to the connection's network
//! namespace: it is opened before the supervisor leaves that one. The answer is there when the question has
//! been sent: nothing waits.

use crate::connection::{Connection, Kind};
use crate::outcome::Traffic;
use nix::sys::socket::{self, AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType};
use nix::sys::stat::fstat;
use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use sys::{Errno, process};

/// linux/socket.h, linux/in.h.
const AF_UNIX: u8 = 1;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;
/// SOCK_DIAG_BY_FAMILY (linux/sock_diag.h).
const BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const NLMSG_HEADER: usize = 16;
const RTA_HEADER: usize = 4;
/// struct inet_diag_msg, and its attribute with struct tcp_info.
const INET_MESSAGE: usize = 72;
const INET_DIAG_INFO: u16 = 2;
/// struct unix_diag_msg, what to show, and its attribute with struct unix_diag_rqlen.
const UNIX_MESSAGE: usize = 16;
const UDIAG_SHOW_RQLEN: u32 = 0x10;
const UNIX_DIAG_RQLEN: u16 = 4;
/// tcpi_bytes_acked and tcpi_bytes_received (linux/tcp.h, Linux 4.2).
const BYTES_ACKED: usize = 120;
const BYTES_RECEIVED: usize = 128;

/// The question about one socket.
#[derive(Debug)]
pub(crate) struct Question {
    request: Vec<u8>,
    family: AddressFamily,
}

impl Question {
    /// None for what is no socket, or cannot be found later.
    pub(crate) fn about(connection: &Connection) -> Option<Question> {
        let socket = connection.ends().0;
        let cookie = sys::socket::cookie(socket).ok()?;
        match connection.kind {
            Kind::Tcp(ends) => {
                let (local, peer) = (ends.local, ends.peer);
                let family = if local.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
                let (family_byte, interface) = match local {
                    SocketAddr::V4(_) => (AF_INET, 0),
                    SocketAddr::V6(v6) => (AF_INET6, v6.scope_id()),
                };
                // struct inet_diag_req_v2: family, protocol, extensions, padding, states, then struct
                // inet_diag_sockid.
                let mut body: Vec<u8> = vec![family_byte, IPPROTO_TCP, 1 << (INET_DIAG_INFO - 1), 0];
                body.extend(u32::MAX.to_ne_bytes());
                body.extend(local.port().to_be_bytes());
                body.extend(peer.port().to_be_bytes());
                body.extend(address(local.ip()));
                body.extend(address(peer.ip()));
                body.extend(interface.to_ne_bytes());
                body.extend(cookie_words(cookie));
                Some(Question { request: message(&body), family })
            }
            Kind::Unix => {
                let inode = u32::try_from(fstat(socket).ok()?.st_ino).ok()?;
                // struct unix_diag_req: family, protocol, padding, states, inode, what to show, cookie.
                let mut body = vec![AF_UNIX, 0, 0, 0];
                body.extend(u32::MAX.to_ne_bytes());
                body.extend(inode.to_ne_bytes());
                body.extend(UDIAG_SHOW_RQLEN.to_ne_bytes());
                body.extend(cookie_words(cookie));
                Some(Question { request: message(&body), family: AddressFamily::Unix })
            }
            Kind::ByHand => None,
        }
    }
}

fn address(ip: IpAddr) -> [u8; 16] {
    let mut bytes = [0; 16];
    match ip {
        IpAddr::V4(v4) => bytes[..4].copy_from_slice(&v4.octets()),
        IpAddr::V6(v6) => bytes = v6.octets(),
    }
    bytes
}

/// The kernel splits it into the low word and the high one.
fn cookie_words(cookie: u64) -> Vec<u8> {
    // Little endian on both machines: the low word comes first.
    cookie.to_le_bytes().to_vec()
}

/// struct nlmsghdr: length, type, flags, sequence, port; then the body.
fn message(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(NLMSG_HEADER + body.len()).unwrap_or(0);
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(BY_FAMILY.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    message
}

/// The netlink socket.
#[derive(Debug)]
pub(crate) struct Diag(OwnedFd);

impl Diag {
    /// In the network namespace of `sample`. Where the launcher has another (PrivateNetwork= of a unit, and a
    /// socket that systemd has passed), it is the host's, by the first process. None: nothing can be counted.
    pub(crate) fn open(sample: BorrowedFd<'_>) -> Option<Diag> {
        let wanted = sys::socket::network_cookie(sample).ok();
        let fits =
            |diag: &Diag| wanted.is_none() || sys::socket::network_cookie(diag.0.as_fd()).ok() == wanted;
        let here = Diag::open_here().ok();
        if here.as_ref().is_some_and(fits) {
            return here;
        }
        Diag::open_in_host().ok().filter(fits)
    }

    fn open_here() -> Result<Diag, Errno> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let protocol = SockProtocol::NetlinkSockDiag;
        socket::socket(AddressFamily::Netlink, SockType::Datagram, flags, protocol).map(Diag)
    }

    /// A launcher that could not return would serve from the wrong network, so it ends.
    fn open_in_host() -> Result<Diag, Errno> {
        let open =
            |path: &str| File::open(path).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)));
        let (own, host) = (open("/proc/self/ns/net")?, open("/proc/1/ns/net")?);
        process::setns(host.as_fd(), libc::CLONE_NEWNET)?;
        let diag = Diag::open_here();
        if process::setns(own.as_fd(), libc::CLONE_NEWNET).is_err() {
            std::process::abort();
        }
        diag
    }

    /// ENOENT once the socket is gone.
    pub(crate) fn traffic(&self, question: &Question) -> Result<Traffic, Errno> {
        // The answer to an earlier question, if it came too late.
        let mut answer = [0; 1024];
        while self.receive(&mut answer).is_ok() {}
        nix::unistd::write(&self.0, &question.request)?;
        let count = self.receive(&mut answer)?;
        parse(answer.get(..count).unwrap_or_default(), question.family)
    }

    fn receive(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        socket::recv(self.0.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn parse(answer: &[u8], family: AddressFamily) -> Result<Traffic, Errno> {
    let body = answer.get(NLMSG_HEADER..).unwrap_or_default();
    if half(answer, 4) == Some(NLMSG_ERROR) {
        let errno = word(body, 0).unwrap_or(0).cast_signed();
        return Err(Errno::from_raw(errno.wrapping_neg()));
    }
    let found = match family {
        AddressFamily::Unix => of_unix(body),
        _ => of_tcp(body),
    };
    // A socket that is all but closed has no counters any more.
    found.ok_or(Errno::ENOENT)
}

fn of_tcp(body: &[u8]) -> Option<Traffic> {
    let queued = word(body, 60)?;
    let info = attribute(body.get(INET_MESSAGE..)?, INET_DIAG_INFO)?;
    let (sent, received) = (long(info, BYTES_ACKED)?, long(info, BYTES_RECEIVED)?);
    Some(Traffic { sent, received, queued: queued.into() })
}

/// The kernel counts no bytes: what waits in the queues at least shows change.
fn of_unix(body: &[u8]) -> Option<Traffic> {
    let lengths = attribute(body.get(UNIX_MESSAGE..)?, UNIX_DIAG_RQLEN)?;
    let (inbound, queued) = (word(lengths, 0)?, word(lengths, 4)?);
    Some(Traffic { sent: queued.into(), received: inbound.into(), queued: queued.into() })
}

/// The content of one attribute (struct rtattr) of a list.
fn attribute(mut list: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let (length, kind) = (usize::from(half(list, 0)?), half(list, 2)?);
        let content = list.get(RTA_HEADER..length)?;
        if kind == wanted {
            return Some(content);
        }
        list = list.get(length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    fn tcp(address: &str) -> (TcpStream, Connection) {
        let listener = TcpListener::bind(address).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, Connection::from_socket(listener.accept().unwrap().0.into()).unwrap())
    }

    #[test]
    fn bytes_of_a_tcp_connection_are_counted_without_its_descriptor() {
        for address in ["127.0.0.1:0", "[::1]:0", "[::ffff:127.0.0.1]:0"] {
            let (mut client, connection) = tcp(address);
            let diag = Diag::open(connection.ends().0).unwrap();
            let question = Question::about(&connection).unwrap();
            client.write_all(b"12345").unwrap();
            nix::unistd::write(connection.ends().0, b"answer").unwrap();
            client.read_exact(&mut [0; 6]).unwrap();
            let Traffic { sent, received, .. } = diag.traffic(&question).unwrap();
            assert_eq!(received, 5, "{address}");
            // Acknowledged when the kernel gets to it.
            assert!(sent <= 6, "{address}");
        }
    }

    #[test]
    fn another_connection_between_the_same_addresses_is_not_taken_for_it() {
        let (_client, connection) = tcp("127.0.0.1:0");
        let diag = Diag::open(connection.ends().0).unwrap();
        let mut question = Question::about(&connection).unwrap();
        let last = question.request.len() - 8;
        question.request[last] ^= 1;
        assert!(diag.traffic(&question).is_err());
    }

    #[test]
    fn what_waits_in_a_unix_socket_shows() {
        let (mut client, server) = UnixStream::pair().unwrap();
        let connection = Connection::from_socket(server.into()).unwrap();
        let diag = Diag::open(connection.ends().0).unwrap();
        let question = Question::about(&connection).unwrap();
        assert_eq!(diag.traffic(&question).unwrap().received, 0);
        client.write_all(b"12345").unwrap();
        assert_eq!(diag.traffic(&question).unwrap().received, 5);
        drop((client, connection));
        assert_eq!(diag.traffic(&question), Err(Errno::ENOENT));
    }
}
