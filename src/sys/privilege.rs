//! Identity, capabilities, securebits and the other prctl(2)s: what a process may do, and reading it back.
//!
//! Raw system calls on purpose: libc's wrappers for the id calls talk to other threads, of which there are
//! none.

use super::{Result, check};
use std::ffi::{c_int, c_long, c_ulong};
use std::ptr;

const LINUX_CAPABILITY_VERSION_3: u32 = 0x2008_0522;
const PR_SET_MDWE: c_int = 65;
const PR_GET_MDWE: c_int = 66;
const PR_MDWE_REFUSE_EXEC_GAIN: c_ulong = 1;
const KEYCTL_GET_KEYRING_ID: c_int = 0;
const KEYCTL_JOIN_SESSION_KEYRING: c_int = 1;
const KEY_SPEC_SESSION_KEYRING: c_int = -3;

#[repr(C)]
pub(crate) struct CapHeader {
    version: u32,
    pid: c_int,
}

pub(crate) fn cap_header() -> CapHeader {
    CapHeader { version: LINUX_CAPABILITY_VERSION_3, pid: 0 }
}

/// The three capability sets of capget(2), low and high word.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CapData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Just these capabilities, each a number below 32, in the effective and permitted sets.
pub const fn only_capabilities(capabilities: &[u32]) -> [CapData; 2] {
    let (mut set, mut index) = (0, 0);
    while index < capabilities.len() {
        assert!(capabilities[index] < 32);
        set |= 1 << capabilities[index];
        index += 1;
    }
    [
        CapData { effective: set, permitted: set, inheritable: 0 },
        CapData { effective: 0, permitted: 0, inheritable: 0 },
    ]
}

pub const NO_CAPABILITIES: [CapData; 2] = [CapData { effective: 0, permitted: 0, inheritable: 0 }; 2];

/// prctl(2) for the options that take and answer plain numbers.
fn prctl(option: c_int, a: c_ulong, b: c_ulong) -> Result<c_int> {
    let zero: c_ulong = 0;
    // SAFETY: every caller in this file passes an option whose arguments are numbers, so no memory is
    // touched.
    let answer = check(unsafe { libc::prctl(option, a, b, zero, zero) }.into())?;
    Ok(c_int::try_from(answer).unwrap_or(c_int::MAX))
}

/// The signal this process gets when its parent dies. Reset by each change of ids: set it again after.
pub fn set_parent_death_signal(signal: c_int) -> Result<()> {
    prctl(libc::PR_SET_PDEATHSIG, c_ulong::from(signal.unsigned_abs()), 0).map(drop)
}

/// The signal that is set (0: none).
pub fn parent_death_signal() -> Result<c_int> {
    let mut signal: c_int = 0;
    // SAFETY: the option writes one int, which is live and writable.
    check(unsafe { libc::prctl(libc::PR_GET_PDEATHSIG, &raw mut signal) }.into())?;
    Ok(signal)
}

/// Removes one capability from the bounding set. Needs CAP_SETPCAP.
pub fn drop_bounding(capability: u32) -> Result<()> {
    prctl(libc::PR_CAPBSET_DROP, c_ulong::from(capability), 0).map(drop)
}

pub fn is_bounding(capability: u32) -> Result<bool> {
    Ok(prctl(libc::PR_CAPBSET_READ, c_ulong::from(capability), 0)? != 0)
}

pub fn clear_ambient() -> Result<()> {
    let clear = c_ulong::from(libc::PR_CAP_AMBIENT_CLEAR_ALL.unsigned_abs());
    prctl(libc::PR_CAP_AMBIENT, clear, 0).map(drop)
}

/// Needs CAP_SETPCAP.
pub fn set_securebits(bits: c_int) -> Result<()> {
    prctl(libc::PR_SET_SECUREBITS, c_ulong::from(bits.unsigned_abs()), 0).map(drop)
}

pub fn securebits() -> Result<c_int> {
    prctl(libc::PR_GET_SECUREBITS, 0, 0)
}

pub fn set_no_new_privs() -> Result<()> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0).map(drop)
}

pub fn no_new_privs() -> Result<bool> {
    Ok(prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0)? == 1)
}

pub fn set_not_dumpable() -> Result<()> {
    prctl(libc::PR_SET_DUMPABLE, 0, 0).map(drop)
}

pub fn is_dumpable() -> Result<bool> {
    Ok(prctl(libc::PR_GET_DUMPABLE, 0, 0)? != 0)
}

/// Memory-deny-write-execute, Linux 6.3; EINVAL before.
pub fn set_mdwe() -> Result<()> {
    prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0).map(drop)
}

/// EINVAL where the kernel has no MDWE.
pub fn mdwe() -> Result<bool> {
    Ok(prctl(PR_GET_MDWE, 0, 0)? == 1)
}

