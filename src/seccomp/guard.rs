//! The guard filter: fixed, not configurable, under every profile.
//!
//! The connection belongs to the *host's* network namespace. A handler that holds it could disconnect it
//! (`connect(fd, AF_UNSPEC)`) and connect it to any address the host reaches, listen and accept on it, send
//! with MSG_FASTOPEN, or list the host's interfaces by ioctl. Landlock sees only some of that: it has no hook
//! for listen(2) and always allows AF_UNSPEC. So the guard denies everything that opens this hole, and
//! everything that makes or enters a namespace, mounts, traces or loads programs into the kernel, whatever a
//! profile says.
//!
//! The guard shares no source with the profiles and their compiler: it has its own call numbers and its own
//! few constructors of instructions, and the program is a constant of this file. It is linear: each call is
//! compared in turn. `guard_check.rs` compares the program with the kernel's own tables.

use super::abi::{Files, GUARD_CANARY, PROFILE_CANARY};
use super::guard_emit::{
    ARCH, Instruction, NUMBER, give, high_word, if_any_bit, if_at_least, if_equal, if_equal_skip, load,
    low_word, skip, unless_any_bit, unless_equal, unless_equal_skip,
};
use libc::{SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_USER_NOTIF};

/// A system call, with its number on each machine (asm/unistd_64.h, asm-generic/unistd.h).
#[derive(Debug, Clone, Copy)]
struct Call {
    name: &'static str,
    x86_64: u32,
    aarch64: u32,
}

const fn call(name: &'static str, x86_64: u32, aarch64: u32) -> Call {
    Call { name, x86_64, aarch64 }
}

/// A machine, as far as the guard differs.
#[derive(Debug, Clone, Copy)]
pub enum Arch {
    X86_64,
    Aarch64,
}

#[cfg(target_arch = "x86_64")]
const NATIVE: Arch = Arch::X86_64;
#[cfg(target_arch = "aarch64")]
const NATIVE: Arch = Arch::Aarch64;

impl Arch {
    /// `AUDIT_ARCH_X86_64` and `AUDIT_ARCH_AARCH64` (linux/audit.h).
    const fn audit(self) -> u32 {
        match self {
            Arch::X86_64 => 0xc000_003e,
            Arch::Aarch64 => 0xc000_00b7,
        }
    }

    const fn number(self, call: Call) -> u32 {
        match self {
            Arch::X86_64 => call.x86_64,
            Arch::Aarch64 => call.aarch64,
        }
    }
}

/// A number that no call has, for old calls that aarch64 never had.
const NO_CALL: u32 = u32::MAX;

/// Calls that are denied whatever their arguments, with the reason.
struct Group {
    why: &'static str,
    calls: &'static [Call],
}

