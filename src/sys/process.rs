//! Processes: clone3(2), pidfds, waiting, namespaces, signals.

use super::{Errno, Ignoring, Result, check, check_fd};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use std::ffi::{c_int, c_long};
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

/// `struct clone_args` up to the `cgroup` field (Linux 5.7).
#[repr(C)]
#[derive(Default)]
pub(crate) struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// A child: its number for records, its pidfd for everything that is done to it.
#[derive(Debug)]
pub struct Child {
    pub pid: u32,
    pub pidfd: OwnedFd,
}

/// Clones this process, with `namespaces` (`CLONE_NEW*`) of its own, and runs `main` in the child (clone3(2),
/// Linux 5.3).
///
/// The child has a copy of the memory, as after fork(2). This process must have one thread, which start-up
/// asserts: then no lock can be held by a thread that the child lacks. `main` cannot return, so the child
/// never runs the parent's code or destructors.
///
/// With `group`, it is born in that cgroup (CLONE_INTO_CGROUP, Linux 5.7).
pub fn spawn<T>(
    namespaces: c_int,
    group: Option<BorrowedFd<'_>>,
    main: fn(&T) -> !,
    context: &T,
) -> Result<Child> {
    match clone(namespaces, group)? {
        Some(child) => Ok(child),
        None => main(context),
    }
}

/// Clones this process as it is (fork(2) with a pidfd): Some in the parent, None in the child. For a process
/// of one thread.
pub fn fork() -> Result<Option<Child>> {
    clone(0, None)
}

/// The same, but the child is one of our own parent's (CLONE_PARENT): that one learns of its end, we do not.
pub fn fork_sibling() -> Result<Option<Child>> {
    clone(libc::CLONE_PARENT, None)
}

/// uapi/linux/sched.h; beyond an int.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

fn clone(how: c_int, group: Option<BorrowedFd<'_>>) -> Result<Option<Child>> {
    let mut pidfd: c_int = -1;
    let into_group = group.map_or(0, |_| CLONE_INTO_CGROUP);
    let mut args = CloneArgs {
        flags: u64::from((how | libc::CLONE_PIDFD).unsigned_abs()) | into_group,
        cgroup: group.map_or(0, |group| u64::from(group.as_raw_fd().unsigned_abs())),
        pidfd: ptr::from_mut(&mut pidfd).addr() as u64,
        // A sibling has its parent's own (clone(2), CLONE_PARENT), and none may be asked for.
        exit_signal: if how & libc::CLONE_PARENT == 0 { u64::from(libc::SIGCHLD.unsigned_abs()) } else { 0 },
        ..CloneArgs::default()
    };
    // SAFETY: without CLONE_VM and with no stack given this is fork(2) with flags: the child continues here
    // on a copy of this stack. `args` is live and of the size given; the kernel writes the pidfd into the
    // parent's `pidfd`.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) })?;
    if pid == 0 {
        return Ok(None);
    }
    Ok(Some(Child { pid: u32::try_from(pid).unwrap_or(0), pidfd: check_fd(pidfd.into())? }))
}

/// Arguments for a child of our own parent, with a pid namespace of its own (clone3(2)), in the cgroup whose
/// directory has this number. The child's signal is our own (clone(2), CLONE_PARENT).
pub(crate) fn sibling(group: Option<RawFd>) -> CloneArgs {
    let into_group = group.map_or(0, |_| CLONE_INTO_CGROUP);
    CloneArgs {
        flags: u64::from((libc::CLONE_PARENT | libc::CLONE_NEWPID).unsigned_abs()) | into_group,
        cgroup: group.map_or(0, |number| u64::from(number.unsigned_abs())),
        ..CloneArgs::default()
    }
}

