//! Mounts and paths: the mount API of Linux 5.2 and later, openat2(2), pivot_root(2).

use super::{Errno, Result, check, check_fd, cwd};
use std::ffi::CStr;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;

// uapi/linux/mount.h; libc does not carry all of them for every target.
pub const MOUNT_ATTR_RDONLY: u64 = 0x0000_0001;
pub const MOUNT_ATTR_NOSUID: u64 = 0x0000_0002;
pub const MOUNT_ATTR_NODEV: u64 = 0x0000_0004;
pub const MOUNT_ATTR_NOEXEC: u64 = 0x0000_0008;
const MOUNT_ATTR__ATIME: u64 = 0x0000_0070;
pub const MOUNT_ATTR_NOATIME: u64 = 0x0000_0010;
const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;

const OPEN_TREE_CLONE: u32 = 1;
const OPEN_TREE_CLOEXEC: u32 = 0o2_000_000;
const AT_EMPTY_PATH: u32 = 0x1000;
const AT_RECURSIVE: u32 = 0x8000;
const MOVE_MOUNT_F_EMPTY_PATH: u32 = 0x04;
const MOVE_MOUNT_T_EMPTY_PATH: u32 = 0x40;
const FSOPEN_CLOEXEC: u32 = 1;
const FSMOUNT_CLOEXEC: u32 = 1;
const FSCONFIG_SET_FLAG: u32 = 0;
const FSCONFIG_SET_STRING: u32 = 1;
const FSCONFIG_CMD_CREATE: u32 = 6;

/// `struct open_how` of openat2(2).
#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

/// `struct mount_attr` of mount_setattr(2).
#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Every `..` and absolute symlink stays below the directory, as if it were `/`.
pub const RESOLVE_IN_ROOT: u64 = 0x10;
/// No `/proc/PID/fd/N` and the like.
pub const RESOLVE_NO_MAGICLINKS: u64 = 0x02;

/// Only by what the kernel has cached (Linux 5.12): EAGAIN where it would have to ask a file system.
pub const RESOLVE_CACHED: u64 = 0x20;

/// openat2(2), Linux 5.6. `flags` gets O_CLOEXEC.
///
/// Where a path has `..`, by a symlink perhaps, and anything on the host is mounted or renamed at that
/// moment, the kernel cannot prove that the path stays below: EAGAIN, to be tried again.
pub fn openat2(dir: BorrowedFd<'_>, path: &CStr, flags: i32, resolve: u64) -> Result<OwnedFd> {
    let how = OpenHow { flags: u64::from((flags | libc::O_CLOEXEC).unsigned_abs()), mode: 0, resolve };
    let mut tries = OPEN_TRIES;
    loop {
        // SAFETY: `path` is a C string, `how` a live struct of exactly the size given.
        let opened = check_fd(unsafe {
            libc::syscall(
                libc::SYS_openat2,
                dir.as_raw_fd(),
                path.as_ptr(),
                &raw const how,
                size_of::<OpenHow>(),
            )
        });
        tries -= 1;
        let races = resolve & RESOLVE_CACHED == 0 && opened.as_ref().err() == Some(&Errno::EAGAIN);
        if !races || tries == 0 {
            return opened;
        }
    }
}

/// Others' mounts come and go in microseconds.
const OPEN_TRIES: u32 = 1000;

/// openat(2) that creates: used below directories that only we know. `mode` is used as it is (umask cleared
/// by the caller).
pub fn create(dir: BorrowedFd<'_>, name: &CStr, mode: u32) -> Result<OwnedFd> {
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC;
    // SAFETY: `name` is a C string; the rest are ints.
    check_fd(unsafe { libc::syscall(libc::SYS_openat, dir.as_raw_fd(), name.as_ptr(), flags, mode) })
}

/// A detached copy of the mount at `path` (open_tree(2), Linux 5.2); with `recursive`, of the mounts below it
/// as well.
pub fn clone_tree(dir: BorrowedFd<'_>, path: &CStr, recursive: bool) -> Result<OwnedFd> {
    let flags =
        OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 };
    // SAFETY: `path` is a C string; the rest are ints.
    check_fd(unsafe { libc::syscall(libc::SYS_open_tree, dir.as_raw_fd(), path.as_ptr(), flags) })
}

