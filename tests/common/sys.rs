//! The few system calls that std does not offer. The only unsafe code of the tests outside the probe.

#![allow(unsafe_code)]

use std::ffi::CStr;
use std::io::{Error, Result};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

fn checked(answer: libc::c_int) -> Result<libc::c_int> {
    if answer < 0 { Err(Error::last_os_error()) } else { Ok(answer) }
}

pub fn effective_uid() -> u32 {
    // SAFETY: geteuid takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

fn propagate(flags: libc::c_ulong) -> Result<()> {
    let nothing = std::ptr::null();
    // SAFETY: source, type and data may be null when only the propagation changes; the target is a C string.
    checked(unsafe { libc::mount(nothing, c"/".as_ptr(), nothing, flags, nothing.cast()) }).map(drop)
}

/// Moves the calling thread, and its later children, to a new mount namespace. Nothing in it reaches the
/// host. Its mounts are shared with namespaces made from it, as systemd makes the host's, so a launcher that
/// does not make its mounts private changes our mount table.
pub fn own_mounts() -> Result<()> {
    // SAFETY: unshare takes flags alone; CLONE_NEWNS concerns the calling thread only.
    checked(unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
    propagate(libc::MS_REC | libc::MS_SLAVE)?;
    propagate(libc::MS_REC | libc::MS_SHARED)
}

pub fn mount_tmpfs(target: &CStr) -> Result<()> {
    let (kind, mode) = (c"tmpfs".as_ptr(), c"mode=1777".as_ptr());
    // SAFETY: all four pointers are C strings that live across the call.
    checked(unsafe { libc::mount(kind, target.as_ptr(), kind, 0, mode.cast()) }).map(drop)
}

/// Makes one mount of this namespace read-only, in place.
pub fn read_only(target: &CStr) -> Result<()> {
    let (nothing, flags) = (std::ptr::null(), libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY);
    // SAFETY: a bind remount looks at the target, a C string, and at the flags.
    checked(unsafe { libc::mount(nothing, target.as_ptr(), nothing, flags, nothing.cast()) }).map(drop)
}

pub fn bind(path: &CStr) -> Result<()> {
    let nothing = std::ptr::null();
    // SAFETY: source and target are the same C string; type and data are not looked at for a bind mount.
    checked(unsafe { libc::mount(path.as_ptr(), path.as_ptr(), nothing, libc::MS_BIND, nothing.cast()) })
        .map(drop)
}

/// The kernel's Landlock ABI; 0 without Landlock.
pub fn landlock_abi() -> i64 {
    const VERSION: libc::c_ulong = 1;
    let nothing = std::ptr::null::<libc::c_void>();
    // SAFETY: with this flag the kernel looks at no attributes: there are none, of size 0.
    unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0, VERSION) }.max(0)
}

/// Whether the kernel knows memory-deny-write-execute, which it then says of this process.
pub fn has_mdwe() -> bool {
    const PR_GET_MDWE: libc::c_int = 66;
    // SAFETY: it takes no argument but zeros and changes nothing.
    unsafe { libc::prctl(PR_GET_MDWE, 0, 0, 0, 0) >= 0 }
}

/// Moves the calling thread into a namespace, whatever its kind.
pub fn enter(namespace: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: setns takes a descriptor that the borrow keeps open; 0 lets the kernel see the kind.
    checked(unsafe { libc::setns(namespace.as_raw_fd(), 0) }).map(drop)
}

pub fn pidfd(pid: u32) -> Result<OwnedFd> {
    // SAFETY: pidfd_open takes two numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = checked(i32::try_from(fd).unwrap_or(-1))?;
    // SAFETY: the kernel has just made this descriptor, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Whether the descriptor becomes readable (a pidfd: its process ends) within the time.
pub fn readable(fd: BorrowedFd<'_>, within: Duration) -> bool {
    let mut entry = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let milliseconds = i32::try_from(within.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the pointer is to one pollfd, as the count says.
    unsafe { libc::poll(&raw mut entry, 1, milliseconds) > 0 }
}

pub fn kill(pid: u32, signal: i32) -> Result<()> {
    let pid = i32::try_from(pid).unwrap_or(i32::MAX);
    // SAFETY: kill takes two numbers.
    checked(unsafe { libc::kill(pid, signal) }).map(drop)
}

pub fn chown(path: &CStr, uid: u32, gid: u32) -> Result<()> {
    // SAFETY: the path is a C string that lives across the call.
    checked(unsafe { libc::chown(path.as_ptr(), uid, gid) }).map(drop)
}

pub fn set_attribute(path: &CStr, name: &CStr, value: &[u8]) -> Result<()> {
    let (path, name) = (path.as_ptr(), name.as_ptr());
    // SAFETY: two C strings and bytes with their length, which live across the call.
    let done = unsafe { libc::setxattr(path, name, value.as_ptr().cast(), value.len(), 0) };
    checked(done).map(drop)
}

/// Keeps a socket's receive buffer small, so that a slow reader is one.
pub fn small_receive_buffer(socket: BorrowedFd<'_>) -> Result<()> {
    let (size, name) = (65_536_i32, libc::SO_RCVBUF);
    let length = libc::socklen_t::try_from(size_of::<i32>()).unwrap_or(4);
    let at = (&raw const size).cast();
    // SAFETY: the option value is an i32 and the length says so.
    checked(unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, name, at, length) }).map(drop)
}