const DENIED: &[Group] = &[
    Group {
        why: "new sockets, and everything that changes what the connection is",
        calls: &[
            call("socket", 41, 198),
            call("connect", 42, 203),
            call("bind", 49, 200),
            call("listen", 50, 201),
            call("accept", 43, 202),
            call("accept4", 288, 242),
            call("sendmsg", 46, 211),
            call("sendmmsg", 307, 269),
            call("recvmsg", 47, 212),
            call("recvmmsg", 299, 243),
            call("setsockopt", 54, 208),
        ],
    },
    Group {
        why: "operations by a ring pass no filter",
        calls: &[
            call("io_uring_setup", 425, 425),
            call("io_uring_enter", 426, 426),
            call("io_uring_register", 427, 427),
        ],
    },
    Group { why: "makes or enters namespaces", calls: &[call("unshare", 272, 97), call("setns", 308, 268)] },
    Group {
        why: "changes what is mounted where",
        calls: &[
            call("mount", 165, 40),
            call("umount2", 166, 39),
            call("pivot_root", 155, 41),
            call("chroot", 161, 51),
            call("open_tree", 428, 428),
            call("move_mount", 429, 429),
            call("fsopen", 430, 430),
            call("fsconfig", 431, 431),
            call("fsmount", 432, 432),
            call("fspick", 433, 433),
            call("mount_setattr", 442, 442),
            call("open_tree_attr", 467, 467),
        ],
    },
    Group {
        why: "reaches into other processes",
        calls: &[
            call("ptrace", 101, 117),
            call("process_vm_readv", 310, 270),
            call("process_vm_writev", 311, 271),
            call("pidfd_getfd", 438, 438),
            call("kcmp", 312, 272),
        ],
    },
    Group {
        why: "gives programs and pages to the kernel",
        calls: &[
            call("bpf", 321, 280),
            call("perf_event_open", 298, 241),
            call("userfaultfd", 323, 282),
            call("init_module", 175, 105),
            call("finit_module", 313, 273),
            call("delete_module", 176, 106),
            call("kexec_load", 246, 104),
            call("kexec_file_load", 320, 294),
        ],
    },
    Group {
        why: "keyrings are not namespaced",
        calls: &[call("add_key", 248, 217), call("request_key", 249, 218), call("keyctl", 250, 219)],
    },
    Group { why: "opens files by handle, past every path", calls: &[call("open_by_handle_at", 304, 265)] },
    Group {
        why: "counts the mounts of the whole host",
        calls: &[call("statmount", 457, 457), call("listmount", 458, 458)],
    },
];

/// A call whose arguments decide.
struct Judged {
    call: Call,
    /// The allowed part, and why the rest is denied.
    remains: &'static str,
    why: &'static str,
    /// Ends in a return on every path.
    code: &'static [Instruction],
}