/// Sets attributes on the mount (or detached tree) `tree` is the root of (mount_setattr(2), Linux 5.12).
/// [`MOUNT_ATTR_NOATIME`] replaces what the mount does about atime now. The tree becomes private as well: a
/// clone is a peer of its source, and what is mounted on a peer appears on the source (mount_namespaces(7)).
pub fn set_attributes(tree: BorrowedFd<'_>, set: u64, recursive: bool) -> Result<()> {
    let attr_clr = if set & MOUNT_ATTR_NOATIME == 0 { 0 } else { MOUNT_ATTR__ATIME };
    let attr = MountAttr { attr_set: set, attr_clr, propagation: libc::MS_PRIVATE, userns_fd: 0 };
    mount_setattr(tree, c"", &attr, AT_EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 })
}

/// Maps owners on a detached tree by the id maps of a user namespace (idmapped mount, Linux 5.12).
pub fn set_idmap(tree: BorrowedFd<'_>, userns: BorrowedFd<'_>) -> Result<()> {
    let userns_fd = u64::from(userns.as_raw_fd().unsigned_abs());
    let attr = MountAttr { attr_set: MOUNT_ATTR_IDMAP, attr_clr: 0, propagation: 0, userns_fd };
    mount_setattr(tree, c"", &attr, AT_EMPTY_PATH)
}

/// Makes every mount below `/` private, so that nothing done here is seen elsewhere and nothing done
/// elsewhere here.
pub fn make_all_private() -> Result<()> {
    let attr = MountAttr { attr_set: 0, attr_clr: 0, propagation: libc::MS_PRIVATE, userns_fd: 0 };
    mount_setattr(cwd(), c"/", &attr, AT_RECURSIVE)
}

fn mount_setattr(dir: BorrowedFd<'_>, path: &CStr, attr: &MountAttr, flags: u32) -> Result<()> {
    // SAFETY: `path` is a C string, `attr` a live struct of exactly the size given.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            dir.as_raw_fd(),
            path.as_ptr(),
            flags,
            ptr::from_ref(attr),
            size_of::<MountAttr>(),
        )
    })
    .map(drop)
}

/// Attaches the detached tree at the directory or file `target` is (move_mount(2), Linux 5.2).
pub fn attach(tree: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<()> {
    move_mount(tree, target, c"", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)
}

/// Attaches the detached tree at `path`, from the directory `dir`.
pub fn attach_at(tree: BorrowedFd<'_>, dir: BorrowedFd<'_>, path: &CStr) -> Result<()> {
    move_mount(tree, dir, path, MOVE_MOUNT_F_EMPTY_PATH)
}

fn move_mount(tree: BorrowedFd<'_>, dir: BorrowedFd<'_>, path: &CStr, flags: u32) -> Result<()> {
    let empty = c"".as_ptr();
    // SAFETY: both paths are C strings; the rest are ints.
    check(unsafe {
        libc::syscall(libc::SYS_move_mount, tree.as_raw_fd(), empty, dir.as_raw_fd(), path.as_ptr(), flags)
    })
    .map(drop)
}

/// A new file system to be configured (fsopen(2), Linux 5.2).
pub fn fsopen(kind: &CStr) -> Result<OwnedFd> {
    // SAFETY: `kind` is a C string.
    check_fd(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) })
}

/// fsconfig(2) with a string: at most 255 bytes, the kernel says EINVAL to more.
pub fn fsconfig_string(fs: BorrowedFd<'_>, key: &CStr, value: &CStr) -> Result<()> {
    fsconfig(fs, FSCONFIG_SET_STRING, Some(key), Some(value))
}

/// fsconfig(2) with a bare word.
pub fn fsconfig_flag(fs: BorrowedFd<'_>, key: &CStr) -> Result<()> {
    fsconfig(fs, FSCONFIG_SET_FLAG, Some(key), None)
}

fn fsconfig(fs: BorrowedFd<'_>, command: u32, key: Option<&CStr>, value: Option<&CStr>) -> Result<()> {
    let key = key.map_or(ptr::null(), CStr::as_ptr);
    let value = value.map_or(ptr::null(), CStr::as_ptr);
    // SAFETY: key and value are null where the command takes none, C strings otherwise.
    check(unsafe { libc::syscall(libc::SYS_fsconfig, fs.as_raw_fd(), command, key, value, 0) }).map(drop)
}

/// Makes the configured file system and a detached mount of it.
pub fn fsmount(fs: BorrowedFd<'_>, attributes: u64) -> Result<OwnedFd> {
    fsconfig(fs, FSCONFIG_CMD_CREATE, None, None)?;
    // SAFETY: three ints.
    check_fd(unsafe { libc::syscall(libc::SYS_fsmount, fs.as_raw_fd(), FSMOUNT_CLOEXEC, attributes) })
}

