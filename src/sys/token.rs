//! Calls that carry a token: a random word in the last argument, where the kernel looks at nothing. A filter
//! allows them to whoever knows the word, and so to nobody once exec has replaced the memory that it is in.

use super::privilege::CapData;
use super::process::{CloneArgs, sibling};
use super::{Errno, Result, check};
use std::ffi::{CStr, c_int, c_long};
use std::fmt;
use std::mem;
use std::os::fd::RawFd;
use std::ptr;

/// The word.
#[derive(Clone, Copy)]
pub struct Token(u64);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// The calls that can carry a token, whatever their other arguments.
pub const CALLS: [c_long; 16] = [
    libc::SYS_setsid,
    libc::SYS_getsid,
    libc::SYS_rt_sigprocmask,
    libc::SYS_landlock_restrict_self,
    libc::SYS_setresgid,
    libc::SYS_setresuid,
    libc::SYS_getresgid,
    libc::SYS_getresuid,
    libc::SYS_capset,
    libc::SYS_capget,
    libc::SYS_ppoll,
    libc::SYS_pipe2,
    libc::SYS_dup3,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_openat,
];

/// The limit of CPU time (asm-generic/resource.h).
const RLIMIT_CPU: c_int = 0;

/// Calls that can carry one with these arguments alone, each by its index and its low word: what else they do
/// takes no capability.
pub const JUDGED: [(c_long, &[(u8, c_int)]); 4] = [
    (libc::SYS_prctl, &[(0, libc::PR_SET_PDEATHSIG), (1, libc::SIGKILL)]),
    (libc::SYS_prctl, &[(0, libc::PR_GET_PDEATHSIG)]),
    (libc::SYS_fcntl, &[(1, libc::F_GETFD)]),
    (libc::SYS_prlimit64, &[(0, 0), (1, RLIMIT_CPU)]),
];

/// The second argument of [`Token::clone_sibling`].
pub const CLONE_ARGS: usize = size_of::<CloneArgs>();

impl Token {
    /// From the kernel's random numbers (getrandom(2)).
    pub fn random() -> Result<Token> {
        let mut word = 0_u64;
        let (target, size) = (ptr::from_mut(&mut word), size_of::<u64>());
        // SAFETY: the kernel fills the live word.
        let count = check(unsafe { libc::syscall(libc::SYS_getrandom, target, size, 0) })?;
        if usize::try_from(count) == Ok(size) { Ok(Token(word)) } else { Err(Errno::EIO) }
    }

    /// For the filter.
    pub fn word(self) -> u64 {
        self.0
    }

    /// A call whose arguments are numbers.
    fn numbers(self, number: c_long, [a, b, c, d]: [c_long; 4]) -> Result<c_long> {
        // SAFETY: the callers below give numbers where the kernel takes numbers.
        check(unsafe { libc::syscall(number, a, b, c, d, 0_usize, self.0) })
    }

    /// Calls a number that no kernel has, with three words for whoever is notified of the call, and gives the
    /// answer. The token tells him that no handler calls.
    pub fn tell(self, number: u32, words: [u64; 3]) -> Result<i64> {
        let ([a, b, c], number) = (words, c_long::from(number));
        // SAFETY: a number without a system call behind it touches nothing, whoever answers it.
        check(unsafe { libc::syscall(number, a, b, c, 0_usize, 0_usize, self.0) })
    }

    /// Clones this process, with a pid namespace of its own, as a child of its own parent (clone3(2)): the
    /// number in the parent, None in the child. With `group`, the number of a cgroup's directory, the child is
    /// born in that. `note` goes where the kernel looks at nothing: for whoever is notified of the call.
    pub fn clone_sibling(self, group: Option<RawFd>, note: i64) -> Result<Option<u32>> {
        let args = sibling(group);
        let (number, args, size) = (libc::SYS_clone3, &raw const args, CLONE_ARGS);
        // SAFETY: without CLONE_VM and with no stack given this is fork(2) with flags: the child continues
        // here on a copy of this stack. `args` is live and of the size given; no flag asks for any of its
        // pointers, which are null.
        let pid = check(unsafe { libc::syscall(number, args, size, note, 0_usize, 0_usize, self.0) })?;
        Ok(u32::try_from(pid).ok().filter(|pid| *pid != 0))
    }

