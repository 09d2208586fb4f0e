//! Names that conditions and actions may use in the place of numbers, from Linux's own headers.
//!
//! build.rs compiles this file too. Values are those of both machines unless a second one stands beside them.

use sys::names::Machine;

/// The value of a name.
pub(super) fn value(machine: Machine, name: &str) -> Option<u64> {
    let differing =
        DIFFERING.iter().find(|(known, ..)| *known == name).map(|(_, x86_64, aarch64)| match machine {
            Machine::X86_64 => *x86_64,
            Machine::Aarch64 => *aarch64,
        });
    differing.or_else(|| COMMON.iter().find(|(known, _)| *known == name).map(|(_, value)| *value))
}

/// The number of an errno.
pub fn errno(name: &str) -> Option<u16> {
    ERRNOS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

/// The name of an errno.
pub fn errno_name(number: u16) -> Option<&'static str> {
    ERRNOS.iter().find(|(_, known)| *known == number).map(|(name, _)| *name)
}

/// asm/fcntl.h: where the machines differ.
const DIFFERING: &[(&str, u64, u64)] = &[("O_DIRECT", 0o40_000, 0o200_000)];

const COMMON: &[(&str, u64)] = &[
    // asm/prctl.h, x86-64 only
    ("ARCH_SET_FS", 0x1002),
    // linux/sched.h
    ("CLONE_VM", 0x100),
    ("CLONE_VFORK", 0x4000),
    ("CLONE_THREAD", 0x1_0000),
    ("CLONE_NEWTIME", 0x80),
    ("CLONE_NEWNS", 0x2_0000),
    ("CLONE_NEWCGROUP", 0x200_0000),
    ("CLONE_NEWUTS", 0x400_0000),
    ("CLONE_NEWIPC", 0x800_0000),
    ("CLONE_NEWUSER", 0x1000_0000),
    ("CLONE_NEWPID", 0x2000_0000),
    ("CLONE_NEWNET", 0x4000_0000),
    // linux/fcntl.h
    ("F_DUPFD", 0),
    ("F_GETFD", 1),
    ("F_SETFD", 2),
    ("F_GETFL", 3),
    ("F_SETFL", 4),
    ("F_DUPFD_CLOEXEC", 1030),
    ("F_GETPIPE_SZ", 1032),
    ("O_ASYNC", 0o20_000),
    ("O_NOATIME", 0o1_000_000),
    ("O_CREAT", 0o100),
    ("__O_TMPFILE", 0o20_000_000),
    // linux/futex.h
    ("FUTEX_WAIT", 0),
    ("FUTEX_WAKE", 1),
    ("FUTEX_WAIT_BITSET", 9),
    ("FUTEX_PRIVATE_FLAG", 128),
    ("FUTEX_CLOCK_REALTIME", 256),
    // asm/mman.h
    ("PROT_READ", 1),
    ("PROT_WRITE", 2),
    ("PROT_EXEC", 4),
    ("MAP_SHARED", 1),
    ("MAP_PRIVATE", 2),
    ("MAP_ANONYMOUS", 0x20),
    ("MAP_GROWSDOWN", 0x100),
    ("MAP_HUGETLB", 0x4_0000),
    ("MADV_DOFORK", 11),
    ("MADV_HUGEPAGE", 14),
    ("MADV_KEEPONFORK", 19),
    // linux/socket.h
    ("MSG_OOB", 1),
    ("MSG_PEEK", 2),
    ("MSG_FASTOPEN", 0x2000_0000),
    // linux/prctl.h
    ("PR_SET_DUMPABLE", 4),
    ("PR_SET_NAME", 15),
    ("PR_GET_NAME", 16),
    // linux/stat.h
    ("S_IFMT", 0o170_000),
    ("S_IFREG", 0o100_000),
    ("S_IFIFO", 0o010_000),
    ("STATX_MNT_ID", 0x1000),
    ("STATX_MNT_ID_UNIQUE", 0x4000),
    // asm/termbits.h
    ("TCGETS", 0x5401),
    ("TIOCGWINSZ", 0x5413),
    ("FIONREAD", 0x541b),
];

/// asm-generic/errno.h.
const ERRNOS: &[(&str, u16)] = &[
    ("EPERM", 1),
    ("ENOENT", 2),
    ("ESRCH", 3),
    ("EINTR", 4),
    ("EIO", 5),
    ("ENXIO", 6),
    ("E2BIG", 7),
    ("ENOEXEC", 8),
    ("EBADF", 9),
    ("ECHILD", 10),
    ("EAGAIN", 11),
    ("ENOMEM", 12),
    ("EACCES", 13),
    ("EFAULT", 14),
    ("EBUSY", 16),
    ("EEXIST", 17),
    ("EXDEV", 18),
    ("ENODEV", 19),
    ("ENOTDIR", 20),
    ("EISDIR", 21),
    ("EINVAL", 22),
    ("ENFILE", 23),
    ("EMFILE", 24),
    ("ENOTTY", 25),
    ("EFBIG", 27),
    ("ENOSPC", 28),
    ("ESPIPE", 29),
    ("EROFS", 30),
    ("EMLINK", 31),
    ("EPIPE", 32),
    ("ERANGE", 34),
    ("EDEADLK", 35),
    ("ENAMETOOLONG", 36),
    ("ENOLCK", 37),
    ("ENOSYS", 38),
    ("ELOOP", 40),
    ("ENODATA", 61),
    ("EOVERFLOW", 75),
    ("ENOTSOCK", 88),
    ("EPROTONOSUPPORT", 93),
    ("EOPNOTSUPP", 95),
    ("EAFNOSUPPORT", 97),
    ("ENETUNREACH", 101),
    ("ECONNREFUSED", 111),
];
