//! seccomp(2): installing filters and answering their notifications.

use super::{Result, check, check_fd};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;

const SECCOMP_SET_MODE_FILTER: u32 = 1;
const FLAG_NEW_LISTENER: u32 = 1 << 3;
/// A notified call waits killably once the supervisor has received it (Linux 5.19).
const FLAG_WAIT_KILLABLE_RECV: u32 = 1 << 5;

/// The audit value of a call by the machine's own ABI.
pub const NATIVE_ARCH: u32 = super::names::NATIVE.audit_arch();

/// One BPF instruction, `struct sock_filter`.
pub type Instruction = libc::sock_filter;

/// Installs a filter. Needs no_new_privs.
pub fn install(program: &[Instruction]) -> Result<()> {
    set_mode_filter(program, 0).map(drop)
}

/// Installs a filter with a listener and answers the listener's descriptor (close-on-exec by the kernel).
/// EBUSY where a filter of this process already has one: there is one listener a filter chain.
pub fn install_with_listener(program: &[Instruction]) -> Result<OwnedFd> {
    check_fd(set_mode_filter(program, FLAG_NEW_LISTENER | FLAG_WAIT_KILLABLE_RECV)?)
}

fn set_mode_filter(program: &[Instruction], flags: u32) -> Result<libc::c_long> {
    // The kernel takes at most BPF_MAXINSNS (4096) instructions and says EINVAL to more.
    let len = u16::try_from(program.len()).unwrap_or(u16::MAX);
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    // SAFETY: `program` describes a live array; the kernel copies it and does not write to it, const or not.
    check(unsafe { libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &raw const program) })
}

/// `struct seccomp_notif` with its `struct seccomp_data`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Notification {
    pub id: u64,
    pub pid: u32,
    flags: u32,
    pub nr: i32,
    pub arch: u32,
    pub instruction_pointer: u64,
    pub args: [u64; 6],
}

/// `SECCOMP_IOCTL_NOTIF_RECV`, `_IOWR('!', 0, struct seccomp_notif)`: 80 bytes.
const NOTIF_RECV: u32 = 0xc050_2100;

/// The next notified call (seccomp_unotify(2)). ENOENT where the caller has died meanwhile.
pub fn receive(listener: BorrowedFd<'_>) -> Result<Notification> {
    let mut notification = Notification::default();
    let target = &raw mut notification;
    // SAFETY: the buffer is zeroed, as the kernel demands, live, and of the size encoded in the request
    // number.
    let result = unsafe { libc::ioctl(listener.as_raw_fd(), NOTIF_RECV as libc::Ioctl, target) };
    check(result.into())?;
    Ok(notification)
}

const _: () = assert!(size_of::<Notification>() == 0x50);

/// `struct seccomp_notif_addfd`.
#[repr(C)]
struct AddFd {
    id: u64,
    flags: u32,
    source: u32,
    target: u32,
    target_flags: u32,
}

/// `struct seccomp_notif_resp`.
#[repr(C)]
struct Response {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

/// `SECCOMP_IOCTL_NOTIF_ADDFD`, `_IOW('!', 3, struct seccomp_notif_addfd)`.
const NOTIF_ADDFD: u32 = 0x4018_2103;
/// `SECCOMP_IOCTL_NOTIF_SEND`, `_IOWR('!', 1, struct seccomp_notif_resp)`.
const NOTIF_SEND: u32 = 0xc018_2101;
const ADDFD_FLAG_SETFD: u32 = 1;
const USER_NOTIF_FLAG_CONTINUE: u32 = 1;

const _: () = assert!(size_of::<AddFd>() == 0x18 && size_of::<Response>() == 0x18);

/// Puts a copy of `fd` at number `target` of the process that waits in call `id`, not close-on-exec (Linux
/// 5.9). ENOENT where the process has died, ESRCH where it dies before it takes it.
pub fn put_descriptor(listener: BorrowedFd<'_>, id: u64, fd: BorrowedFd<'_>, target: u32) -> Result<()> {
    put(listener, id, fd, (target, 0))
}

/// The same, close-on-exec.
pub fn put_until_exec(listener: BorrowedFd<'_>, id: u64, fd: BorrowedFd<'_>, target: u32) -> Result<()> {
    put(listener, id, fd, (target, libc::O_CLOEXEC.unsigned_abs()))
}

fn put(
    listener: BorrowedFd<'_>,
    id: u64,
    fd: BorrowedFd<'_>,
    (target, target_flags): (u32, u32),
) -> Result<()> {
    let source = fd.as_raw_fd().unsigned_abs();
    let request = AddFd { id, flags: ADDFD_FLAG_SETFD, source, target, target_flags };
    let pointer = &raw const request;
    // SAFETY: the struct is live, of the size encoded in the request number; the kernel reads it.
    let result = unsafe { libc::ioctl(listener.as_raw_fd(), NOTIF_ADDFD as libc::Ioctl, pointer) };
    check(result.into()).map(drop)
}

/// Lets the call `id` be made after all. The filter's judgement of it must not depend on memory, which the
/// caller could change meanwhile (seccomp_unotify(2)).
pub fn let_call(listener: BorrowedFd<'_>, id: u64) -> Result<()> {
    respond(listener, &Response { id, value: 0, error: 0, flags: USER_NOTIF_FLAG_CONTINUE })
}

/// Ends the call `id` with success, without making it.
pub fn end_call(listener: BorrowedFd<'_>, id: u64) -> Result<()> {
    respond(listener, &Response { id, value: 0, error: 0, flags: 0 })
}

/// Ends the call `id` with a value, without making it.
pub fn answer_call(listener: BorrowedFd<'_>, id: u64, value: u32) -> Result<()> {
    respond(listener, &Response { id, value: value.into(), error: 0, flags: 0 })
}

/// Ends the call `id` with an errno, without making it.
pub fn fail_call(listener: BorrowedFd<'_>, id: u64, errno: u16) -> Result<()> {
    respond(listener, &Response { id, value: 0, error: -i32::from(errno), flags: 0 })
}

fn respond(listener: BorrowedFd<'_>, response: &Response) -> Result<()> {
    let pointer = ptr::from_ref(response);
    // SAFETY: the struct is live, of the size encoded in the request number; the kernel reads it.
    let result = unsafe { libc::ioctl(listener.as_raw_fd(), NOTIF_SEND as libc::Ioctl, pointer) };
    check(result.into()).map(drop)
}

/// Whether this kernel knows the seccomp action (SECCOMP_GET_ACTION_AVAIL, Linux 4.14).
pub fn action_available(action: u32) -> bool {
    const SECCOMP_GET_ACTION_AVAIL: u32 = 2;
    // SAFETY: `action` is a live u32, which the kernel reads.
    check(unsafe { libc::syscall(libc::SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) }).is_ok()
}

/// Whether the kernel takes the flags that the profile is installed with: with a null program it answers
/// EFAULT if it does and EINVAL if not (the check of flags comes first).
pub fn listener_available() -> bool {
    let flags = FLAG_NEW_LISTENER | FLAG_WAIT_KILLABLE_RECV;
    // SAFETY: a null program is never read further: the call fails with EFAULT.
    let result = check(unsafe {
        libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, ptr::null::<libc::sock_fprog>())
    });
    result == Err(super::Errno::EFAULT)
}