/// `pivot_root(".", ".")`: the cwd becomes `/`, the old root is stacked upon it (pivot_root(2), NOTES).
pub fn pivot_to_cwd() -> Result<()> {
    let here = c".".as_ptr();
    // SAFETY: two C strings.
    check(unsafe { libc::syscall(libc::SYS_pivot_root, here, here) }).map(drop)
}

/// Moves an attached mount, with all below it, upon `/`: every path that comes to that finds it.
pub fn cover_root(mount: BorrowedFd<'_>) -> Result<()> {
    attach_at(mount, cwd(), c"/")
}

/// Makes the cwd the root of this process (chroot(2)).
pub fn root_to_cwd() -> Result<()> {
    // SAFETY: a C string.
    check(unsafe { libc::chroot(c".".as_ptr()) }.into()).map(drop)
}

/// Whether neither `/` nor what is mounted at `path` passes mounts on to other namespaces. Asked of
/// pivot_root(2) by what it never does: to put `/` in its own place is EBUSY, but where one of them is
/// shared, EINVAL comes before that.
pub fn is_private(path: &CStr) -> Result<bool> {
    let root = c"/".as_ptr();
    // SAFETY: two C strings.
    match check(unsafe { libc::syscall(libc::SYS_pivot_root, root, path.as_ptr()) }) {
        Err(Errno::EBUSY) => Ok(true),
        Err(Errno::EINVAL) | Ok(_) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Detaches the mount stacked on the cwd, with all below it.
pub fn detach_cwd() -> Result<()> {
    // SAFETY: a C string and flags.
    check(unsafe { libc::umount2(c".".as_ptr(), libc::MNT_DETACH) }.into()).map(drop)
}

/// Detaches the mount at `path` with all below it (umount2(2)); a symlink there is not followed.
pub fn detach(path: &CStr) -> Result<()> {
    // SAFETY: a C string and flags.
    check(unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH | libc::UMOUNT_NOFOLLOW) }.into()).map(drop)
}

/// Removes a file or an empty directory (remove(3)).
pub fn remove(path: &CStr) -> Result<()> {
    // SAFETY: a C string.
    check(unsafe { libc::remove(path.as_ptr()) }.into()).map(drop)
}

/// mkdirat(2).
pub fn mkdirat(dir: BorrowedFd<'_>, name: &CStr, mode: u32) -> Result<()> {
    // SAFETY: a C string and ints.
    check(unsafe { libc::mkdirat(dir.as_raw_fd(), name.as_ptr(), mode) }.into()).map(drop)
}

/// symlinkat(2).
pub fn symlinkat(target: &CStr, dir: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    // SAFETY: two C strings and an int.
    check(unsafe { libc::symlinkat(target.as_ptr(), dir.as_raw_fd(), name.as_ptr()) }.into()).map(drop)
}

/// Removes an empty directory (unlinkat(2)).
pub fn rmdirat(dir: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    // SAFETY: a C string and ints.
    check(unsafe { libc::unlinkat(dir.as_raw_fd(), name.as_ptr(), libc::AT_REMOVEDIR) }.into()).map(drop)
}

/// mknodat(2) of a character device, for nobody yet. Needs CAP_MKNOD.
pub fn make_character_device(dir: BorrowedFd<'_>, name: &CStr, device: libc::dev_t) -> Result<()> {
    // SAFETY: a C string and ints.
    check(unsafe { libc::mknodat(dir.as_raw_fd(), name.as_ptr(), libc::S_IFCHR, device) }.into()).map(drop)
}

/// Whether a file has an extended attribute (lgetxattr(2)).
pub fn has_attribute(path: &CStr, name: &CStr) -> bool {
    // SAFETY: two C strings; with size 0 nothing is written.
    let size = unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), ptr::null_mut(), 0) };
    size >= 0
}

/// fchownat(2), links not followed.
pub fn chown(dir: BorrowedFd<'_>, name: &CStr, uid: u32, gid: u32) -> Result<()> {
    // SAFETY: a C string and ints.
    check(
        unsafe { libc::fchownat(dir.as_raw_fd(), name.as_ptr(), uid, gid, libc::AT_SYMLINK_NOFOLLOW) }.into(),
    )
    .map(drop)
}

