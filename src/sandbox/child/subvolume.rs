//! A sandbox's root that is a snapshot of the template's subvolume.
//!
//! It is made by the sandbox's first process, not by the launcher: it waits for the file system's commit.

use super::operand::Operand;
use super::rootfs::{FLAGS_WRITABLE, PLACE, WRITABLE, changed, verify_flags};
use super::step::{AtStep, Failure, Step, verify};
use crate::plan::rootfs::Plan;
use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use sys::mount as sysmount;
use sys::mount::MOUNT_ATTR_NOEXEC;
use sys::{Errno, btrfs, cwd};

/// The snapshot in the directory of a sandbox.
pub(crate) const ROOT: &CStr = c"root";

/// Makes the snapshot `name` and attaches it: writable, and idmapped so that what the template's owner has is
/// this sandbox's.
pub(crate) fn attach(plan: &Plan, name: Option<&CStr>, userns: Option<&OwnedFd>) -> Result<OwnedFd, Failure> {
    let step = Step::Snapshot;
    let (Some(snapshots), Some(name), Some(userns)) = (&plan.snapshots, name, userns) else {
        return Err(Errno::EINVAL).step(step);
    };
    let path = plan.prebuilt.as_ref().map_or(&snapshots.source.path, |prebuilt| &prebuilt.root);
    let directory = sysmount::openat2(cwd(), path, libc::O_PATH | libc::O_DIRECTORY, 0).step(step)?;
    let found = sysmount::identify(directory.as_fd(), c"").step(step)?;
    changed(step, Operand::None, found.is_same_file(&snapshots.source.identity))?;
    sysmount::mkdirat(directory.as_fd(), name, 0o700).step(step)?;
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let own = sysmount::openat2(directory.as_fd(), name, flags, 0).step(step)?;
    btrfs::snapshot(snapshots.template.as_fd(), own.as_fd(), ROOT).step(step)?;
    let root = sysmount::clone_tree(own.as_fd(), ROOT, false).step(step)?;
    let found = sysmount::identify(root.as_fd(), c"").step(step)?;
    verify(step, is_subvolume(&found) && !found.is_same_file(&plan.template.identity))?;
    sysmount::set_idmap(root.as_fd(), userns.as_fd()).step(step)?;
    let attributes = if plan.executable { WRITABLE & !MOUNT_ATTR_NOEXEC } else { WRITABLE };
    sysmount::set_attributes(root.as_fd(), plan.attributes(attributes), false).step(step)?;
    verify_flags(root.as_fd(), plan.of_root(FLAGS_WRITABLE), step, Operand::None)?;
    sysmount::attach_at(root.as_fd(), cwd(), PLACE).step(Step::AttachRoot)?;
    Ok(root)
}

/// Whether the template's root is a subvolume's: what the kernel asks of a source.
pub fn is_subvolume(identity: &sysmount::Identity) -> bool {
    identity.ino == btrfs::SUBVOLUME_ROOT
}