    /// setsid(2).
    pub fn setsid(self) -> Result<()> {
        self.numbers(libc::SYS_setsid, [0; 4]).map(drop)
    }

    /// getsid(0).
    pub fn session(self) -> Result<c_long> {
        self.numbers(libc::SYS_getsid, [0; 4])
    }

    /// Sets the empty mask; answers whether it was set before, so that a second call shows what the first has
    /// done.
    pub fn unblock_signals(self) -> Result<bool> {
        let none: u64 = 0;
        let mut before: u64 = u64::MAX;
        let (new, old) = (&raw const none, &raw mut before);
        let (number, how, size) = (libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, size_of::<u64>());
        // SAFETY: both sets are live and of the size given, the second writable.
        check(unsafe { libc::syscall(number, how, new, old, size, 0_usize, self.0) })?;
        Ok(before == 0)
    }

    /// landlock_restrict_self(2).
    pub fn restrict_self(self, ruleset: RawFd, quiet: bool) -> Result<()> {
        let flags = super::landlock::restrict_flags(quiet);
        self.numbers(libc::SYS_landlock_restrict_self, [ruleset.into(), flags.into(), 0, 0]).map(drop)
    }

    /// Whether the process that this pidfd is of has ended (ppoll(2), without waiting).
    pub fn has_ended(self, pidfd: RawFd) -> Result<bool> {
        let mut watched = libc::pollfd { fd: pidfd, events: libc::POLLIN, revents: 0 };
        let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let (number, watched, no_mask) = (libc::SYS_ppoll, &raw mut watched, ptr::null::<u8>());
        // SAFETY: one pollfd and the time are live; no signal mask is given.
        check(unsafe { libc::syscall(number, watched, 1_usize, &raw const now, no_mask, 8_usize, self.0) })
            .map(|count| count != 0)
    }

    /// setresgid(2) with one id thrice.
    pub fn set_gid(self, gid: u32) -> Result<()> {
        self.numbers(libc::SYS_setresgid, [gid.into(), gid.into(), gid.into(), 0]).map(drop)
    }

    /// setresuid(2) with one id thrice.
    pub fn set_uid(self, uid: u32) -> Result<()> {
        self.numbers(libc::SYS_setresuid, [uid.into(), uid.into(), uid.into(), 0]).map(drop)
    }

    /// Real, effective and saved gid.
    pub fn gids(self) -> Result<[u32; 3]> {
        self.three_ids(libc::SYS_getresgid)
    }

    /// Real, effective and saved uid.
    pub fn uids(self) -> Result<[u32; 3]> {
        self.three_ids(libc::SYS_getresuid)
    }

    fn three_ids(self, number: c_long) -> Result<[u32; 3]> {
        let mut ids = [u32::MAX; 3];
        let [real, effective, saved] = &mut ids;
        let (real, effective, saved) = (ptr::from_mut(real), ptr::from_mut(effective), ptr::from_mut(saved));
        // SAFETY: both calls write three u32; these are live and writable.
        check(unsafe { libc::syscall(number, real, effective, saved, 0_usize, 0_usize, self.0) })?;
        Ok(ids)
    }

    /// capset(2) of the calling thread.
    pub fn set_capabilities(self, sets: &[CapData; 2]) -> Result<()> {
        // A copy: what is read back is compared with a constant, which must not be the memory that the call
        // was given.
        let mut sets = *sets;
        self.cap(libc::SYS_capset, &mut sets)
    }

    /// capget(2) of the calling thread.
    pub fn capabilities(self) -> Result<[CapData; 2]> {
        let mut sets = [CapData::default(); 2];
        self.cap(libc::SYS_capget, &mut sets).map(|()| sets)
    }

    fn cap(self, number: c_long, sets: &mut [CapData; 2]) -> Result<()> {
        let mut header = super::privilege::cap_header();
        let (header, sets) = (&raw mut header, sets.as_mut_ptr());
        // SAFETY: the header is live and writable, version 3 takes exactly two data structs, which are live
        // and writable.
        check(unsafe { libc::syscall(number, header, sets, 0_usize, 0_usize, 0_usize, self.0) }).map(drop)
    }

