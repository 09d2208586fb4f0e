//! Image templates: an erofs or squashfs file system in a file, mounted read-only, once for each service.
//!
//! There are two detached mounts. A sandbox (of `run`) or the base (of `serve`) attaches one; the handler is
//! executed from the other, while the tree is noexec. They disappear with their last descriptor, and a loop
//! device with its last mount, so nothing is left even after SIGKILL.

use crate::plan::rootfs::{Image, ImageKind as Kind};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use sys::mount::{self as sysmount, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY};
use sys::{Errno, cwd, loop_device, read_start};

/// The superblock of erofs begins here.
const EROFS_AT: usize = 1024;
const HEAD: usize = EROFS_AT + 4;
const EROFS: [u8; 4] = 0xe0f5_e1e2_u32.to_le_bytes();

impl Kind {
    /// None: neither of them.
    pub fn of(file: BorrowedFd<'_>) -> Result<Option<Kind>, Errno> {
        let mut head = [0; HEAD];
        let count = read_start(file, &mut head)?;
        Ok(match &head {
            head if head.starts_with(b"hsqs") => Some(Kind::Squashfs),
            head if count == HEAD && head.ends_with(&EROFS) => Some(Kind::Erofs),
            _ => None,
        })
    }

    pub fn name(self) -> &'static CStr {
        match self {
            Kind::Erofs => c"erofs",
            Kind::Squashfs => c"squashfs",
        }
    }

    /// Whether newer kernels mount it without a block device.
    fn mounts_from_file(self) -> bool {
        match self {
            Kind::Erofs => true,
            Kind::Squashfs => false,
        }
    }
}

/// Mounts the image that `file`, opened for reading, is.
pub fn mount(file: BorrowedFd<'_>, kind: Kind) -> Result<Image, Errno> {
    let path = c_path(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    if kind.mounts_from_file() {
        // Linux 6.12 needs no block device for it; ENOTBLK is of those that do.
        match mount_both(kind, &path) {
            Err(Errno::ENOTBLK) => {}
            done => return done,
        }
    }
    let control = sysmount::openat2(cwd(), c"/dev/loop-control", libc::O_RDWR, 0)?;
    for _ in 0..ATTEMPTS {
        let path = c_path(format!("/dev/loop{}", loop_device::free(control.as_fd())?))?;
        let device = sysmount::openat2(cwd(), &path, libc::O_RDONLY, 0)?;
        match loop_device::configure(device.as_fd(), file) {
            // Closed once it is mounted: from then on the mounts keep it.
            Ok(()) => return mount_both(kind, &path),
            Err(Errno::EBUSY) => {}
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::EBUSY)
}

/// Mounts an image for commands that only describe it: without a loop device. True: the content is visible.
/// If it needs a loop device, an empty directory replaces it.
pub fn look(file: BorrowedFd<'_>, kind: Kind) -> Result<(Image, bool), Errno> {
    if kind.mounts_from_file() {
        let path = c_path(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        match mount_both(kind, &path) {
            Err(Errno::ENOTBLK) => {}
            done => return done.map(|image| (image, true)),
        }
    }
    let empty = || sysmount::fsmount(sysmount::fsopen(c"tmpfs")?.as_fd(), MOUNT_ATTR_RDONLY);
    Ok((Image { kind, template: empty()?, handler: empty()? }, false))
}

/// How many bytes the file must have, by the superblock. None: it says nothing that can be.
pub fn size(file: BorrowedFd<'_>, kind: Kind) -> Result<Option<u64>, Errno> {
    let mut head = [0; EROFS_AT + 40];
    let count = read_start(file, &mut head)?;
    let head = head.get(..count).unwrap_or_default();
    let number = |at: usize, bytes: usize| -> Option<u64> {
        let field = head.get(at..at + bytes)?;
        Some(field.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    };
    Ok(match kind {
        // Documentation/filesystems/squashfs.rst and fs/squashfs/squashfs_fs.h: bytes_used.
        Kind::Squashfs => number(40, 8),
        // fs/erofs/erofs_fs.h: blkszbits and blocks.
        Kind::Erofs => number(EROFS_AT + 12, 1).zip(number(EROFS_AT + 36, 4)).and_then(|(bits, blocks)| {
            u32::try_from(bits).ok().filter(|bits| (9..=16).contains(bits)).map(|bits| blocks << bits)
        }),
    })
}

/// A free device may be taken by somebody else before it is ours.
const ATTEMPTS: usize = 64;

fn mount_both(kind: Kind, source: &CStr) -> Result<Image, Errno> {
    Ok(Image { kind, template: mount_one(kind, source)?, handler: mount_one(kind, source)? })
}

fn mount_one(kind: Kind, source: &CStr) -> Result<OwnedFd, Errno> {
    let fs = sysmount::fsopen(kind.name())?;
    sysmount::fsconfig_string(fs.as_fd(), c"source", source)?;
    sysmount::fsconfig_flag(fs.as_fd(), c"ro")?;
    sysmount::fsmount(fs.as_fd(), MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
}

fn c_path(path: String) -> Result<CString, Errno> {
    CString::new(path).map_err(|_nul| Errno::EINVAL)
}
