//! `--snapshot btrfs`: whether the template can be had so, and has a place beside it for its snapshots.

use super::ConfigError;
use super::options::{Options, SnapshotKind};
use super::trust::TrustedFile;
use crate::privilege::Privilege;
use nix::sys::statfs::{BTRFS_SUPER_MAGIC, fstatfs};
use sandbox::launch::snapshots::shelf_path;
use sandbox::plan::rootfs;
use std::os::fd::AsFd;
use sys::mount::{identify, openat2};

pub(super) fn require(
    options: &Options,
    template: &TrustedFile,
    is_image: bool,
    privilege: Privilege,
) -> Result<(), ConfigError> {
    if options.snapshot != Some(SnapshotKind::Btrfs) {
        return Ok(());
    }
    let why = if privilege == Privilege::Rootless {
        Some("only root may destroy a snapshot; use --snapshot overlay")
    } else if is_image {
        Some("it is an image; use --snapshot overlay")
    } else {
        why_not(template).map_err(|errno| {
            ConfigError::sandbox(format!("cannot read {}: {errno}", template.path.display()))
        })?
    };
    why.map_or(Ok(()), |why| {
        let path = template.path.display();
        Err(ConfigError::sandbox(format!("--snapshot btrfs: cannot make snapshots of {path}: {why}")))
    })
}

fn why_not(template: &TrustedFile) -> Result<Option<&'static str>, nix::Error> {
    if fstatfs(&template.fd)?.filesystem_type() != BTRFS_SUPER_MAGIC {
        return Ok(Some("it is not on btrfs; put it there, or use --snapshot overlay"));
    }
    let own = identify(template.fd.as_fd(), c"")?;
    if !sandbox::child::subvolume::is_subvolume(&own) {
        return Ok(Some(
            "it is a directory, not a subvolume; make one with btrfs subvolume create, or use --snapshot overlay",
        ));
    }
    let above = openat2(template.fd.as_fd(), c"..", libc::O_PATH | libc::O_DIRECTORY, 0)?;
    let above = identify(above.as_fd(), c"")?;
    // If the template is a mount's root, its snapshots would be on another file system, or in the template.
    let has_place = above.mount == own.mount && !above.is_same_file(&own);
    Ok((!has_place)
        .then_some("it is a mount point, and snapshots go beside it; mount the subvolume that contains it at a directory above"))
}

/// A remark for the operator, at start.
pub(super) fn remark(rootfs: &rootfs::Plan) -> Option<String> {
    let shelf = shelf_path(&rootfs.template.path);
    rootfs
        .snapshot
        .is_subvolume()
        .then(|| format!("sandboxes write to the disk, below {}: nothing limits the size", shelf.display()))
}
