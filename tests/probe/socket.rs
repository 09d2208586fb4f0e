//! Operations on the connection and on new sockets.

use crate::{Answer, call};

const LOOPBACK: [u8; 4] = [127, 0, 0, 1];

/// A sockaddr_in for a port of the host's loopback.
fn address(port: &str) -> [u8; 16] {
    let mut raw = [0u8; 16];
    let port: u16 = port.parse().unwrap_or(9);
    raw[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
    raw[2..4].copy_from_slice(&port.to_be_bytes());
    raw[4..8].copy_from_slice(&LOOPBACK);
    raw
}

pub fn socket(family: i32, kind: i32) -> Answer {
    call(libc::SYS_socket, [family.into(), kind.into(), 0, 0, 0, 0])
}

pub fn socketpair() -> Answer {
    let mut pair = [0i32; 2];
    let stream = libc::SOCK_STREAM.into();
    call(libc::SYS_socketpair, [libc::AF_UNIX.into(), stream, 0, pair.as_mut_ptr() as i64, 0, 0])
}

/// A pair of any kind.
pub fn pair_of(family: i32, kind: i32, protocol: i64) -> Answer {
    let mut pair = [0i32; 2];
    call(libc::SYS_socketpair, [family.into(), kind.into(), protocol, pair.as_mut_ptr() as i64, 0, 0])
}

/// Asks a copy of the connection what can be asked of the connection, and sends and receives by it.
pub fn use_a_copy() -> Answer {
    let copy = call(libc::SYS_dup, [0, 0, 0, 0, 0, 0])?;
    let mut raw = [0u8; 128];
    let mut length = 128u32;
    let (at, length_at) = (raw.as_mut_ptr() as i64, &raw mut length as i64);
    call(libc::SYS_getpeername, [copy, at, length_at, 0, 0, 0])?;
    call(libc::SYS_getsockname, [copy, at, length_at, 0, 0, 0])?;
    call(libc::SYS_recvfrom, [copy, at, 128, 0, 0, 0])?;
    call(libc::SYS_sendto, [copy, at, 0, 0, 0, 0])?;
    call(libc::SYS_getsockopt, [copy, libc::SOL_SOCKET.into(), libc::SO_TYPE.into(), at, length_at, 0])?;
    call(libc::SYS_shutdown, [copy, libc::SHUT_RD.into(), 0, 0, 0, 0])
}

pub fn get_option(level: i32, name: i32) -> Answer {
    let (mut value, mut length) = ([0u8; 64], 64u32);
    let (at, length_at) = (value.as_mut_ptr() as i64, &raw mut length as i64);
    call(libc::SYS_getsockopt, [0, level.into(), name.into(), at, length_at, 0])?;
    Ok(i32::from_ne_bytes([value[0], value[1], value[2], value[3]]).into())
}

/// FIONBIO on a pipe of its own, seen by F_GETFL.
pub fn set_nonblocking_by_ioctl() -> Answer {
    let on = 1i32;
    call(libc::SYS_ioctl, [2, 0x5421, &raw const on as i64, 0, 0, 0])?;
    call(libc::SYS_ioctl, [2, 0x5451, 0, 0, 0, 0])?;
    call(libc::SYS_ioctl, [2, 0x5450, 0, 0, 0, 0])?;
    let flags = call(libc::SYS_fcntl, [2, libc::F_GETFL.into(), 0, 0, 0, 0])?;
    let off = 0i32;
    call(libc::SYS_ioctl, [2, 0x5421, &raw const off as i64, 0, 0, 0])?;
    if flags & i64::from(libc::O_NONBLOCK) == 0 { Err(libc::EPROTO) } else { Ok(0) }
}

pub fn receive_out_of_band() -> Answer {
    let mut raw = [0u8; 8];
    call(libc::SYS_recvfrom, [0, raw.as_mut_ptr() as i64, 8, libc::MSG_OOB.into(), 0, 0])
}

pub fn number(text: &str) -> i64 {
    text.parse().unwrap_or(-1)
}

/// Reads a descriptor once and prints what it says.
pub fn read_fd(text: &str) -> Answer {
    let mut buffer = [0u8; 4096];
    let n = call(libc::SYS_read, [number(text), buffer.as_mut_ptr() as i64, 4096, 0, 0, 0])?;
    println!("content {}", String::from_utf8_lossy(&buffer[..n as usize]).trim_end());
    Ok(n)
}

pub fn write_line(text: &str, line: &[u8]) -> Answer {
    call(libc::SYS_write, [number(text), line.as_ptr() as i64, line.len() as i64, 0, 0, 0])
}

pub fn write_fd(text: &str) -> Answer {
    write_line(text, b"written by the probe\n")
}

/// sendmsg(2) of the connection itself, as SCM_RIGHTS, by that descriptor.
pub fn pass_fd(text: &str) -> Answer {
    let mut control = [0u64; 3];
    control[0] = 20;
    control[1] = (libc::SOL_SOCKET as u64) | ((libc::SCM_RIGHTS as u64) << 32);
    let byte = [libc::iovec { iov_base: c"x".as_ptr() as *mut _, iov_len: 1 }];
    let message: [u64; 7] =
        [0, 0, byte.as_ptr() as u64, 1, control.as_mut_ptr() as u64, size_of_val(&control) as u64, 0];
    call(libc::SYS_sendmsg, [number(text), message.as_ptr() as i64, 0, 0, 0, 0])
}

/// Takes the connection apart, the first half of every way out through it.
pub fn connect_unspec(fd: i64) -> Answer {
    let raw = [0u8; 16];
    call(libc::SYS_connect, [fd, raw.as_ptr() as i64, 16, 0, 0, 0])
}

pub fn connect_address(port: &str) -> Answer {
    let raw = address(port);
    call(libc::SYS_connect, [0, raw.as_ptr() as i64, 16, 0, 0, 0])
}

pub fn bind() -> Answer {
    let raw = address("0");
    call(libc::SYS_bind, [0, raw.as_ptr() as i64, 16, 0, 0, 0])
}

pub fn listen() -> Answer {
    call(libc::SYS_listen, [0, 1, 0, 0, 0, 0])
}

pub fn accept() -> Answer {
    call(libc::SYS_accept, [0, 0, 0, 0, 0, 0])
}

pub fn accept4() -> Answer {
    call(libc::SYS_accept4, [0, 0, 0, 0, 0, 0])
}

fn sendto(flags: i32, to: Option<&[u8; 16]>) -> Answer {
    let text = b"out\n";
    let (at, length) = to.map_or((0, 0), |raw| (raw.as_ptr() as i64, 16));
    call(libc::SYS_sendto, [1, text.as_ptr() as i64, 4, flags.into(), at, length])
}

pub fn sendto_plain() -> Answer {
    sendto(0, None)
}

pub fn sendto_address(port: &str) -> Answer {
    sendto(0, Some(&address(port)))
}

pub fn sendto_fastopen(port: &str) -> Answer {
    sendto(libc::MSG_FASTOPEN, Some(&address(port)))
}

/// Without an address the flag alone must be enough to be refused.
pub fn sendto_fastopen_flag() -> Answer {
    sendto(libc::MSG_FASTOPEN, None)
}

pub fn sendto_oob() -> Answer {
    sendto(libc::MSG_OOB, None)
}

/// A message of one byte; `batch` has the layout of mmsghdr around it.
fn message(number: i64, batch: bool) -> Answer {
    let mut byte = [b'm'];
    let mut part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    // SAFETY: mmsghdr is plain data for which zero is a valid value.
    let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
    header.msg_hdr.msg_iov = &raw mut part;
    header.msg_hdr.msg_iovlen = 1;
    let at = &raw mut header as i64;
    let dont_wait = libc::MSG_DONTWAIT.into();
    if batch { call(number, [1, at, 1, dont_wait, 0, 0]) } else { call(number, [1, at, dont_wait, 0, 0, 0]) }
}

pub fn sendmsg() -> Answer {
    message(libc::SYS_sendmsg, false)
}

pub fn recvmsg() -> Answer {
    message(libc::SYS_recvmsg, false)
}

pub fn sendmmsg() -> Answer {
    message(libc::SYS_sendmmsg, true)
}

pub fn recvmmsg() -> Answer {
    message(libc::SYS_recvmmsg, true)
}

pub fn setsockopt() -> Answer {
    let on = 1i32;
    let (level, name) = (libc::SOL_SOCKET.into(), libc::SO_KEEPALIVE.into());
    call(libc::SYS_setsockopt, [0, level, name, &raw const on as i64, 4, 0])
}

pub fn set_option(level: i32, name: i32, value: &[u8]) -> Answer {
    let at = value.as_ptr() as i64;
    call(libc::SYS_setsockopt, [0, level.into(), name.into(), at, value.len() as i64, 0])
}

/// A new socket, connected to a port of the loopback.
pub fn reach(kind: i32, port: &str) -> Answer {
    let fd = socket(libc::AF_INET, kind)?;
    let raw = address(port);
    call(libc::SYS_connect, [fd, raw.as_ptr() as i64, 16, 0, 0, 0])
}

/// An abstract address (unix(7)), and its length.
fn abstract_address(name: &str) -> ([u8; 110], i64) {
    let mut raw = [0u8; 110];
    raw[..2].copy_from_slice(&(libc::AF_UNIX as u16).to_ne_bytes());
    let length = name.len().min(100);
    raw[3..3 + length].copy_from_slice(&name.as_bytes()[..length]);
    (raw, 3 + length as i64)
}

/// Sends to the owner of this abstract name in the network namespace.
pub fn reach_abstract(name: &str) -> Answer {
    let fd = socket(libc::AF_UNIX, libc::SOCK_DGRAM)?;
    let (raw, length) = abstract_address(name);
    call(libc::SYS_connect, [fd, raw.as_ptr() as i64, length, 0, 0, 0])
}

/// Takes an abstract name, says so, and keeps it until the peer has gone.
pub fn hold_abstract(name: &str) -> Answer {
    let fd = socket(libc::AF_UNIX, libc::SOCK_DGRAM)?;
    let (raw, length) = abstract_address(name);
    let bound = call(libc::SYS_bind, [fd, raw.as_ptr() as i64, length, 0, 0, 0])?;
    crate::write_all(1, b"ready\n");
    let mut byte = [0];
    let _gone = crate::read(0, &mut byte);
    Ok(bound)
}

pub fn getpeername(fd: i64) -> Answer {
    let mut raw = [0u8; 128];
    let mut length = 128u32;
    call(libc::SYS_getpeername, [fd, raw.as_mut_ptr() as i64, &raw mut length as i64, 0, 0, 0])
}

pub fn ioctl(request: u64) -> Answer {
    let mut room = [0u8; 256];
    call(libc::SYS_ioctl, [0, request as i64, room.as_mut_ptr() as i64, 0, 0, 0])
}
