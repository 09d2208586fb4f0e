//! The only `unsafe` code: system calls that nix lacks, or has only in a form that allocates.
//!
//! One function, one system call. Everything but `alloc` is callable between clone and exec: no allocation, no
//! lock, no formatting. Functions take borrowed descriptors and C strings, so what they receive is valid by
//! construction; the `unsafe` that remains is the kernel's contract for the call, argued at each block.
//! Imports nothing of ours.

#![allow(unsafe_code)]

pub mod alloc;
pub mod btrfs;
pub mod landlock;
pub mod loop_device;
pub mod mount;
pub mod privilege;
pub mod process;
pub mod seccomp;
pub mod socket;
pub mod token;

use std::ffi::{CStr, c_long};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

pub use alloc::names;
pub use alloc::strings::CStrings;
pub use nix::errno::Errno;

pub type Result<T> = std::result::Result<T, Errno>;

/// Ignores one of the few results that may be ignored, and states the reason where compiler and reader see
/// it.
pub trait Ignoring {
    fn ignoring(self, why: &'static str);
}

impl<T, E> Ignoring for std::result::Result<T, E> {
    fn ignoring(self, _why: &'static str) {}
}

/// The one place where -1 becomes an [`Errno`].
fn check(result: c_long) -> Result<c_long> {
    if result == -1 { Err(Errno::last()) } else { Ok(result) }
}

/// Like [`check`], for calls that return a descriptor that no one else knows yet.
fn check_fd(result: c_long) -> Result<OwnedFd> {
    let fd = raw_fd(check(result)?);
    // SAFETY: the kernel has just allotted this number to us for the call that was checked; nothing else owns
    // it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Descriptors are small non-negative ints (RLIMIT_NOFILE is at most 2^30), so the narrowing loses nothing.
#[allow(clippy::cast_possible_truncation)]
fn raw_fd(number: c_long) -> RawFd {
    number as RawFd
}

/// `AT_FDCWD` as a borrowed descriptor, for the calls whose first argument may be either.
pub fn cwd() -> BorrowedFd<'static> {
    // SAFETY: AT_FDCWD (-100) is never closed and is not -1, which is all that BorrowedFd asks of its number.
    unsafe { BorrowedFd::borrow_raw(libc::AT_FDCWD) }
}

/// The descriptor of a number that the caller knows to be open, for instance 0, or one the kernel reported.
pub fn borrowed(number: RawFd) -> Result<BorrowedFd<'static>> {
    fcntl(number, libc::F_GETFD, 0)?;
    // SAFETY: the kernel has just answered for this number, so it is open and not -1. It stays open: only
    // code that owns it could close it, and the numbers given here (inherited descriptors) have no other
    // owner.
    Ok(unsafe { BorrowedFd::borrow_raw(number) })
}

/// Takes ownership of an inherited descriptor (socket activation, stdio). Call it once a number.
pub fn adopt(number: RawFd) -> Result<OwnedFd> {
    fcntl(number, libc::F_GETFD, 0)?;
    // SAFETY: the number is open, as the kernel has just said, and was inherited at exec: no Rust value owns
    // it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

fn fcntl(fd: RawFd, command: i32, argument: i32) -> Result<c_long> {
    // SAFETY: the commands used here (F_GETFD, F_SETFD, F_DUPFD_CLOEXEC, F_SETFL, F_GETFL) take an int and
    // touch no memory.
    check(unsafe { libc::fcntl(fd, command, argument) }.into())
}

/// Whether `FD_CLOEXEC` is set on this number.
pub fn is_cloexec(number: RawFd) -> Result<bool> {
    Ok(fcntl(number, libc::F_GETFD, 0)? & c_long::from(libc::FD_CLOEXEC) != 0)
}

/// A copy with a number of `lowest` or more, close-on-exec.
pub fn dup_above(fd: BorrowedFd<'_>, lowest: RawFd) -> Result<OwnedFd> {
    check_fd(fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, lowest)?)
}

/// Puts `fd` at `number`, which is closed first if it is open. `flags` is 0 or `O_CLOEXEC`.
///
/// dup3(2) refuses equal numbers; then `FD_CLOEXEC` is set or cleared on the descriptor as it stands.
pub fn dup_to(fd: BorrowedFd<'_>, number: RawFd, flags: i32) -> Result<()> {
    if fd.as_raw_fd() == number {
        let cloexec = if flags & libc::O_CLOEXEC == 0 { 0 } else { libc::FD_CLOEXEC };
        return fcntl(number, libc::F_SETFD, cloexec).map(drop);
    }
    // SAFETY: two ints and flags; no memory is touched. What `number` meant before is replaced on purpose.
    check(unsafe { libc::dup3(fd.as_raw_fd(), number, flags) }.into()).map(drop)
}

/// Clears O_NONBLOCK, which the acceptor may have set and the handler does not expect.
pub fn set_blocking(fd: BorrowedFd<'_>) -> Result<()> {
    let flags = fcntl(fd.as_raw_fd(), libc::F_GETFL, 0)?;
    let blocking = raw_fd(flags) & !libc::O_NONBLOCK;
    fcntl(fd.as_raw_fd(), libc::F_SETFL, blocking).map(drop)
}

/// Sets O_NONBLOCK on an end of ours that nobody shares.
pub fn set_nonblocking(fd: BorrowedFd<'_>) -> Result<()> {
    let flags = fcntl(fd.as_raw_fd(), libc::F_GETFL, 0)?;
    fcntl(fd.as_raw_fd(), libc::F_SETFL, raw_fd(flags) | libc::O_NONBLOCK).map(drop)
}

/// close_range(2), Linux 5.9 (`CLOSE_RANGE_CLOEXEC` 5.11). `flags` 0 closes.
pub fn close_range(first: RawFd, last: u32, flags: u32) -> Result<()> {
    // SAFETY: three ints. Descriptors owned by Rust values may be closed by it: the callers are the child,
    // which never runs a destructor after this (it execs or exits by _exit), and start-up, before any value
    // owns a descriptor.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) }).map(drop)
}

/// read(2).
pub fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: pointer and length describe `buffer`, which the kernel may fill.
    let count =
        check(unsafe { libc::syscall(libc::SYS_read, fd.as_raw_fd(), buffer.as_mut_ptr(), buffer.len()) })?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// pread(2) at the start.
pub fn read_start(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: pointer and length describe `buffer`, which the kernel may fill; the offset is an integer.
    let count = check(unsafe {
        libc::syscall(libc::SYS_pread64, fd.as_raw_fd(), buffer.as_mut_ptr(), buffer.len(), 0)
    })?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// write(2).
pub fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    // SAFETY: pointer and length describe `bytes`, which the kernel only reads.
    let count =
        check(unsafe { libc::syscall(libc::SYS_write, fd.as_raw_fd(), bytes.as_ptr(), bytes.len()) })?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// poll(2) through ppoll(2), which every architecture has; `timeout_ms` None waits for ever.
pub fn poll(fds: &mut [libc::pollfd], timeout_ms: Option<u32>) -> Result<usize> {
    let timeout = timeout_ms.map(|ms| libc::timespec {
        tv_sec: i64::from(ms / 1000),
        tv_nsec: c_long::from(ms % 1000) * 1_000_000,
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: `fds` is valid for its length, `timeout` is null or points to a live timespec, no signal mask
    // is given.
    let count = check(unsafe {
        libc::syscall(libc::SYS_ppoll, fds.as_mut_ptr(), fds.len(), timeout, ptr::null::<u8>(), 8usize)
    })?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// Variables of an environment, at most; more is E2BIG.
const ENVIRONMENT_LEN: usize = 128;

/// execveat(2) with an empty path: runs the file that `fd` is, whatever its name. `added` holds further
/// variables, each ended by a NUL byte. Returns only an error.
pub fn execveat(fd: RawFd, argv: &CStrings, envp: &CStrings, added: &[u8]) -> Errno {
    let empty: &CStr = c"";
    let mut environment = [ptr::null(); ENVIRONMENT_LEN + 1];
    let (_null, fixed) = envp.pointers.split_last().unwrap_or((&ptr::null(), &[]));
    let added = added.split_inclusive(|byte| *byte == 0).filter(|variable| variable.ends_with(&[0]));
    let mut room = environment[..ENVIRONMENT_LEN].iter_mut();
    for pointer in fixed.iter().copied().chain(added.map(|variable| variable.as_ptr().cast())) {
        match room.next() {
            Some(place) => *place = pointer,
            None => return Errno::E2BIG,
        }
    }
    // SAFETY: `empty` is a C string; both arrays are NULL-terminated, the environment by its last element
    // that is never written; their strings end in a NUL byte and live as long as `argv`, `envp` and `added`.
    let result = unsafe {
        libc::syscall(
            libc::SYS_execveat,
            fd,
            empty.as_ptr(),
            argv.pointers.as_ptr(),
            environment.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    check(result).err().unwrap_or(Errno::UnknownErrno)
}

/// Any call by its number, and the raw errno of it, 0 for success; for tests of filters.
pub fn any_call(number: c_long, args: [u64; 6]) -> i32 {
    let [a, b, c, d, e, f] = args;
    // SAFETY: tests give descriptors, flags and null pointers; a call that writes memory is given none to
    // write to.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result == -1 { Errno::last_raw() } else { 0 }
}

/// Calls a number that no kernel has and gives the errno that came back: ENOSYS from the kernel, or the fixed
/// errno of the filter that knows the number (the canary). Raw, because the canaries' errnos stand in no
/// table.
pub fn nonexistent_call(number: u32) -> i32 {
    // SAFETY: a number without a system call behind it touches nothing, whoever answers it.
    let result = unsafe { libc::syscall(c_long::from(number)) };
    if result == -1 { Errno::last_raw() } else { 0 }
}
