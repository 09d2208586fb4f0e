//! Several directories of the host as one, read-only: an overlay without an upper directory.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use sys::Errno;
use sys::mount::{
    self as sysmount, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY,
};

/// Limit on layers: one value of lowerdir= has room for so many descriptors (fsconfig(2): 255 bytes).
pub const LAYERS_MAX: usize = 12;

/// Mounts the directories, the lowest first, attached nowhere: a sandbox of `run` or the base of `serve`
/// takes it.
pub fn mount(layers: &[OwnedFd]) -> Result<OwnedFd, Errno> {
    // The highest first, as overlayfs wants them; by descriptor, so that what was checked is what is shown.
    let lower: Vec<_> =
        layers.iter().rev().map(|layer| format!("/proc/self/fd/{}", layer.as_raw_fd())).collect();
    let lower = CString::new(lower.join(":")).map_err(|_nul| Errno::EINVAL)?;
    let fs = sysmount::fsopen(c"overlay")?;
    sysmount::fsconfig_string(fs.as_fd(), c"source", c"dayfly")?;
    sysmount::fsconfig_string(fs.as_fd(), c"lowerdir", &lower)?;
    // Said, because the kernel's defaults are a build option and a module parameter: what is marked in a
    // layer as a redirect or as metadata alone would lead elsewhere in it.
    sysmount::fsconfig_string(fs.as_fd(), c"redirect_dir", c"nofollow")?;
    sysmount::fsconfig_string(fs.as_fd(), c"metacopy", c"off")?;
    sysmount::fsmount(
        fs.as_fd(),
        MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
    )
}
