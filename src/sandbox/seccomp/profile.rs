//! Profiles: what a handler may call, as data, each call with its reason.

use libc::c_long;

/// A profile: allow-list, with exceptions that get an errno instead of death.
#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) name: &'static str,
    pub(crate) entries: &'static [Entry],
    /// Whether the handler may fork: then a stub is PID 1 unless `--init` says otherwise.
    pub(crate) may_fork: bool,
    /// Tasks a sandbox may have unless `--tasks` says otherwise.
    pub(crate) tasks: u64,
}

/// One call with one action. A call may have an entry that allows it under conditions and one that answers an errno
/// otherwise; without the second, what is not allowed is notified and killed.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) number: c_long,
    pub(crate) action: Action,
    /// One of these must hold, all conditions in it; empty: always.
    pub(crate) when: &'static [&'static [Condition]],
    pub(crate) reason: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Allow,
    /// The call is not made and fails with this errno.
    Errno(i32),
}

/// A condition on one argument (0 to 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    /// The low word equals; for arguments that the kernel takes as int.
    Word(u8, u32),
    /// All 64 bits equal; for pointers and longs.
    Long(u8, u64),
    /// No bit of the mask is set, in all 64 bits.
    NoneOf(u8, u64),
    /// Every bit of the mask is set.
    AllOf(u8, u64),
    /// The low word is at most this.
    AtMost(u8, u32),
}

use Action::{Allow, Errno};
use Condition::{AllOf, AtMost, Long, NoneOf, Word};