/// Clones this process so: the number in the parent, None in the child. For a process of one thread.
pub fn clone_sibling(group: Option<BorrowedFd<'_>>) -> Result<Option<u32>> {
    let args = sibling(group.map(|group| group.as_raw_fd()));
    // SAFETY: without CLONE_VM and with no stack given this is fork(2) with flags: the child continues here
    // on a copy of this stack. `args` is live and of the size given; no flag asks for any of its pointers,
    // which are null.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) })?;
    Ok(u32::try_from(pid).ok().filter(|pid| *pid != 0))
}

/// Kills and reaps a child that there is no pidfd of. It has not been reaped, so no other process has its
/// number. ECHILD where it is none of ours.
pub fn end_child(pid: u32) -> Result<()> {
    let child = pid_of(pid)?;
    waitid(Id::Pid(child), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT)?;
    kill(child, Signal::SIGKILL)?;
    waitid(Id::Pid(child), WaitPidFlag::WEXITED).map(drop)
}

/// Makes sure that it is a child of ours that was not reaped. ECHILD where it is not.
pub fn verify_own_child(pidfd: BorrowedFd<'_>) -> Result<()> {
    look(pidfd)
}

/// Waits until a process of ours that was killed is gone, and reaps it.
pub fn wait_for_end(pidfd: BorrowedFd<'_>) {
    let mut watched = [libc::pollfd { fd: pidfd.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
    super::poll(&mut watched, None).ignoring("EINTR cannot be, all signals are blocked");
    reap(pidfd).ignoring("a zombie that is left is reaped by our own end");
}

/// Waits until a child ends: how.
pub fn wait(pidfd: BorrowedFd<'_>) -> Result<Ending> {
    let mut watched = [libc::pollfd { fd: pidfd.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
    super::poll(&mut watched, None)?;
    reap(pidfd)?.map(|(ending, _)| ending).ok_or(Errno::ECHILD)
}

/// The default execution domain: READ_IMPLIES_EXEC or a switched-off ASLR would outlive exec
/// (personality(2)).
pub fn reset_personality() -> Result<()> {
    // SAFETY: an int.
    check(unsafe { libc::personality(0) }.into()).map(drop)
}

/// Whether a real-time policy (sched(7)) is set, which would outlive exec.
pub fn is_real_time() -> Result<bool> {
    const RESET_ON_FORK: c_long = 0x4000_0000;
    // SAFETY: an int; 0 is this process.
    let policy = check(unsafe { libc::syscall(libc::SYS_sched_getscheduler, 0) })? & !RESET_ON_FORK;
    let real_time = [libc::SCHED_FIFO, libc::SCHED_RR, libc::SCHED_DEADLINE];
    Ok(real_time.into_iter().any(|real_time| c_long::from(real_time) == policy))
}

/// Sets the ordinary scheduling policy.
pub fn set_ordinary_scheduling() -> Result<()> {
    // SAFETY: a scheduling parameter is integers only (musl has more of them than the kernel reads).
    let parameter: libc::sched_param = unsafe { mem::zeroed() };
    // SAFETY: `parameter` is live; pid 0 is this process.
    check(unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, libc::SCHED_OTHER, &raw const parameter) })
        .map(drop)
}

/// The CPU time of a live process of ours and its threads, by its clock (clock_getcpuclockid(3)): nothing of
/// it is opened.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    /// CPUCLOCK_SCHED (linux/posix-timers.h).
    const SCHED: c_int = 2;
    let clock = !i32::try_from(pid).unwrap_or(0) << 3 | SCHED;
    // SAFETY: a timespec is integers only.
    let mut time: libc::timespec = unsafe { mem::zeroed() };
    // SAFETY: `time` is live and writable.
    check(unsafe { libc::clock_gettime(clock, &raw mut time) }.into())?;
    #[allow(clippy::unnecessary_fallible_conversions, reason = "the fields differ among targets")]
    let (seconds, nanos) =
        (u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0));
    Ok(Duration::new(seconds, nanos))
}

