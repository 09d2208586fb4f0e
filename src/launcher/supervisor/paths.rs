//! Paths that a handler opens, read from its memory while it waits in the call: a note for `dayfly learn`, and nothing that
//! decides. Another thread can change the text meanwhile.

use crate::log;
use seccomp::learning::{Opening, OpeningFlags};
use seccomp::lessons::Access;
use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use sys::Errno;
use sys::mount::{RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, openat2};

/// The kernel's limit (PATH_MAX).
const PATH_MAX: usize = 4096;
const MAKES_OR_WRITES: i32 = libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC;

/// The path that a waiting thread wants to open, as it stands in the sandbox, and what for. None where it cannot be told.
pub(super) fn opened(thread: u32, opening: Opening, args: &[u64; 6]) -> Option<(Access, String)> {
    let argument = |index: usize| args.get(index).copied();
    let text = text(thread, argument(opening.path)?)?;
    #[allow(clippy::cast_possible_truncation, reason = "the kernel takes ints")]
    let int = |index: usize| argument(index).map(|value| value as i32);
    let path = match opening.directory.and_then(int) {
        _ if text.is_absolute() => text,
        None | Some(libc::AT_FDCWD) => fs::read_link(format!("/proc/{thread}/cwd")).ok()?.join(text),
        Some(number) => fs::read_link(format!("/proc/{thread}/fd/{number}")).ok()?.join(text),
    };
    let flags = match opening.flags {
        OpeningFlags::Argument(index) => int(index)?,
        OpeningFlags::Creates => libc::O_CREAT,
        OpeningFlags::InMemory => 0,
    };
    let access = match flags {
        flags if flags & MAKES_OR_WRITES != 0 => Access::Write,
        _ if is_missing(thread, &path) => Access::Missing,
        _ => Access::Read,
    };
    Some((access, log::escape(path.as_os_str().as_bytes())))
}

/// The text at an address of the thread's memory.
fn text(thread: u32, address: u64) -> Option<PathBuf> {
    let memory = File::open(format!("/proc/{thread}/mem")).ok()?;
    let mut bytes = vec![0; PATH_MAX];
    // Less than asked for where the memory ends.
    let count = memory.read_at(&mut bytes, address).ok()?;
    let end = bytes.iter().take(count).position(|byte| *byte == 0)?;
    bytes.truncate(end);
    (!bytes.is_empty()).then(|| std::ffi::OsString::from_vec(bytes).into())
}

fn is_missing(thread: u32, path: &Path) -> bool {
    let flags = libc::O_PATH | libc::O_DIRECTORY;
    let root = File::options().read(true).custom_flags(flags).open(format!("/proc/{thread}/root"));
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    let looked = |root: File| {
        openat2(root.as_fd(), &path, libc::O_PATH, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS).err()
    };
    root.ok().and_then(looked) == Some(Errno::ENOENT)
}
