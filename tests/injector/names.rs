//! System calls by name, and what of their arguments can be shown.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

/// `name number` a line.
static TABLE: LazyLock<HashMap<u64, &str>> = LazyLock::new(|| {
    let text = include_str!("../../src/sys/syscalls-x86_64.txt");
    let entry = |line: &'static str| line.split_once(' ').and_then(|(name, n)| Some((n.parse().ok()?, name)));
    text.lines().filter_map(entry).collect()
});

/// The call's name; `#0xNUMBER` for what no kernel has.
pub fn name(number: u64) -> Cow<'static, str> {
    TABLE.get(&number).map_or_else(|| format!("#{number:#x}").into(), |name| Cow::Borrowed(*name))
}

/// How an argument is shown: a number, a string, or what a descriptor is open on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    Number,
    Text,
    File,
}

use Shown::{File, Number, Text};

/// The first arguments of a call, as far as they tell one use of it from another. Numbers of descriptors do
/// not.
pub fn shown(name: &str) -> &'static [(usize, Shown)] {
    match name {
        "open" | "stat" | "lstat" | "readlink" | "chdir" => &[(0, Text)],
        "fsopen" | "mkdir" | "rmdir" | "unlink" | "access" => &[(0, Text)],
        "umount2" => &[(0, Text), (1, Number)],
        "pivot_root" => &[(0, Text), (1, Text)],
        "openat" | "openat2" | "statx" | "newfstatat" | "readlinkat" | "mkdirat" => &[(1, Text)],
        "open_tree" | "mount_setattr" => &[(1, Text), (2, Number)],
        "fchownat" | "fchmodat" | "faccessat" | "faccessat2" | "unlinkat" => &[(1, Text)],
        "move_mount" => &[(1, Text), (3, Text)],
        "fsconfig" => &[(1, Number), (2, Text), (3, Text)],
        "prctl" | "keyctl" | "seccomp" | "arch_prctl" => &[(0, Number), (1, Number)],
        "fcntl" => &[(0, File), (1, Number), (2, Number)],
        "ioctl" => &[(0, File), (1, Number)],
        "close_range" => &[(0, Number), (1, Number)],
        "dup2" | "dup3" => &[(1, Number)],
        "setsockopt" | "getsockopt" => &[(0, File), (1, Number), (2, Number)],
        "prlimit64" => &[(1, Number)],
        "epoll_ctl" => &[(1, Number), (2, File)],
        "unshare" | "personality" | "socket" | "rt_sigaction" | "rt_sigprocmask" => &[(0, Number)],
        "read" | "write" | "fstat" | "fstatfs" | "getsockname" | "getpeername" => &[(0, File)],
        "sendmsg" | "recvmsg" | "sendto" | "recvfrom" | "shutdown" | "listen" | "accept4" => &[(0, File)],
        _ => &[],
    }
}