/// capset(2) of the calling thread.
pub fn set_capabilities(sets: &[CapData; 2]) -> Result<()> {
    let mut header = cap_header();
    // A copy: what is read back is compared with a constant, which must not be the memory that the call
    // was given.
    let mut sets = *sets;
    // SAFETY: header is live and writable, version 3 takes exactly two data structs, which are live.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw mut header, sets.as_mut_ptr()) }).map(drop)
}

/// capget(2) of the calling thread.
pub fn capabilities() -> Result<[CapData; 2]> {
    let mut header = cap_header();
    let mut sets = [CapData::default(); 2];
    // SAFETY: header is live and writable, version 3 fills exactly two data structs, which are live and
    // writable.
    check(unsafe { libc::syscall(libc::SYS_capget, &raw mut header, sets.as_mut_ptr()) })?;
    Ok(sets)
}

/// Whether no set has a capability but those of this one, a bit for each of the first 32.
pub fn are_within(sets: &[CapData; 2], kept: u32) -> bool {
    let [low, high] = sets;
    let beyond = (low.effective | low.permitted) & !kept;
    beyond | low.inheritable | high.effective | high.permitted | high.inheritable == 0
}

/// Gives up all capabilities of the calling thread but those of this set, a bit for each of the first 32, and
/// makes none inheritable.
pub fn keep_capabilities(kept: u32) -> Result<()> {
    let [low, _] = capabilities()?;
    let low = CapData { effective: low.effective & kept, permitted: low.permitted & kept, inheritable: 0 };
    set_capabilities(&[low, CapData::default()])
}

/// setgroups(2) with an empty list.
pub fn clear_groups() -> Result<()> {
    // SAFETY: with a count of 0 the pointer is not read.
    check(unsafe { libc::syscall(libc::SYS_setgroups, 0usize, ptr::null::<u32>()) }).map(drop)
}

/// How many supplementary groups there are.
pub fn group_count() -> Result<usize> {
    // SAFETY: with a size of 0 the pointer is not written.
    let count = check(unsafe { libc::syscall(libc::SYS_getgroups, 0, ptr::null_mut::<u32>()) })?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// setresgid(2) with one id thrice.
pub fn set_gid(gid: u32) -> Result<()> {
    // SAFETY: three numbers.
    check(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) }).map(drop)
}

/// setresuid(2) with one id thrice.
pub fn set_uid(uid: u32) -> Result<()> {
    // SAFETY: three numbers.
    check(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) }).map(drop)
}

/// Real, effective and saved gid.
pub fn gids() -> Result<[u32; 3]> {
    three_ids(libc::SYS_getresgid)
}

/// Real, effective and saved uid.
pub fn uids() -> Result<[u32; 3]> {
    three_ids(libc::SYS_getresuid)
}

/// getresgid(2) or getresuid(2).
fn three_ids(number: c_long) -> Result<[u32; 3]> {
    let mut ids = [u32::MAX; 3];
    let [real, effective, saved] = &mut ids;
    let (real, effective, saved) = (ptr::from_mut(real), ptr::from_mut(effective), ptr::from_mut(saved));
    // SAFETY: both calls write three u32; these are live and writable.
    check(unsafe { libc::syscall(number, real, effective, saved) })?;
    Ok(ids)
}

/// A new, empty, anonymous session keyring (keyctl(2)); answers its serial number.
pub fn join_new_session_keyring() -> Result<c_long> {
    // SAFETY: a null name asks for an anonymous keyring; nothing is read.
    check(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, ptr::null::<u8>()) })
}

/// The serial number of the session keyring.
pub fn session_keyring() -> Result<c_long> {
    const DO_NOT_CREATE: c_int = 0;
    // SAFETY: three numbers.
    check(unsafe {
        libc::syscall(libc::SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, DO_NOT_CREATE)
    })
}

/// Sets soft and hard limit of the calling process (prlimit(2)).
pub fn set_limit(resource: u32, soft: u64, hard: u64) -> Result<()> {
    let new = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    // SAFETY: `new` is live, the old value is not asked for.
    check(unsafe {
        libc::syscall(libc::SYS_prlimit64, 0, resource, &raw const new, ptr::null_mut::<libc::rlimit64>())
    })
    .map(drop)
}

/// The soft and hard limit in force.
pub fn limit(resource: u32) -> Result<(u64, u64)> {
    let mut old = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: no new value is given, `old` is live and writable.
    check(unsafe {
        libc::syscall(libc::SYS_prlimit64, 0, resource, ptr::null::<libc::rlimit64>(), &raw mut old)
    })?;
    Ok((old.rlim_cur, old.rlim_max))
}

/// Whether the kernel has keyrings at all: an operation that does not exist is EOPNOTSUPP where it has,
/// ENOSYS where not.
pub fn has_keyrings() -> bool {
    const NO_OPERATION: c_int = -1;
    // SAFETY: an unknown operation reads no argument.
    let result = check(unsafe { libc::syscall(libc::SYS_keyctl, NO_OPERATION) });
    result != Err(super::Errno::ENOSYS)
}
