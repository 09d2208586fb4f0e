//! The canary of Landlock: a file that a sandbox can open before it enters its domain, and not after.

use crate::child::landlock::CANARY;
use std::os::fd::{AsFd, OwnedFd};
use sys::{Errno, mount};

/// Makes the canary's tmpfs.
pub(super) fn make_canary() -> Result<OwnedFd, Errno> {
    let fs = mount::fsopen(c"tmpfs")?;
    mount::fsconfig_string(fs.as_fd(), c"nr_inodes", c"2")?;
    mount::fsconfig_string(fs.as_fd(), c"mode", c"0755")?;
    let attributes = mount::MOUNT_ATTR_NOSUID | mount::MOUNT_ATTR_NODEV | mount::MOUNT_ATTR_NOEXEC;
    let directory = mount::fsmount(fs.as_fd(), attributes)?;
    mount::create(directory.as_fd(), CANARY, 0o644)?;
    mount::chmod(directory.as_fd(), CANARY, 0o644)?;
    Ok(directory)
}
