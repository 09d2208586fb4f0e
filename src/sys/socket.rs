//! Sockets: the options and messages that nix does not have.

use super::{Errno, Result, check, check_fd};
use nix::sys::socket::{setsockopt, sockopt};
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr;

/// The two ends of a connected pair, close-on-exec (unix(7), SOCK_SEQPACKET: messages keep their bounds).
pub fn message_pair() -> Result<(OwnedFd, OwnedFd)> {
    let mut ends: [RawFd; 2] = [-1; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: `ends` has room for the two ints that are written.
    check(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) }.into())?;
    let [a, b] = ends;
    Ok((check_fd(a.into())?, check_fd(b.into())?))
}

/// The next connection of a listening socket, close-on-exec (accept4(2)). The peer's address is not asked
/// for.
pub fn accept(listener: BorrowedFd<'_>) -> Result<OwnedFd> {
    // SAFETY: with a null address the kernel writes none and looks at no length.
    check_fd(unsafe {
        libc::syscall(
            libc::SYS_accept4,
            listener.as_raw_fd(),
            ptr::null_mut::<libc::sockaddr>(),
            ptr::null_mut::<libc::socklen_t>(),
            libc::SOCK_CLOEXEC,
        )
    })
}

/// SO_PASSRIGHTS (Linux 6.16, asm-generic/socket.h), for which libc has no name yet.
const SO_PASSRIGHTS: libc::c_int = 83;

/// A peer that sends a descriptor to this unix socket, or to one accepted from it, gets EPERM. ENOPROTOOPT on
/// older kernels.
pub fn refuse_descriptors(socket: BorrowedFd<'_>) -> Result<()> {
    const INT_LEN: libc::socklen_t = 4;
    let (no, number) = (0_i32, socket.as_raw_fd());
    let target = (&raw const no).cast();
    // SAFETY: the option is an int, of the length that is said.
    let result = unsafe { libc::setsockopt(number, libc::SOL_SOCKET, SO_PASSRIGHTS, target, INT_LEN) };
    check(result.into()).map(drop)
}

/// Most descriptors that come with a message.
pub const FDS_MAX: usize = 8;

/// Room for descriptors in a control message.
#[repr(C, align(8))]
struct FdMessage {
    header: libc::cmsghdr,
    fds: [RawFd; FDS_MAX],
}

/// Sends `bytes`, and `fd` with them if there is one.
pub fn send_with_fd(socket: BorrowedFd<'_>, bytes: &[u8], fd: Option<BorrowedFd<'_>>) -> Result<()> {
    send_with_fds(socket, bytes, fd.as_slice())
}

/// Sends `bytes`, and descriptors with them: at most [`FDS_MAX`].
pub fn send_with_fds(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<()> {
    if fds.len() > FDS_MAX {
        return Err(Errno::EINVAL);
    }
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut control = control_message(fds.len());
    for (to, from) in control.fds.iter_mut().zip(fds) {
        *to = from.as_raw_fd();
    }
    let mut message = empty_message(&mut part);
    if !fds.is_empty() {
        message.msg_control = ptr::from_mut(&mut control).cast();
        message.msg_controllen = length(fds.len()) as _;
    }
    // SAFETY: the message's parts are live for the call; `bytes` is only read in spite of the mutable
    // pointer.
    check(unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) } as _).map(drop)
}

/// Receives one message, and the descriptor that came with it (close-on-exec).
pub fn receive_with_fd(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> Result<(usize, Option<OwnedFd>)> {
    let (count, [fd, ..]) = receive_with_fds(socket, bytes)?;
    Ok((count, fd))
}

/// Receives one message, and the descriptors that came with it (close-on-exec), in their order.
pub fn receive_with_fds(
    socket: BorrowedFd<'_>,
    bytes: &mut [u8],
) -> Result<(usize, [Option<OwnedFd>; FDS_MAX])> {
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let mut control = control_message(0);
    let mut message = empty_message(&mut part);
    message.msg_control = ptr::from_mut(&mut control).cast();
    message.msg_controllen = size_of::<FdMessage>() as _;
    // SAFETY: the message's parts are live and writable for the call.
    let count =
        check(unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) } as _)?;
    #[allow(clippy::unnecessary_cast, reason = "u32 with musl, usize with glibc")]
    let (room, used) = (message.msg_controllen as usize, control.header.cmsg_len as usize);
    let came = (0..FDS_MAX).take_while(|index| room >= length(1) && used >= length(index + 1)).count();
    let mut received = [const { None }; FDS_MAX];
    for (to, fd) in received.iter_mut().zip(control.fds).take(came) {
        *to = Some(check_fd(fd.into())?);
    }
    Ok((usize::try_from(count).unwrap_or(0), received))
}

/// CMSG_LEN(3) of so many descriptors.
fn length(count: usize) -> usize {
    size_of::<libc::cmsghdr>() + count * size_of::<RawFd>()
}

fn control_message(count: usize) -> FdMessage {
    // SAFETY: a control header is integers only (musl has a padding field), for which zero is a value.
    let mut header: libc::cmsghdr = unsafe { mem::zeroed() };
    header.cmsg_len = length(count) as _;
    header.cmsg_level = libc::SOL_SOCKET;
    header.cmsg_type = libc::SCM_RIGHTS;
    FdMessage { header, fds: [-1; FDS_MAX] }
}

