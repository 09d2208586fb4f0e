//! /dev, for profiles that execute the tree: the five devices, four links and the mount point that programs
//! take for granted, on a tmpfs that holds nothing else and is read-only. The one mount of a sandbox that is
//! not nodev.
//!
//! `serve` makes it once, in its base; `run` for its one sandbox.

use super::step::{AtStep, Failure, Step};
use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use sys::mount::{self as sysmount, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY};

pub const DEV: &CStr = c"/dev";

/// Names, minor numbers, all of major 1 (Documentation/admin-guide/devices.txt), and modes.
///
/// zero cannot be opened for writing: a writable shared mapping of it is memory that no resource limit counts
/// (mmap_zero in drivers/char/mem.c). Where it was opened for reading alone, such a mapping is a private one.
pub const NODES: [(&CStr, u32, u32); 5] = [
    (c"null", 3, 0o666),
    (c"zero", 5, 0o444),
    (c"full", 7, 0o666),
    (c"random", 8, 0o666),
    (c"urandom", 9, 0o666),
];
const MAJOR: u32 = 1;

/// Links, which lead somewhere with --proc.
pub const LINKS: [(&CStr, &CStr); 4] = [
    (c"fd", c"/proc/self/fd"),
    (c"stdin", c"/proc/self/fd/0"),
    (c"stdout", c"/proc/self/fd/1"),
    (c"stderr", c"/proc/self/fd/2"),
];

/// A mount point for --tmpfs, by its name here and as the sandbox sees it: shm_open(3), sem_open(3).
pub const SHARED_MEMORY: (&CStr, &CStr) = (c"shm", c"/dev/shm");

const ATTRIBUTES: u64 = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
/// Mount flags that statfs(2) must show.
pub(crate) const FLAGS: u64 = libc::ST_NOSUID | libc::ST_NOEXEC | libc::ST_RDONLY;

/// A detached mount with the devices. Needs CAP_MKNOD, which no user namespace gives.
pub(crate) fn make() -> Result<OwnedFd, Failure> {
    let step = Step::Dev;
    let fs = sysmount::fsopen(c"tmpfs").step(step)?;
    // The root, the five, the four and the one: no inode is left to make anything else with.
    for (key, value) in [(c"size", c"4096"), (c"nr_inodes", c"11"), (c"mode", c"0755")] {
        sysmount::fsconfig_string(fs.as_fd(), key, value).step(step)?;
    }
    let mount = sysmount::fsmount(fs.as_fd(), ATTRIBUTES | sysmount::MOUNT_ATTR_NOATIME).step(step)?;
    for (name, minor, mode) in NODES {
        let device = libc::makedev(MAJOR, minor);
        sysmount::make_character_device(mount.as_fd(), name, device).step(step)?;
        sysmount::chmod(mount.as_fd(), name, mode).step(step)?;
    }
    for (name, target) in LINKS {
        sysmount::symlinkat(target, mount.as_fd(), name).step(step)?;
    }
    sysmount::mkdirat(mount.as_fd(), SHARED_MEMORY.0, 0o755).step(step)?;
    sysmount::chmod(mount.as_fd(), SHARED_MEMORY.0, 0o755).step(step)?;
    sysmount::set_attributes(mount.as_fd(), MOUNT_ATTR_RDONLY, false).step(step)?;
    Ok(mount)
}