const JUDGED: &[Judged] = &[
    Judged {
        call: call("clone", 56, 220),
        remains: "without new namespaces",
        why: "namespaces give powers back",
        code: &[low_word(0), if_any_bit(NAMESPACE_FLAGS), DENY, ALLOW],
    },
    Judged {
        call: call("clone3", 435, 435),
        remains: "never: ENOSYS",
        why: "its flags are in memory; libc falls back on clone",
        code: &[give(SECCOMP_RET_ERRNO | ENOSYS)],
    },
    Judged {
        call: call("socketpair", 53, 199),
        remains: "AF_UNIX and SOCK_STREAM only",
        why: "such a pair reaches nobody; other kinds have addresses, protocols of their own, or are the kernel's",
        // The kernel takes three ints. Of the type, SOCK_CLOEXEC and SOCK_NONBLOCK may be set.
        code: &[
            low_word(0),
            unless_equal(AF_UNIX),
            DENY,
            low_word(2),
            unless_equal(0),
            DENY,
            low_word(1),
            if_any_bit(!(SOCK_STREAM | SOCK_FLAGS)),
            DENY,
            if_any_bit(SOCK_STREAM),
            ALLOW,
            DENY,
        ],
    },
    Judged {
        call: call("recvfrom", 45, 207),
        remains: "without MSG_OOB",
        why: "out-of-band data of unix sockets had a use after free (CVE-2025-38236)",
        code: &[low_word(3), if_any_bit(MSG_OOB), DENY, ALLOW],
    },
    Judged {
        call: call("sendto", 44, 206),
        remains: "without an address, MSG_FASTOPEN and MSG_OOB",
        why: "data in a SYN would go to any address the host reaches",
        code: &[
            low_word(4),
            unless_equal(0),
            DENY,
            high_word(4),
            unless_equal(0),
            DENY,
            low_word(3),
            if_any_bit(SEND_FLAGS),
            DENY,
            ALLOW,
        ],
    },
    Judged {
        call: call("ioctl", 16, 29),
        remains: "TIOCGWINSZ, TCGETS, TCGETS2, FIONREAD, FIONBIO, FIOCLEX and FIONCLEX only",
        why: "others list the host's interfaces, type into terminals, ask for signals",
        // The kernel looks at the low word only, so the high one must be zero; but musl extends the sign
        // of TCGETS2.
        code: &[
            low_word(1),
            if_equal(TCGETS2),
            ALLOW,
            high_word(1),
            unless_equal(0),
            DENY,
            low_word(1),
            if_equal(TIOCGWINSZ),
            ALLOW,
            if_equal(TCGETS),
            ALLOW,
            if_equal(FIONREAD),
            ALLOW,
            if_equal(FIONBIO),
            ALLOW,
            if_equal(FIOCLEX),
            ALLOW,
            if_equal(FIONCLEX),
            ALLOW,
            DENY,
        ],
    },
    Judged {
        call: call("setrlimit", 160, 164),
        remains: "all limits but that of cores",
        why: CORE_LIMIT,
        // The kernel looks at the low word of the resource.
        code: &[low_word(0), if_equal(RLIMIT_CORE), DENY, ALLOW],
    },
    Judged {
        call: call("prlimit64", 302, 261),
        remains: "the same, and asking",
        why: CORE_LIMIT,
        // A query passes no new limit: both words of the pointer are null.
        code: &[
            low_word(1),
            unless_equal(RLIMIT_CORE),
            ALLOW,
            low_word(2),
            unless_equal(0),
            DENY,
            high_word(2),
            unless_equal(0),
            DENY,
            ALLOW,
        ],
    },
    Judged {
        call: call("statx", 332, 291),
        remains: "without STATX_MNT_ID_UNIQUE",
        why: "unique ids count every mount that the host has made, so other connections",
        code: &[low_word(3), if_any_bit(STATX_MNT_ID_UNIQUE), DENY, ALLOW],
    },
    made(call("open", 2, NO_CALL), OPEN),
    made(call("openat", 257, 56), OPENAT),
    made(call("creat", 85, NO_CALL), MODE_1),
    made(call("mkdir", 83, NO_CALL), MODE_1),
    made(call("mknod", 133, NO_CALL), MODE_1),
    made(call("chmod", 90, NO_CALL), MODE_1),
    made(call("fchmod", 91, 52), MODE_1),
    made(call("mkdirat", 258, 34), MODE_2),
    made(call("mknodat", 259, 33), MODE_2),
    made(call("fchmodat", 268, 53), MODE_2),
    made(call("fchmodat2", 452, 452), MODE_2),
];

/// The last call of [`Files::Kept`].
const OPENAT2: Judged = Judged {
    call: call("openat2", 437, 437),
    remains: "never: ENOSYS",
    why: "its mode is in memory, where no filter can look; programs fall back on openat",
    code: &[give(SECCOMP_RET_ERRNO | ENOSYS)],
};

const SET_ID_REMAINS: &str = "without set-id bits";

/// Set-id bits do nothing in a sandbox, and something on the host where a writable bind keeps the file.
const fn made(call: Call, code: &'static [Instruction]) -> Judged {
    let why = "a set-id file in a writable bind would act on the host";
    Judged { call, remains: SET_ID_REMAINS, why, code }
}

/// The kernel looks at the mode only if the flags make a file.
const fn opens(flags: u32, mode: u32) -> [Instruction; 7] {
    [low_word(flags), unless_any_bit(MAKES_A_FILE), ALLOW, low_word(mode), if_any_bit(SET_ID), DENY, ALLOW]
}

const OPEN: &[Instruction] = &opens(1, 2);
const OPENAT: &[Instruction] = &opens(2, 3);
/// The mode is the second argument, or the third.
const MODE_1: &[Instruction] = &[low_word(1), if_any_bit(SET_ID), DENY, ALLOW];
const MODE_2: &[Instruction] = &[low_word(2), if_any_bit(SET_ID), DENY, ALLOW];

const CORE_LIMIT: &str = "its 1, lowered to 0, would start a helper of the host at each crash (core(5))";

/// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET (linux/sched.h). Of clone(2) the low
/// byte is a signal, so CLONE_NEWTIME (0x80) is not among its flags.
const NAMESPACE_FLAGS: u32 = 0x7e02_0000;
/// MSG_FASTOPEN and MSG_OOB (linux/socket.h).
const SEND_FLAGS: u32 = 0x2000_0001;
const MSG_OOB: u32 = 1;
const AF_UNIX: u32 = 1;
const SOCK_STREAM: u32 = 1;
/// SOCK_CLOEXEC and SOCK_NONBLOCK (linux/net.h).
const SOCK_FLAGS: u32 = 0o2_004_000;
/// RLIMIT_CORE is 4 everywhere but on alpha, mips and sparc (asm-generic/resource.h).
const RLIMIT_CORE: u32 = 4;
const TIOCGWINSZ: u32 = 0x5413;
const TCGETS: u32 = 0x5401;
/// The request of isatty(3) in glibc from 2.42 on: TCGETS by another number (asm-generic/ioctls.h).
const TCGETS2: u32 = 0x802c_542a;
const FIONREAD: u32 = 0x541b;
/// F_SETFL with O_NONBLOCK, and F_SETFD with FD_CLOEXEC and without.
const FIONBIO: u32 = 0x5421;
const FIOCLEX: u32 = 0x5451;
const FIONCLEX: u32 = 0x5450;
const ENOSYS: u32 = 38;
/// S_ISUID and S_ISGID (linux/stat.h).
const SET_ID: u32 = 0o6000;
/// O_CREAT and __O_TMPFILE, the same on both machines (asm-generic/fcntl.h).
const MAKES_A_FILE: u32 = 0o20_000_100;
/// linux/stat.h, Linux 6.8. The kernel looks at the low word.
const STATX_MNT_ID_UNIQUE: u32 = 0x4000;
/// x32 calls carry this bit on x86-64 (`__X32_SYSCALL_BIT`) and reach the same kernel by other numbers.
const X32_BIT: u32 = 0x4000_0000;

const ALLOW: Instruction = give(SECCOMP_RET_ALLOW);
/// A notification without a listener is ENOSYS. If the profile denies the call too, its listener gets it.
const DENY: Instruction = give(SECCOMP_RET_USER_NOTIF);

/// Checks before those of calls.
const PROLOGUE: usize = 11;

/// How many calls are denied whatever their arguments.
const DENIED_CALLS: usize = {
    let mut count = 0;
    let mut index = 0;
    while index < DENIED.len() {
        count += DENIED[index].calls.len();
        index += 1;
    }
    count
};

/// Prologue, the denied calls, what decides about them, the judged calls with their code, and what allows the
/// rest.
const LENGTH: usize = {
    let mut length = PROLOGUE + DENIED_CALLS + 2 + 1 + OPENAT2.code.len() + 1;
    let mut index = 0;
    while index < JUDGED.len() {
        length += 1 + JUDGED[index].code.len();
        index += 1;
    }
    length
};

/// The guard of this machine, and that of services with a writable bind.
static PROGRAM: [Instruction; LENGTH] = program(NATIVE, Files::Temporary);
static PROGRAM_OF_KEPT_FILES: [Instruction; LENGTH] = program(NATIVE, Files::Kept);

pub fn native(files: Files) -> &'static [Instruction] {
    match files {
        Files::Temporary => &PROGRAM,
        Files::Kept => &PROGRAM_OF_KEPT_FILES,
    }
}