fn empty_message(part: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: a message header is integers and pointers, for which zero and null are values (recvmsg(2)).
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = part;
    message.msg_iovlen = 1;
    message
}

/// The number that no other socket ever has (SO_COOKIE, Linux 4.12).
pub fn cookie(socket: BorrowedFd<'_>) -> Result<u64> {
    long_option(socket, libc::SO_COOKIE)
}

/// The number of the network namespace that a socket belongs to (SO_NETNS_COOKIE, Linux 5.14).
pub fn network_cookie(socket: BorrowedFd<'_>) -> Result<u64> {
    const SO_NETNS_COOKIE: libc::c_int = 71;
    long_option(socket, SO_NETNS_COOKIE)
}

fn long_option(socket: BorrowedFd<'_>, option: libc::c_int) -> Result<u64> {
    let mut value: u64 = 0;
    let mut size: libc::socklen_t = 8;
    let (number, target) = (socket.as_raw_fd(), (&raw mut value).cast());
    // SAFETY: `value` has room for the `size` bytes that the kernel may write.
    check(unsafe { libc::getsockopt(number, libc::SOL_SOCKET, option, target, &raw mut size) }.into())?;
    Ok(value)
}

/// The part of `struct tcp_info` up to the byte counters (Linux 4.2); libc's ends before them on some
/// targets.
#[repr(C)]
#[derive(Clone, Copy)]
struct TcpInfo {
    bytes: [u8; 8],
    words: [u32; 24],
    pacing_rate: u64,
    max_pacing_rate: u64,
    bytes_acked: u64,
    bytes_received: u64,
}

#[allow(clippy::cast_possible_truncation)]
const TCP_INFO_LEN: libc::socklen_t = size_of::<TcpInfo>() as libc::socklen_t;

/// Whether it is a TCP connection that we have not ended the sending on.
pub fn is_open_tcp(file: &OwnedFd) -> bool {
    // netinet/tcp.h: TCP_ESTABLISHED, and TCP_CLOSE_WAIT: the peer has ended its own.
    tcp_info(file.as_fd()).is_ok_and(|info| [1, 8].contains(&info.bytes[0]))
}

/// Makes the last close of a socket a reset, which discards queued data (socket(7), SO_LINGER).
pub fn reset_at_close(socket: &OwnedFd) -> Result<()> {
    setsockopt(socket, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 })
}

/// Bytes that the peer has acknowledged, and bytes received from it (`TCP_INFO`). ENOPROTOOPT if it is no TCP
/// socket.
pub fn tcp_bytes(socket: BorrowedFd<'_>) -> Result<(u64, u64)> {
    let info = tcp_info(socket)?;
    Ok((info.bytes_acked, info.bytes_received))
}

fn tcp_info(socket: BorrowedFd<'_>) -> Result<TcpInfo> {
    let mut info = mem::MaybeUninit::<TcpInfo>::zeroed();
    let mut size = TCP_INFO_LEN;
    let target = info.as_mut_ptr().cast();
    let number = socket.as_raw_fd();
    // SAFETY: `info` has room for `size` bytes, of which the kernel writes no more.
    let result =
        unsafe { libc::getsockopt(number, libc::IPPROTO_TCP, libc::TCP_INFO, target, &raw mut size) };
    check(result.into())?;
    // SAFETY: zeroed, all fields are integers.
    Ok(unsafe { info.assume_init() })
}

/// Bytes waiting to be read, and bytes not yet taken by the peer (unix(7) and tcp(7), SIOCINQ and SIOCOUTQ).
pub fn queued_bytes(socket: BorrowedFd<'_>) -> Result<(u64, u64)> {
    Ok((
        ioctl_count(socket, libc::FIONREAD as libc::Ioctl)?,
        ioctl_count(socket, libc::TIOCOUTQ as libc::Ioctl)?,
    ))
}

fn ioctl_count(socket: BorrowedFd<'_>, request: libc::Ioctl) -> Result<u64> {
    let mut count: libc::c_int = 0;
    // SAFETY: both requests write one int.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), request, &raw mut count) }.into())?;
    Ok(u64::from(count.unsigned_abs()))
}

/// Interface flags by name (SIOCGIFFLAGS, netdevice(7)); `name` is cut at 15 bytes.
pub fn interface_is_up(socket: BorrowedFd<'_>, name: &[u8]) -> Result<bool> {
    // SAFETY: an ifreq is bytes, integers and a union of such.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().take(libc::IFNAMSIZ - 1).zip(name) {
        // c_char is i8 on x86-64 and u8 on aarch64.
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    // All flags: an interface counts as up until the kernel has written that it is not.
    request.ifr_ifru.ifru_flags = !0;
    let target = &raw mut request;
    // SAFETY: `request` is live, its name NUL-terminated; the kernel writes the flags into the union.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS as libc::Ioctl, target) };
    check(result.into())?;
    // SAFETY: SIOCGIFFLAGS has filled this member.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    Ok(i32::from(flags) & libc::IFF_UP != 0)
}