/// A lease on the file, for its only opener. The signal at a break is ignored.
pub fn take_lease(file: BorrowedFd<'_>) -> Result<()> {
    // asm-generic/fcntl.h; libc has no name for it.
    const F_SETSIG: libc::c_int = 10;
    for (command, argument) in [(F_SETSIG, libc::SIGURG), (libc::F_SETLEASE, libc::F_WRLCK)] {
        // SAFETY: both commands take an int.
        checked(unsafe { libc::fcntl(file.as_raw_fd(), command, argument) })?;
    }
    Ok(())
}

/// Sends a byte, and with it this socket itself (unix(7), SCM_RIGHTS).
pub fn send_descriptor(socket: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: integers and pointers, for which zero and null are values.
    let (mut header, mut message): (libc::cmsghdr, libc::msghdr) = unsafe { std::mem::zeroed() };
    header.cmsg_level = libc::SOL_SOCKET;
    header.cmsg_type = libc::SCM_RIGHTS;
    // The header, and one descriptor behind it.
    header.cmsg_len = (size_of::<libc::cmsghdr>() + size_of::<RawFd>()) as _;
    let mut control = (header, [socket.as_raw_fd(), 0]);
    let mut byte = [0_u8];
    let mut part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = size_of_val(&control) as _;
    // SAFETY: all that the message points to is live for the call.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
    if sent < 0 { Err(Error::last_os_error()) } else { Ok(()) }
}

/// A socket option that is an int.
pub fn option(socket: BorrowedFd<'_>, level: i32, name: i32) -> Result<i32> {
    let mut value = 0_i32;
    let mut length = libc::socklen_t::try_from(size_of::<i32>()).unwrap_or(4);
    let at = (&raw mut value).cast();
    // SAFETY: the room is an i32 and the length says so; both live across the call.
    checked(unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, at, &raw mut length) })?;
    Ok(value)
}

/// A copy of a descriptor of another process.
pub fn borrow(pid: u32, number: RawFd) -> Result<OwnedFd> {
    let process = pidfd(pid)?;
    // SAFETY: pidfd_getfd takes three numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), number, 0) };
    let fd = checked(i32::try_from(fd).unwrap_or(-1))?;
    // SAFETY: the kernel has just made this descriptor, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Whether reading the descriptor returns at once when nothing is there.
pub fn is_nonblocking(fd: BorrowedFd<'_>) -> Result<bool> {
    // SAFETY: F_GETFL takes the descriptor alone.
    let flags = checked(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) })?;
    Ok(flags & libc::O_NONBLOCK != 0)
}

/// The two ends of a pipe, both closed on exec.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = std::io::pipe()?;
    Ok((reader.into(), writer.into()))
}

/// Puts descriptors at fixed numbers in the program that `command` starts.
pub fn place(command: &mut Command, fds: Vec<(OwnedFd, RawFd)>) {
    // Room for what the closure makes, because it must not allocate.
    let mut high: Vec<RawFd> = vec![-1; fds.len()];
    let install = move || {
        // First all out of the way of every target.
        for ((fd, _), high) in fds.iter().zip(&mut high) {
            // SAFETY: duplicates a descriptor that we own.
            *high = checked(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 300) })?;
        }
        for ((_, target), high) in fds.iter().zip(&high) {
            // SAFETY: the source was made above; dup2 leaves close-on-exec off.
            checked(unsafe { libc::dup2(*high, *target) })?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes two system calls per descriptor and allocates nothing.
    unsafe { command.pre_exec(install) };
}

pub fn unmount(target: &CStr) -> Result<()> {
    // SAFETY: the target is a C string that lives across the call.
    checked(unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) }).map(drop)
}

/// Makes one mount of this namespace writable again.
pub fn read_write(target: &CStr) -> Result<()> {
    let (nothing, flags) = (std::ptr::null(), libc::MS_REMOUNT | libc::MS_BIND);
    // SAFETY: a bind remount looks at the target, a C string, and at the flags.
    checked(unsafe { libc::mount(nothing, target.as_ptr(), nothing, flags, nothing.cast()) }).map(drop)
}