    /// The signal at the parent's death; reset by each change of ids.
    pub fn set_parent_death_signal(self, signal: c_int) -> Result<()> {
        let option = c_long::from(libc::PR_SET_PDEATHSIG);
        self.numbers(libc::SYS_prctl, [option, signal.into(), 0, 0]).map(drop)
    }

    /// The signal that is set (0: none).
    pub fn parent_death_signal(self) -> Result<c_int> {
        let mut signal: c_int = 0;
        let (option, target) = (libc::PR_GET_PDEATHSIG, &raw mut signal);
        // SAFETY: the option writes one int, which is live and writable.
        check(unsafe { libc::syscall(libc::SYS_prctl, option, target, 0_usize, 0_usize, 0_usize, self.0) })?;
        Ok(signal)
    }

    /// A pipe, by the numbers of its reading and its writing end, close-on-exec (pipe2(2)).
    pub fn pipe(self) -> Result<[RawFd; 2]> {
        let mut ends: [RawFd; 2] = [-1; 2];
        let (number, target) = (libc::SYS_pipe2, ends.as_mut_ptr());
        // SAFETY: `ends` has room for the two ints that are written.
        check(unsafe { libc::syscall(number, target, libc::O_CLOEXEC, 0_usize, 0_usize, 0_usize, self.0) })?;
        Ok(ends)
    }

    /// Puts a copy of one number at another, which stays open at exec (dup3(2)).
    pub fn dup_to(self, from: RawFd, to: RawFd) -> Result<()> {
        self.numbers(libc::SYS_dup3, [from.into(), to.into(), 0, 0]).map(drop)
    }

    /// close(2) of a number that no Rust value owns.
    pub fn close(self, number: RawFd) -> Result<()> {
        self.numbers(libc::SYS_close, [number.into(), 0, 0, 0]).map(drop)
    }

    /// Opens a file for writing and closes it: whether that is allowed (openat(2)).
    pub fn open_to_write(self, directory: RawFd, name: &CStr) -> Result<()> {
        let flags = libc::O_WRONLY | libc::O_CLOEXEC | libc::O_NOFOLLOW;
        let (number, name) = (libc::SYS_openat, name.as_ptr());
        // SAFETY: the name is a C string, which the kernel reads.
        let file = check(unsafe { libc::syscall(number, directory, name, flags, 0_usize, 0_usize, self.0) })?;
        self.numbers(libc::SYS_close, [file, 0, 0, 0]).map(drop)
    }

    /// Sets a limit, its soft and its hard value (prlimit64(2)).
    pub fn set_limit(self, resource: u32, soft: u64, hard: u64) -> Result<()> {
        let limit = [soft, hard];
        let (number, limit) = (libc::SYS_prlimit64, limit.as_ptr());
        // SAFETY: the kernel reads two u64, which are live.
        check(unsafe { libc::syscall(number, 0, resource, limit, 0_usize, 0_usize, self.0) }).map(drop)
    }

    /// A limit that is in force.
    pub fn limit(self, resource: u32) -> Result<(u64, u64)> {
        let mut limit = [0_u64; 2];
        let (number, target) = (libc::SYS_prlimit64, limit.as_mut_ptr());
        // SAFETY: the kernel writes two u64, which are live and writable.
        check(unsafe { libc::syscall(number, 0, resource, 0_usize, target, 0_usize, self.0) })?;
        let [soft, hard] = limit;
        Ok((soft, hard))
    }

    /// The inode of an open file (fstat(2)), of its device.
    pub fn inode(self, number: RawFd) -> Result<(u64, u64)> {
        let mut found = mem::MaybeUninit::<libc::stat>::zeroed();
        let target = found.as_mut_ptr();
        // SAFETY: the kernel fills the live struct.
        check(unsafe { libc::syscall(libc::SYS_fstat, number, target, 0_usize, 0_usize, 0_usize, self.0) })?;
        // SAFETY: zeroed, all fields are integers.
        let found = unsafe { found.assume_init() };
        Ok((found.st_dev, found.st_ino))
    }

    /// Whether the number is open, and stays so at exec.
    pub fn is_kept(self, number: RawFd) -> bool {
        let flags = self.numbers(libc::SYS_fcntl, [number.into(), libc::F_GETFD.into(), 0, 0]);
        flags.is_ok_and(|flags| flags & c_long::from(libc::FD_CLOEXEC) == 0)
    }
}
