//! Calls that change the tree, and what they leave behind.

use super::{HERE, a_file};
use crate::{Answer, call};
use std::ffi::CStr;

/// A name's address; the names live as long as the program.
fn at(name: &'static CStr) -> i64 {
    name.as_ptr() as i64
}

/// A file made for the call.
fn on_file(number: i64, args: [i64; 6]) -> Answer {
    a_file(c"/tmp/tree")?;
    call(number, args)
}

pub(super) fn call_of(name: &str) -> Option<Answer> {
    directories(name).or_else(|| links(name)).or_else(|| attributes(name)).or_else(|| nodes(name))
}

fn directories(name: &str) -> Option<Answer> {
    let made = |name: &'static CStr| call(libc::SYS_mkdirat, [HERE, at(name), 0o755, 0, 0, 0]);
    Some(match name {
        #[cfg(target_arch = "x86_64")]
        "mkdir" => call(libc::SYS_mkdir, [at(c"/tmp/mkdir"), 0o755, 0, 0, 0, 0]),
        "mkdirat" => made(c"/tmp/mkdirat"),
        #[cfg(target_arch = "x86_64")]
        "rmdir" => {
            made(c"/tmp/rmdir").and_then(|_| call(libc::SYS_rmdir, [at(c"/tmp/rmdir"), 0, 0, 0, 0, 0]))
        }
        #[cfg(target_arch = "x86_64")]
        "creat" => call(libc::SYS_creat, [at(c"/tmp/creat"), 0o644, 0, 0, 0, 0]),
        #[cfg(target_arch = "x86_64")]
        "unlink" => on_file(libc::SYS_unlink, [at(c"/tmp/tree"), 0, 0, 0, 0, 0]),
        "unlinkat" => on_file(libc::SYS_unlinkat, [HERE, at(c"/tmp/tree"), 0, 0, 0, 0]),
        #[cfg(target_arch = "x86_64")]
        "rename" => on_file(libc::SYS_rename, [at(c"/tmp/tree"), at(c"/tmp/renamed"), 0, 0, 0, 0]),
        "renameat" => on_file(libc::SYS_renameat, [HERE, at(c"/tmp/tree"), HERE, at(c"/tmp/renamed"), 0, 0]),
        "renameat2" => {
            on_file(libc::SYS_renameat2, [HERE, at(c"/tmp/tree"), HERE, at(c"/tmp/renamed"), 0, 0])
        }
        _ => return None,
    })
}

fn links(name: &str) -> Option<Answer> {
    let mut buffer = [0u8; 64];
    let room = buffer.as_mut_ptr() as i64;
    let link = |to: &'static CStr| call(libc::SYS_symlinkat, [at(c"target"), HERE, at(to), 0, 0, 0]);
    Some(match name {
        #[cfg(target_arch = "x86_64")]
        "link" => on_file(libc::SYS_link, [at(c"/tmp/tree"), at(c"/tmp/link"), 0, 0, 0, 0]),
        "linkat" => on_file(libc::SYS_linkat, [HERE, at(c"/tmp/tree"), HERE, at(c"/tmp/linkat"), 0, 0]),
        #[cfg(target_arch = "x86_64")]
        "symlink" => call(libc::SYS_symlink, [at(c"target"), at(c"/tmp/symlink"), 0, 0, 0, 0]),
        "symlinkat" => link(c"/tmp/symlinkat"),
        #[cfg(target_arch = "x86_64")]
        "readlink" => {
            link(c"/tmp/one").and_then(|_| call(libc::SYS_readlink, [at(c"/tmp/one"), room, 64, 0, 0, 0]))
        }
        // Profiles allow it that make no symlink: of a file, EINVAL is the kernel's own answer.
        "readlinkat" => match call(libc::SYS_readlinkat, [HERE, at(c"/bin/probe"), room, 64, 0, 0]) {
            Err(errno) if errno == libc::EINVAL => Ok(0),
            answer => answer,
        },
        _ => return None,
    })
}

fn attributes(name: &str) -> Option<Answer> {
    /// Linux 6.6; not every libc has it.
    const FCHMODAT2: i64 = 452;
    Some(match name {
        "truncate" => on_file(libc::SYS_truncate, [at(c"/tmp/tree"), 3, 0, 0, 0, 0]),
        #[cfg(target_arch = "x86_64")]
        "chmod" => on_file(libc::SYS_chmod, [at(c"/tmp/tree"), 0o600, 0, 0, 0, 0]),
        "fchmodat" => on_file(libc::SYS_fchmodat, [HERE, at(c"/tmp/tree"), 0o600, 0, 0, 0]),
        "fchmodat2" => {
            super::even(on_file(FCHMODAT2, [HERE, at(c"/tmp/tree"), 0o600, 0, 0, 0]), libc::ENOSYS)
        }
        #[cfg(target_arch = "x86_64")]
        "utime" => on_file(libc::SYS_utime, [at(c"/tmp/tree"), 0, 0, 0, 0, 0]),
        #[cfg(target_arch = "x86_64")]
        "utimes" => on_file(libc::SYS_utimes, [at(c"/tmp/tree"), 0, 0, 0, 0, 0]),
        #[cfg(target_arch = "x86_64")]
        "futimesat" => on_file(libc::SYS_futimesat, [HERE, at(c"/tmp/tree"), 0, 0, 0, 0]),
        "utimensat" => on_file(libc::SYS_utimensat, [HERE, at(c"/tmp/tree"), 0, 0, 0, 0]),
        #[cfg(target_arch = "x86_64")]
        "chown" => on_file(libc::SYS_chown, [at(c"/tmp/tree"), -1, -1, 0, 0, 0]),
        #[cfg(target_arch = "x86_64")]
        "lchown" => on_file(libc::SYS_lchown, [at(c"/tmp/tree"), -1, -1, 0, 0, 0]),
        "fchownat" => on_file(libc::SYS_fchownat, [HERE, at(c"/tmp/tree"), -1, -1, 0, 0]),
        _ => return None,
    })
}

fn nodes(name: &str) -> Option<Answer> {
    let fifo = i64::from(libc::S_IFIFO | 0o600);
    Some(match name {
        #[cfg(target_arch = "x86_64")]
        "mknod" => call(libc::SYS_mknod, [at(c"/tmp/mknod"), fifo, 0, 0, 0, 0]),
        "mknodat" => call(libc::SYS_mknodat, [HERE, at(c"/tmp/mknodat"), fifo, 0, 0, 0]),
        "umask" => call(libc::SYS_umask, [0o022, 0, 0, 0, 0, 0]),
        _ => return None,
    })
}