/// Lets a process run only when no ordinary one wants to (SCHED_IDLE, sched(7)). What it forks inherits it.
pub fn set_idle_scheduling(pid: u32) -> Result<()> {
    // SAFETY: a scheduling parameter is integers only (musl has more of them than the kernel reads).
    let parameter: libc::sched_param = unsafe { mem::zeroed() };
    // SAFETY: `parameter` is live.
    check(unsafe { libc::syscall(libc::SYS_sched_setscheduler, pid, libc::SCHED_IDLE, &raw const parameter) })
        .map(drop)
}

/// Processors by their numbers, as the kernel takes them: one bit each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuSet([u64; CpuSet::ROOM / 64]);

impl CpuSet {
    /// Number of processors that a set has room for, as glibc's cpu_set_t.
    pub const ROOM: usize = 1024;

    pub fn insert(&mut self, cpu: usize) {
        if let Some(word) = self.0.get_mut(cpu / 64) {
            *word |= 1 << (cpu % 64);
        }
    }

    pub fn numbers(&self) -> impl Iterator<Item = usize> {
        (0..CpuSet::ROOM).filter(|cpu| self.0.get(cpu / 64).is_some_and(|word| word & 1 << (cpu % 64) != 0))
    }

    /// Whether it has none that `other` lacks.
    fn is_within(&self, other: &CpuSet) -> bool {
        self.0.iter().zip(other.0).all(|(own, other)| own & !other == 0)
    }
}

/// Keeps this process, and what it clones, on these processors; answers whether it is. The kernel leaves out
/// those of them that a cpuset forbids.
pub fn run_on(cpus: &CpuSet) -> Result<bool> {
    let size = size_of::<CpuSet>();
    // SAFETY: the kernel reads `size` bytes of the live set; pid 0 is this process.
    check(unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, size, cpus) })?;
    let mut found = CpuSet::default();
    // SAFETY: the kernel writes at most `size` bytes, which the set has.
    check(unsafe { libc::syscall(libc::SYS_sched_getaffinity, 0, size, &raw mut found) })?;
    Ok(found.is_within(cpus) && found != CpuSet::default())
}

/// Ends the child without running destructors or flushing the parent's buffers (_exit(2)).
pub fn exit_now(status: c_int) -> ! {
    // SAFETY: does not return and touches no memory.
    unsafe { libc::_exit(status) }
}

/// pidfd_open(2), Linux 5.3.
pub fn pidfd_open(pid: u32) -> Result<OwnedFd> {
    // SAFETY: two ints.
    check_fd(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

/// kill(2), by number: right as long as the process is not reaped, and only we do that.
pub fn signal(pid: u32, signal: c_int) -> Result<()> {
    match i32::try_from(pid) {
        // SAFETY: two ints.
        Ok(pid) if pid > 0 => check(unsafe { libc::kill(pid, signal) }.into()).map(drop),
        _ => Err(Errno::EINVAL),
    }
}

/// A copy of descriptor `number` of that process (pidfd_getfd(2), Linux 5.6). Needs CAP_SYS_PTRACE over it.
pub fn pidfd_getfd(pidfd: BorrowedFd<'_>, number: c_int) -> Result<OwnedFd> {
    // SAFETY: three ints.
    check_fd(unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), number, 0) })
}

/// pidfd_send_signal(2), Linux 5.1.
pub fn send_signal(pidfd: BorrowedFd<'_>, signal: c_int) -> Result<()> {
    let no_info = ptr::null::<u8>();
    // SAFETY: without siginfo the kernel reads no memory.
    check(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, no_info, 0) })
        .map(drop)
}

/// Kills a child of ours; one that is dead already counts as killed. Where a filter on the launcher refuses
/// pidfd_send_signal(2), by its number: as long as it is not reaped, and only we do that, no other process
/// has it.
pub fn kill_child(pidfd: BorrowedFd<'_>, pid: u32) -> Result<()> {
    match send_signal(pidfd, libc::SIGKILL) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(errno) => match (is_unreaped(pidfd), Pid::from_raw(i32::try_from(pid).unwrap_or(0))) {
            (true, child) if child.as_raw() > 0 => kill(child, Signal::SIGKILL),
            _ => Err(errno),
        },
    }
}

