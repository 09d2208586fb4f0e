//! landlock(7): what the child does with a ruleset that the parent has made by the landlock crate.

use super::{Result, check};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

const LANDLOCK_CREATE_RULESET_VERSION: u32 = 1;
const LANDLOCK_RULE_PATH_BENEATH: u32 = 1;

/// `struct landlock_path_beneath_attr`; packed in the kernel's header.
#[repr(C, packed)]
struct PathBeneath {
    allowed_access: u64,
    parent_fd: i32,
}

/// The newest ABI that this kernel speaks; ENOSYS or EOPNOTSUPP where Landlock is not built in or not
/// enabled.
pub fn abi() -> Result<i32> {
    let none = ptr::null::<u8>();
    // SAFETY: with the VERSION flag, a null pointer and size 0 the call only answers a number.
    let version = check(unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, none, 0usize, LANDLOCK_CREATE_RULESET_VERSION)
    })?;
    Ok(i32::try_from(version).unwrap_or(i32::MAX))
}

/// The kernel's own mends of Landlock, one bit each (LANDLOCK_CREATE_RULESET_ERRATA, Linux 6.15); EINVAL
/// before.
pub fn errata() -> Result<u32> {
    const LANDLOCK_CREATE_RULESET_ERRATA: u32 = 1 << 1;
    let none = ptr::null::<u8>();
    // SAFETY: with the ERRATA flag, a null pointer and size 0 the call only answers a number.
    let errata = check(unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, none, 0usize, LANDLOCK_CREATE_RULESET_ERRATA)
    })?;
    Ok(u32::try_from(errata).unwrap_or(u32::MAX))
}

/// Allows `access` beneath the file or directory `path` is.
pub fn allow(ruleset: BorrowedFd<'_>, path: BorrowedFd<'_>, access: u64) -> Result<()> {
    let rule = PathBeneath { allowed_access: access, parent_fd: path.as_raw_fd() };
    // SAFETY: `rule` is a live struct of the layout that LANDLOCK_RULE_PATH_BENEATH takes; flags must be 0.
    check(unsafe {
        libc::syscall(
            libc::SYS_landlock_add_rule,
            ruleset.as_raw_fd(),
            LANDLOCK_RULE_PATH_BENEATH,
            &raw const rule,
            0,
        )
    })
    .map(drop)
}

/// Restricts the calling thread for good. Needs no_new_privs. `quiet`: what is denied before the next exec is
/// not audited (from ABI 7 on); what is denied after it never is, unless asked for.
pub fn restrict_self(ruleset: BorrowedFd<'_>, quiet: bool) -> Result<()> {
    let flags = restrict_flags(quiet);
    // SAFETY: two ints.
    check(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), flags) }).map(drop)
}

pub(crate) fn restrict_flags(quiet: bool) -> u32 {
    const LANDLOCK_RESTRICT_SELF_LOG_SAME_EXEC_OFF: u32 = 1 << 0;
    if quiet { LANDLOCK_RESTRICT_SELF_LOG_SAME_EXEC_OFF } else { 0 }
}

const _: () = assert!(size_of::<PathBeneath>() == 12);