macro_rules! calls {
    ($($(#[$attribute:meta])* $name:ident $action:expr, $when:expr, $reason:literal;)*) => {
        &[$($(#[$attribute])* Entry {
            name: strip(stringify!($name)),
            number: libc::$name,
            action: $action,
            when: $when,
            reason: $reason,
        },)*]
    };
}

/// `SYS_read` to `read`.
const fn strip(name: &'static str) -> &'static str {
    name.split_at(4).1
}

const ALWAYS: &[&[Condition]] = &[];
const PROT_EXEC: u64 = libc::PROT_EXEC.unsigned_abs() as u64;
/// Shared mappings (also MAP_SHARED_VALIDATE) and growing stacks: no limit of data counts them.
const UNCOUNTED: u64 = (libc::MAP_SHARED | libc::MAP_GROWSDOWN).unsigned_abs() as u64;
const FUTEX_PRIVATE: u64 = libc::FUTEX_PRIVATE_FLAG.unsigned_abs() as u64;
const CONNECTION: Condition = AtMost(0, 1);
#[allow(clippy::cast_sign_loss)]
const SEND_FLAGS: u64 = (libc::MSG_FASTOPEN | libc::MSG_OOB) as u64;
#[allow(clippy::cast_sign_loss)]
const STATUS_FLAGS_REFUSED: u64 = (libc::O_ASYNC | libc::O_DIRECT | libc::O_NOATIME) as u64;
#[cfg(target_arch = "x86_64")]
const ARCH_SET_FS: u32 = 0x1002;

/// `static`: one statically linked process that reads its connection and files, answers, and exits.
pub(crate) static STATIC: Profile = Profile {
    name: "static",
    may_fork: false,
    tasks: 1,
    entries: calls! {
        // The connection and files.
        SYS_read Allow, ALWAYS, "reads the request and files";
        SYS_readv Allow, ALWAYS, "musl's stdio reads with it";
        SYS_pread64 Allow, ALWAYS, "reads at a position";
        SYS_write Allow, ALWAYS, "answers, and logs on stderr";
        SYS_writev Allow, ALWAYS, "musl's stdio writes with it";
        SYS_recvfrom Allow, &[&[CONNECTION, Long(4, 0)]], "recv() on the connection";
        SYS_sendto Allow, &[&[CONNECTION, Long(4, 0), Long(5, 0), NoneOf(3, SEND_FLAGS)]],
            "send() on the connection, without an address";
        SYS_shutdown Allow, &[&[CONNECTION]], "ends the answer before the connection is closed";
        SYS_getpeername Allow, &[&[CONNECTION]], "asks who is at the other end";
        SYS_getsockname Allow, &[&[CONNECTION]], "asks which address the peer reached";
        #[cfg(target_arch = "x86_64")]
        SYS_poll Allow, ALWAYS, "waits with a deadline";
        SYS_ppoll Allow, ALWAYS, "waits with a deadline";
        #[cfg(target_arch = "x86_64")]
        SYS_open Allow, ALWAYS, "musl's open(); the tree and Landlock say what";
        SYS_openat Allow, ALWAYS, "opens files; the tree and Landlock say which";
        SYS_openat2 Allow, ALWAYS, "opens below a directory, as a careful handler does";
        SYS_close Allow, ALWAYS, "closes files";
        #[cfg(target_arch = "x86_64")]
        SYS_stat Allow, ALWAYS, "musl's stat()";
        #[cfg(target_arch = "x86_64")]
        SYS_lstat Allow, ALWAYS, "musl's lstat()";
        SYS_fstat Allow, ALWAYS, "sizes and kinds of open files";
        SYS_newfstatat Allow, ALWAYS, "sizes and kinds by name";
        SYS_statx Allow, ALWAYS, "sizes and kinds, Rust's way";
        SYS_lseek Allow, ALWAYS, "positions in files";
        SYS_getdents64 Allow, ALWAYS, "lists directories";
        SYS_getcwd Allow, ALWAYS, "asks where it is: always below /";
        SYS_fcntl Allow, &[
            &[Word(1, 1)], // F_GETFD
            &[Word(1, 2)], // F_SETFD
            &[Word(1, 3)], // F_GETFL
            &[Word(1, 4), NoneOf(2, STATUS_FLAGS_REFUSED)], // F_SETFL
            &[Word(1, 1030)], // F_DUPFD_CLOEXEC
        ], "descriptor flags and O_NONBLOCK; no locks, leases, owners or pipe sizes";
        SYS_dup Allow, ALWAYS, "copies of the connection, below the limit";
        #[cfg(target_arch = "x86_64")]
        SYS_dup2 Allow, ALWAYS, "copies of the connection, below the limit";
        SYS_dup3 Allow, ALWAYS, "copies of the connection, below the limit";
        SYS_ioctl Allow, &[
            &[Long(1, super::guard::TIOCGWINSZ as u64)],
            &[Long(1, super::guard::TCGETS as u64)],
        ], "stdio asks whether its output is a terminal";
        // Memory, never executable.
        SYS_brk Allow, ALWAYS, "malloc";
        SYS_mmap Allow, &[&[NoneOf(2, PROT_EXEC), NoneOf(3, UNCOUNTED)]],
            "malloc, stacks, files; W^X, and nothing that RLIMIT_DATA does not count";
        SYS_mprotect Allow, &[&[NoneOf(2, PROT_EXEC)]], "RELRO at start-up, guard pages; W^X";
        SYS_munmap Allow, ALWAYS, "free";
        SYS_mremap Allow, ALWAYS, "realloc; it cannot add PROT_EXEC";
        SYS_madvise Allow, ALWAYS, "malloc gives pages back";
        // The process itself.
        #[cfg(target_arch = "x86_64")]
        SYS_arch_prctl Allow, &[&[Word(0, ARCH_SET_FS)]], "thread-local storage at start-up";
        SYS_set_tid_address Allow, ALWAYS, "libc's start-up";
        SYS_rt_sigaction Allow, ALWAYS, "Rust's start-up, alarms";
        SYS_rt_sigprocmask Allow, ALWAYS, "abort() and raise()";
        SYS_rt_sigreturn Allow, ALWAYS, "returns from a signal handler";
        SYS_sigaltstack Allow, ALWAYS, "Rust's stack overflow guard";
        SYS_tkill Allow, ALWAYS, "abort() and raise(); no other process is in the pid namespace";
        SYS_tgkill Allow, ALWAYS, "abort() and raise(); no other process is in the pid namespace";
        SYS_setitimer Allow, ALWAYS, "alarm(), the time-out of classic inetd programs";
        SYS_getpid Allow, ALWAYS, "asks for its own number";
        SYS_gettid Allow, ALWAYS, "raise()";
        SYS_getuid Allow, ALWAYS, "libc and programs ask at start-up";
        SYS_geteuid Allow, ALWAYS, "libc and programs ask at start-up";
        SYS_getgid Allow, ALWAYS, "libc and programs ask at start-up";
        SYS_getegid Allow, ALWAYS, "libc and programs ask at start-up";
        SYS_futex Allow, &[&[AllOf(1, FUTEX_PRIVATE)]],
            "locks of libc and Rust's std; private ones: others reach the template's pages in every sandbox";
        SYS_restart_syscall Allow, ALWAYS, "a wait goes on after the process was stopped or frozen";
        SYS_sched_yield Allow, ALWAYS, "says that the handler is ready";
        SYS_nanosleep Allow, ALWAYS, "waits";
        SYS_clock_nanosleep Allow, ALWAYS, "waits";
        SYS_clock_gettime Allow, ALWAYS, "the time, where the vDSO cannot say";
        SYS_getrandom Allow, ALWAYS, "random numbers, hash seeds";
        SYS_exit Allow, ALWAYS, "ends";
        SYS_exit_group Allow, ALWAYS, "ends";
        // Asked by static glibc at start-up and answered so that it goes on.
        SYS_set_robust_list Errno(libc::ENOSYS), ALWAYS, "static glibc: robust locks, not had";
        SYS_rseq Errno(libc::ENOSYS), ALWAYS, "static glibc: restartable sequences, not had";
        SYS_prlimit64 Errno(libc::EPERM), ALWAYS, "static glibc asks for the stack limit";
        SYS_readlinkat Errno(libc::ENOENT), ALWAYS, "static glibc: /proc/self/exe is not there";
        #[cfg(target_arch = "x86_64")]
        SYS_readlink Errno(libc::ENOENT), ALWAYS, "static glibc: /proc/self/exe is not there";
    },
};

/// The built-in profile of that name.
pub(crate) fn built_in(name: &str) -> Option<&'static Profile> {
    [&STATIC].into_iter().find(|profile| profile.name == name)
}

impl Profile {
    /// How many calls may be made at all.
    pub(crate) fn allowed_count(&self) -> usize {
        let mut numbers: Vec<c_long> =
            self.entries.iter().filter(|e| e.action == Allow).map(|e| e.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.len()
    }

    /// Whether two sandboxes could meet in an ipc namespace: System V IPC or POSIX message queues.
    pub(crate) fn meets_in_ipc(&self) -> bool {
        const MEETING: [c_long; 4] =
            [libc::SYS_shmget, libc::SYS_semget, libc::SYS_msgget, libc::SYS_mq_open];
        self.entries.iter().any(|entry| entry.action == Allow && MEETING.contains(&entry.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_has_its_call_s_name() {
        for entry in STATIC.entries {
            let number = i32::try_from(entry.number).unwrap();
            assert_eq!(crate::sys::names::name(number), Some(entry.name));
        }
    }

    #[test]
    fn no_call_is_decided_twice_by_the_same_action() {
        let mut seen: Vec<_> = STATIC.entries.iter().map(|e| (e.number, e.action == Allow)).collect();
        let entries = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), entries);
    }
}