/// waitid(2) looks and leaves it as it is; of one that is reaped it knows nothing.
fn is_unreaped(pidfd: BorrowedFd<'_>) -> bool {
    look(pidfd).is_ok()
}

fn look(pidfd: BorrowedFd<'_>) -> Result<()> {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    waitid(Id::PIDFd(pidfd), look).map(drop)
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Exited(u8),
    Signaled(c_int),
}

/// Resources that a process and its reaped children used.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    pub cpu_us: u64,
    pub max_rss_kib: u64,
}

/// waitid(2) by pidfd, without blocking: None while it lives. Raw, since only the system call gives the
/// rusage.
pub fn reap(pidfd: BorrowedFd<'_>) -> Result<Option<(Ending, Usage)>> {
    let mut info = mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    let mut usage = mem::MaybeUninit::<libc::rusage>::zeroed();
    let options = libc::WEXITED | libc::WNOHANG;
    // SAFETY: both buffers have room for the struct the kernel writes.
    check(unsafe {
        libc::syscall(
            libc::SYS_waitid,
            libc::P_PIDFD,
            pidfd.as_raw_fd(),
            info.as_mut_ptr(),
            options,
            usage.as_mut_ptr(),
        )
    })?;
    // SAFETY: zeroed, all fields are integers (siginfo's unions included), and filled by the kernel.
    let info = unsafe { info.assume_init() };
    if info.si_signo == 0 {
        return Ok(None);
    }
    // SAFETY: a filled siginfo of waitid has the SIGCHLD layout.
    let status = unsafe { info.si_status() };
    // SAFETY: zeroed, all fields are integers, and filled by the kernel.
    let usage = unsafe { usage.assume_init() };
    let ending = match info.si_code {
        libc::CLD_EXITED => Ending::Exited(u8::try_from(status & 0xff).unwrap_or(u8::MAX)),
        _ => Ending::Signaled(status),
    };
    Ok(Some((ending, Usage::from(&usage))))
}

