//! Attempts to change the tree, each by one call with its own Landlock right.

use crate::{Answer, call, see::path};

const HERE: i64 = libc::AT_FDCWD as i64;

fn at_path(number: i64, file: &str, rest: [i64; 3]) -> Answer {
    let name = path(file);
    call(number, [HERE, name.as_ptr() as i64, rest[0], rest[1], rest[2], 0])
}

fn at_two(number: i64, file: &str, other: &str) -> Answer {
    let (name, other) = (path(file), path(other));
    call(number, [HERE, name.as_ptr() as i64, HERE, other.as_ptr() as i64, 0, 0])
}

/// With only the right to read, it would truncate where nothing governs that.
fn open_truncating(file: &str) -> Answer {
    at_path(libc::SYS_openat, file, [(libc::O_RDONLY | libc::O_TRUNC).into(), 0, 0])
}

fn truncate(file: &str) -> Answer {
    let name = path(file);
    call(libc::SYS_truncate, [name.as_ptr() as i64, 1, 0, 0, 0, 0])
}

fn node(file: &str, kind: u32) -> Answer {
    at_path(libc::SYS_mknodat, file, [(kind | 0o600).into(), 0, 0])
}

/// Of a device: which request it is makes no difference.
fn ask_device(file: &str) -> Answer {
    let mut room = [0u8; 256];
    let fd = at_path(libc::SYS_openat, file, [libc::O_RDONLY.into(), 0, 0])?;
    call(libc::SYS_ioctl, [fd, libc::TCGETS as i64, room.as_mut_ptr() as i64, 0, 0, 0])
}

pub fn attempt(name: &str, file: &str) -> Option<Answer> {
    Some(match name {
        "truncate" => truncate(file),
        "open_truncating" => open_truncating(file),
        "open_writing" => at_path(libc::SYS_openat, file, [libc::O_WRONLY.into(), 0, 0]),
        "create" => at_path(libc::SYS_openat, file, [(libc::O_RDONLY | libc::O_CREAT).into(), 0o600, 0]),
        "mkdir" => at_path(libc::SYS_mkdirat, file, [0o700, 0, 0]),
        "rmdir" => at_path(libc::SYS_unlinkat, file, [libc::AT_REMOVEDIR.into(), 0, 0]),
        "unlink" => at_path(libc::SYS_unlinkat, file, [0; 3]),
        "rename" => at_two(libc::SYS_renameat, file, &format!("{file}-renamed")),
        // Into another directory, which is a right of its own.
        "move" => at_two(libc::SYS_renameat, file, "/etc/moved"),
        "link" => at_two(libc::SYS_linkat, file, &format!("{file}-linked")),
        "symlink" => {
            let (target, name) = (path("target"), path(file));
            call(libc::SYS_symlinkat, [target.as_ptr() as i64, HERE, name.as_ptr() as i64, 0, 0, 0])
        }
        "mkfifo" => node(file, libc::S_IFIFO),
        "mksock" => node(file, libc::S_IFSOCK),
        "mkchar" => node(file, libc::S_IFCHR),
        "mkblock" => node(file, libc::S_IFBLK),
        "list" => at_path(libc::SYS_openat, file, [(libc::O_RDONLY | libc::O_DIRECTORY).into(), 0, 0]),
        "ask_device" => ask_device(file),
        _ => return None,
    })
}