/// The guard of a machine: architecture, canaries and x32 first, then each call by its number; the rest
/// is allowed.
pub const fn program(arch: Arch, files: Files) -> [Instruction; LENGTH] {
    let mut writer = Writer { program: [ALLOW; LENGTH], length: 0 };
    // No decision needs this argument. When a filter is installed the kernel runs it in software for each
    // number of both architectures, to know which calls it need not ask for; it stops where an argument is
    // loaded (kernel/seccomp.c, seccomp_is_const_allow, Linux 5.11). That spares each launch a thousand runs.
    writer.push(&[low_word(0), load(ARCH), unless_equal(arch.audit()), DENY, load(NUMBER)]);
    writer.push(&[if_equal(GUARD_CANARY.number), give(SECCOMP_RET_ERRNO | GUARD_CANARY.errno as u32)]);
    writer.push(&[if_equal(PROFILE_CANARY.number), ALLOW]);
    writer.push(&[if_at_least(X32_BIT), DENY]);
    assert!(writer.length == PROLOGUE);
    let deny = PROLOGUE + DENIED_CALLS + 1;
    let mut group = 0;
    while group < DENIED.len() {
        let mut index = 0;
        while index < DENIED[group].calls.len() {
            let skipped = deny - writer.length - 1;
            writer.push(&[if_equal_skip(arch.number(DENIED[group].calls[index]), skipped)]);
            index += 1;
        }
        group += 1;
    }
    writer.push(&[skip(1), DENY]);
    assert!(writer.length == deny + 1);
    let mut index = 0;
    while index < JUDGED.len() {
        let judged = &JUDGED[index];
        writer.push(&[unless_equal_skip(arch.number(judged.call), judged.code.len())]);
        writer.push(judged.code);
        index += 1;
    }
    let number = match files {
        Files::Temporary => NO_CALL,
        Files::Kept => arch.number(OPENAT2.call),
    };
    writer.push(&[unless_equal_skip(number, OPENAT2.code.len())]);
    writer.push(OPENAT2.code);
    writer.push(&[ALLOW]);
    assert!(writer.length == LENGTH);
    writer.program
}

struct Writer {
    program: [Instruction; LENGTH],
    length: usize,
}

impl Writer {
    const fn push(&mut self, code: &[Instruction]) {
        let mut index = 0;
        while index < code.len() {
            self.program[self.length] = code[index];
            self.length += 1;
            index += 1;
        }
    }
}

/// The init stub's own filter: it opens the gate, waits, writes one status, exits.
pub fn init_program() -> Vec<Instruction> {
    const KILL: Instruction = give(SECCOMP_RET_KILL_PROCESS);
    let mut program = vec![load(ARCH), unless_equal(NATIVE.audit()), KILL, load(NUMBER)];
    program.extend([if_equal(GUARD_CANARY.number), give(SECCOMP_RET_ERRNO | u32::from(GUARD_CANARY.errno))]);
    for call in [libc::SYS_wait4, libc::SYS_write, libc::SYS_exit_group, libc::SYS_close_range] {
        program.extend([if_equal(u32::try_from(call).unwrap_or(u32::MAX)), ALLOW]);
    }
    program.push(KILL);
    program
}

/// Calls that are denied whatever their arguments, with the reason, for `explain`.
pub fn denied() -> impl Iterator<Item = (&'static str, &'static str)> {
    DENIED.iter().flat_map(|group| group.calls.iter().map(|call| (call.name, group.why)))
}

/// Calls that are denied by their arguments: the name, what remains allowed, and why not the rest.
pub fn judged_by_argument(files: Files) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let openat2 = (files == Files::Kept).then_some(&OPENAT2);
    JUDGED.iter().chain(openat2).map(|judged| (judged.call.name, judged.remains, judged.why))
}

/// Whether the guard leaves little of what the call is for, so that a profile that allows it allows more than
/// there is.
pub fn closes(name: &str) -> bool {
    let ordinary = |judged: &&Judged| {
        judged.remains == SET_ID_REMAINS || matches!(judged.call.name, "statx" | "recvfrom" | "socketpair")
    };
    let judged = JUDGED.iter().filter(|judged| !ordinary(judged)).map(|judged| judged.call.name);
    denied().map(|(denied, _)| denied).chain(judged).any(|closed| closed == name)
}