/// fchmodat(2).
pub fn chmod(dir: BorrowedFd<'_>, name: &CStr, mode: u32) -> Result<()> {
    // SAFETY: a C string and ints.
    check(unsafe { libc::fchmodat(dir.as_raw_fd(), name.as_ptr(), mode, 0) }.into()).map(drop)
}

/// fchdir(2).
pub fn fchdir(dir: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: an int.
    check(unsafe { libc::fchdir(dir.as_raw_fd()) }.into()).map(drop)
}

/// chdir(2).
pub fn chdir(path: &CStr) -> Result<()> {
    // SAFETY: a C string.
    check(unsafe { libc::chdir(path.as_ptr()) }.into()).map(drop)
}

/// The identity and kind of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    pub dev: (u32, u32),
    pub ino: u64,
    pub mode: u16,
    /// The mount that it was reached through: unlike dev and ino, different for each mount (`STATX_MNT_ID`,
    /// Linux 5.8).
    pub mount: u64,
}

impl Identity {
    /// Whether both are one file, wherever it is mounted.
    pub fn is_same_file(&self, other: &Identity) -> bool {
        self.dev == other.dev && self.ino == other.ino
    }

    pub fn kind(&self) -> u32 {
        u32::from(self.mode) & libc::S_IFMT
    }
}

/// statx(2), links not followed; `path` may be empty.
pub fn identify(dir: BorrowedFd<'_>, path: &CStr) -> Result<Identity> {
    let stat = statx(dir, path)?;
    Ok(Identity {
        dev: (stat.stx_dev_major, stat.stx_dev_minor),
        ino: stat.stx_ino,
        mode: stat.stx_mode,
        mount: stat.stx_mnt_id,
    })
}

/// The uid and gid that a file has, through the mount it was reached by.
pub fn owner(file: BorrowedFd<'_>) -> Result<(u32, u32)> {
    let stat = statx(file, c"")?;
    Ok((stat.stx_uid, stat.stx_gid))
}

/// Identity of a file and state of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    pub dev: (u32, u32),
    pub ino: u64,
    /// Last modification, in seconds and nanoseconds.
    pub modified: (i64, u32),
    pub size: u64,
}

/// The version of an open file, from what the kernel has at hand: a file system that does not answer is
/// not asked.
pub fn version(file: BorrowedFd<'_>) -> Result<Version> {
    let stat = statx_with(file, c"", libc::AT_STATX_DONT_SYNC)?;
    Ok(Version {
        dev: (stat.stx_dev_major, stat.stx_dev_minor),
        ino: stat.stx_ino,
        modified: (stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec),
        size: stat.stx_size,
    })
}

fn statx(dir: BorrowedFd<'_>, path: &CStr) -> Result<libc::statx> {
    statx_with(dir, path, 0)
}

fn statx_with(dir: BorrowedFd<'_>, path: &CStr, flags: i32) -> Result<libc::statx> {
    let mut buffer = mem::MaybeUninit::<libc::statx>::zeroed();
    let flags = flags | libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW;
    let mask = libc::STATX_BASIC_STATS | STATX_MNT_ID;
    // SAFETY: `path` is a C string, `buffer` has room for one struct statx.
    check(unsafe {
        libc::syscall(libc::SYS_statx, dir.as_raw_fd(), path.as_ptr(), flags, mask, buffer.as_mut_ptr())
    })?;
    // SAFETY: the buffer was zeroed, every field is an integer, and the kernel has filled it.
    Ok(unsafe { buffer.assume_init() })
}

/// The flags of the mount that `file` was reached through (`ST_*` of statvfs(3), by fstatfs(2)).
pub fn flags(file: BorrowedFd<'_>) -> Result<u64> {
    Ok(statvfs(file)?.f_flag)
}

/// Bytes and inodes that the file system has in all.
pub fn size(file: BorrowedFd<'_>) -> Result<(u64, u64)> {
    let stat = statvfs(file)?;
    Ok((stat.f_blocks * stat.f_frsize, stat.f_files))
}

fn statvfs(file: BorrowedFd<'_>) -> Result<libc::statvfs> {
    let mut buffer = mem::MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: `buffer` has room for one struct statvfs.
    check(unsafe { libc::fstatvfs(file.as_raw_fd(), buffer.as_mut_ptr()) }.into())?;
    // SAFETY: zeroed, all fields are integers, and filled by libc.
    Ok(unsafe { buffer.assume_init() })
}

const STATX_MNT_ID: u32 = 0x1000;