impl From<&libc::rusage> for Usage {
    fn from(usage: &libc::rusage) -> Usage {
        let micros = |t: libc::timeval| {
            u64::try_from(t.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(t.tv_usec).unwrap_or(0)
        };
        Usage {
            cpu_us: micros(usage.ru_utime) + micros(usage.ru_stime),
            max_rss_kib: u64::try_from(usage.ru_maxrss).unwrap_or(0),
        }
    }
}

/// Becomes the tracer of a process, which stops as soon as it has executed a program (ptrace(2)); it dies
/// with the tracer.
pub fn trace_exec(pid: u32) -> Result<()> {
    ptrace::seize(pid_of(pid)?, ptrace::Options::PTRACE_O_TRACEEXEC | ptrace::Options::PTRACE_O_EXITKILL)
}

/// Waits until a traced process has executed a program, of which nothing has run yet. False: it has ended
/// before, and is not reaped.
pub fn wait_for_exec(pid: u32) -> Result<bool> {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WSTOPPED | WaitPidFlag::WNOWAIT | WaitPidFlag::__WALL;
    let found = waitid(Id::Pid(pid_of(pid)?), look)?;
    Ok(matches!(found, WaitStatus::PtraceEvent(_, _, libc::PTRACE_EVENT_EXEC)))
}

/// Waits until a traced process has ended, and reaps it.
pub fn reap_traced(pid: u32) -> Result<()> {
    // Its stops are reported too, asked for or not (ptrace(2)).
    while !matches!(
        waitid(Id::Pid(pid_of(pid)?), WaitPidFlag::WEXITED | WaitPidFlag::__WALL)?,
        WaitStatus::Exited(..) | WaitStatus::Signaled(..)
    ) {}
    Ok(())
}

fn pid_of(pid: u32) -> Result<Pid> {
    Ok(Pid::from_raw(i32::try_from(pid).map_err(|_beyond_any_pid| Errno::ESRCH)?))
}

/// Blocks until the child with this number of ours ends (wait4(2)); for the init stub, which has nothing else
/// to do. Answers the number and the raw wait status of whichever child ended.
pub fn wait_any() -> Result<(u32, c_int)> {
    let mut status: c_int = 0;
    // SAFETY: `status` is live and writable; the rusage is not asked for.
    let pid = check(unsafe {
        libc::syscall(libc::SYS_wait4, -1, &raw mut status, 0, ptr::null_mut::<libc::rusage>())
    })?;
    Ok((u32::try_from(pid).unwrap_or(0), status))
}

/// unshare(2).
pub fn unshare(namespaces: c_int) -> Result<()> {
    // SAFETY: an int. Only called in processes of one thread.
    check(unsafe { libc::unshare(namespaces) }.into()).map(drop)
}

/// setns(2) into the one namespace that `namespace` is. For mounts the root and the cwd become that
/// namespace's root.
pub fn setns(namespace: BorrowedFd<'_>, kind: c_int) -> Result<()> {
    // SAFETY: two ints. Only called in processes of one thread.
    check(unsafe { libc::setns(namespace.as_raw_fd(), kind) }.into()).map(drop)
}

/// setsid(2): a session of its own, without a controlling terminal.
pub fn setsid() -> Result<()> {
    // SAFETY: no arguments.
    check(unsafe { libc::setsid() }.into()).map(drop)
}

/// getsid(0): 0 is never a session; 1 is that of a pid namespace's first process.
pub fn session() -> Result<i32> {
    // SAFETY: an int.
    check(unsafe { libc::getsid(0) }.into()).map(|id| i32::try_from(id).unwrap_or(-1))
}

/// sethostname(2) in the own UTS namespace.
pub fn set_hostname(name: &[u8]) -> Result<()> {
    // SAFETY: pointer and length describe `name`.
    check(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) }.into()).map(drop)
}

/// Clears the file mode creation mask; answers nothing, umask(2) cannot fail.
pub fn set_umask(mask: u32) {
    // SAFETY: an int.
    unsafe { libc::umask(mask) };
}

/// Gives every signal its default disposition; what the parent ignored (SIGPIPE, nohup's SIGHUP) would
/// outlive exec.
pub fn reset_signal_dispositions() {
    for signal in 1..=SIGNAL_MAX {
        // SAFETY: SIG_DFL installs no code of ours. EINVAL for SIGKILL and SIGSTOP, and for the numbers that
        // libc keeps to itself, changes nothing: those are at their default.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

const SIGNAL_MAX: c_int = 64;

/// Unblocks all signals (the mask outlives exec). Answers whether none is blocked now.
pub fn unblock_signals() -> Result<bool> {
    signal_mask()?;
    Ok(signal_mask()? == 0)
}

/// Sets the empty mask and answers the one before.
fn signal_mask() -> Result<u64> {
    let none: u64 = 0;
    let mut before: u64 = u64::MAX;
    // SAFETY: the kernel's signal set is 64 bits here; both sets are live, the second writable.
    check(unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const none,
            &raw mut before,
            size_of::<u64>(),
        )
    })?;
    Ok(before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn who_is_reaped_is_known_to_be_and_who_is_not_is_left_to_be() {
        let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
        let pidfd = pidfd_open(child.id()).unwrap();
        assert!(is_unreaped(pidfd.as_fd()) && is_unreaped(pidfd.as_fd()));
        assert!(child.wait().unwrap().success());
        assert!(!is_unreaped(pidfd.as_fd()));
        assert_eq!(kill_child(pidfd.as_fd(), child.id()), Ok(()));
    }
}
