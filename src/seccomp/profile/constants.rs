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

/// A name that begins so and has this value on both machines.
pub(crate) fn name_of(value: u64, prefix: &str) -> Option<&'static str> {
    let named = |(name, known): &&(&str, u64)| *known == value && name.starts_with(prefix);
    COMMON.iter().find(named).map(|(name, _)| *name)
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
    ("F_GETLK", 5),
    ("F_SETLK", 6),
    ("F_SETLKW", 7),
    ("F_GETPIPE_SZ", 1032),
    ("F_GET_SEALS", 1034),
    ("F_OFD_GETLK", 36),
    ("F_OFD_SETLK", 37),
    ("F_OFD_SETLKW", 38),
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
    ("MS_ASYNC", 1),
    ("MS_INVALIDATE", 2),
    ("MS_SYNC", 4),
    // linux/close_range.h
    ("CLOSE_RANGE_UNSHARE", 2),
    ("CLOSE_RANGE_CLOEXEC", 4),
    // linux/membarrier.h
    ("MEMBARRIER_CMD_QUERY", 0),
    // linux/resource.h
    ("PRIO_PROCESS", 0),
    ("PRIO_PGRP", 1),
    ("PRIO_USER", 2),
    ("RLIMIT_CORE", 4),
    ("RLIMIT_NOFILE", 7),
    // linux/net.h, linux/socket.h
    ("AF_UNSPEC", 0),
    ("AF_UNIX", 1),
    ("AF_INET", 2),
    ("AF_INET6", 10),
    ("AF_NETLINK", 16),
    ("SOCK_STREAM", 1),
    ("SOCK_DGRAM", 2),
    ("SOCK_SEQPACKET", 5),
    ("SOCK_NONBLOCK", 0o4_000),
    ("SOCK_CLOEXEC", 0o2_000_000),
    // asm-generic/socket.h
    ("SOL_SOCKET", 1),
    ("SO_REUSEADDR", 2),
    ("SO_TYPE", 3),
    ("SO_ERROR", 4),
    ("SO_DONTROUTE", 5),
    ("SO_BROADCAST", 6),
    ("SO_SNDBUF", 7),
    ("SO_RCVBUF", 8),
    ("SO_KEEPALIVE", 9),
    ("SO_OOBINLINE", 10),
    ("SO_PRIORITY", 12),
    ("SO_LINGER", 13),
    ("SO_REUSEPORT", 15),
    ("SO_PASSCRED", 16),
    ("SO_PEERCRED", 17),
    ("SO_RCVLOWAT", 18),
    ("SO_SNDLOWAT", 19),
    ("SO_RCVTIMEO", 20),
    ("SO_SNDTIMEO", 21),
    ("SO_TIMESTAMP", 29),
    ("SO_ACCEPTCONN", 30),
    ("SO_PROTOCOL", 38),
    ("SO_DOMAIN", 39),
    ("SO_RCVTIMEO_NEW", 66),
    ("SO_SNDTIMEO_NEW", 67),
    // linux/in.h, linux/in6.h, linux/tcp.h
    ("IPPROTO_IP", 0),
    ("IPPROTO_TCP", 6),
    ("IPPROTO_IPV6", 41),
    ("IP_TOS", 1),
    ("IP_TTL", 2),
    ("IP_OPTIONS", 4),
    ("IPV6_V6ONLY", 26),
    ("IPV6_TCLASS", 67),
    ("TCP_NODELAY", 1),
    ("TCP_MAXSEG", 2),
    ("TCP_CORK", 3),
    ("TCP_KEEPIDLE", 4),
    ("TCP_KEEPINTVL", 5),
    ("TCP_KEEPCNT", 6),
    ("TCP_QUICKACK", 12),
    ("TCP_USER_TIMEOUT", 18),
    ("MSG_OOB", 1),
    ("MSG_PEEK", 2),
    ("MSG_DONTWAIT", 0x40),
    ("MSG_WAITALL", 0x100),
    ("MSG_ERRQUEUE", 0x2000),
    ("MSG_NOSIGNAL", 0x4000),
    ("MSG_MORE", 0x8000),
    ("MSG_FASTOPEN", 0x2000_0000),
    // linux/prctl.h
    ("PR_GET_PDEATHSIG", 2),
    ("PR_GET_DUMPABLE", 3),
    ("PR_SET_DUMPABLE", 4),
    ("PR_SET_NAME", 15),
    ("PR_GET_NAME", 16),
    ("PR_GET_SECCOMP", 21),
    ("PR_CAPBSET_READ", 23),
    ("PR_GET_TIMERSLACK", 30),
    ("PR_GET_CHILD_SUBREAPER", 37),
    ("PR_GET_NO_NEW_PRIVS", 39),
    ("PR_GET_THP_DISABLE", 42),
    ("PR_CAP_AMBIENT", 47),
    ("PR_SET_VMA", 0x5356_4d41),
    // linux/stat.h
    ("S_IFMT", 0o170_000),
    ("S_IFREG", 0o100_000),
    ("S_IFIFO", 0o010_000),
    ("STATX_MNT_ID", 0x1000),
    ("STATX_MNT_ID_UNIQUE", 0x4000),
    // asm-generic/ioctls.h
    ("TCGETS", 0x5401),
    ("TIOCGPGRP", 0x540f),
    ("TIOCOUTQ", 0x5411),
    ("TIOCGWINSZ", 0x5413),
    ("FIONREAD", 0x541b),
    ("FIONBIO", 0x5421),
    ("FIONCLEX", 0x5450),
    ("FIOCLEX", 0x5451),
    ("FIOASYNC", 0x5452),
    ("TCGETS2", 0x802c_542a),
];

/// asm-generic/errno.h.
const ERRNOS: &[(&str, u16)] = &[
    // The call succeeds without being made.
    ("0", 0),
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
    ("ETXTBSY", 26),
    ("EFBIG", 27),
    ("ENOSPC", 28),
    ("ESPIPE", 29),
    ("EROFS", 30),
    ("EMLINK", 31),
    ("EPIPE", 32),
    ("EDOM", 33),
    ("ERANGE", 34),
    ("EDEADLK", 35),
    ("ENAMETOOLONG", 36),
    ("ENOLCK", 37),
    ("ENOSYS", 38),
    ("ENOTEMPTY", 39),
    ("ELOOP", 40),
    ("ENODATA", 61),
    ("EPROTO", 71),
    ("EOVERFLOW", 75),
    ("EILSEQ", 84),
    ("EUSERS", 87),
    ("ENOTSOCK", 88),
    ("EDESTADDRREQ", 89),
    ("EMSGSIZE", 90),
    ("EPROTOTYPE", 91),
    ("ENOPROTOOPT", 92),
    ("EPROTONOSUPPORT", 93),
    ("ESOCKTNOSUPPORT", 94),
    ("EOPNOTSUPP", 95),
    ("EPFNOSUPPORT", 96),
    ("EAFNOSUPPORT", 97),
    ("EADDRINUSE", 98),
    ("EADDRNOTAVAIL", 99),
    ("ENETDOWN", 100),
    ("ENETUNREACH", 101),
    ("ECONNABORTED", 103),
    ("ECONNRESET", 104),
    ("ENOBUFS", 105),
    ("EISCONN", 106),
    ("ENOTCONN", 107),
    ("ETIMEDOUT", 110),
    ("ECONNREFUSED", 111),
    ("EHOSTUNREACH", 113),
    ("EALREADY", 114),
    ("EINPROGRESS", 115),
    ("ESTALE", 116),
    ("EDQUOT", 122),
    ("ECANCELED", 125),
];
