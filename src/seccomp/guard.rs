//! The guard filter: fixed, not configurable, under every profile.
//!
//! The connection belongs to the *host's* network namespace. A handler that holds it could disconnect it
//! (`connect(fd, AF_UNSPEC)`) and connect it to any address the host reaches, listen and accept on it, send with
//! MSG_FASTOPEN, list the host's interfaces by ioctl. Landlock sees only some of that: it has no hook for listen(2) and
//! always allows AF_UNSPEC. So here is everything that opens the hole again, and everything that makes or enters a
//! namespace, mounts, traces or loads programs into the kernel, whatever a profile may say.

#![cfg_attr(not(test), allow(dead_code, reason = "the program is made by build.rs"))]

use super::agreed::{GUARD_CANARY, PROFILE_CANARY};
use super::bpf::{
    ALLOW, Field, Instruction, KILL, NOTIFY, decide, errno, give, if_any_bit, if_at_least, if_equal, load,
    not_by_number_alone, unless_equal,
};
use super::shrink::shrink;
use sys::names::{self, Machine};

/// Denied whatever the arguments, with the reason.
const DENIED: &[(&str, &[&str])] = &[
    (
        "new sockets, and everything that changes what the connection is",
        &[
            "socket",
            "socketpair",
            "connect",
            "bind",
            "listen",
            "accept",
            "accept4",
            "sendmsg",
            "sendmmsg",
            "recvmsg",
            "recvmmsg",
            "setsockopt",
        ],
    ),
    ("operations by a ring pass no filter", &["io_uring_setup", "io_uring_enter", "io_uring_register"]),
    ("makes or enters namespaces", &["unshare", "setns"]),
    (
        "changes what is mounted where",
        &[
            "mount",
            "umount2",
            "pivot_root",
            "chroot",
            "open_tree",
            "move_mount",
            "fsopen",
            "fsconfig",
            "fsmount",
            "fspick",
            "mount_setattr",
            "open_tree_attr",
        ],
    ),
    (
        "reaches into other processes",
        &["ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp"],
    ),
    (
        "gives programs and pages to the kernel",
        &[
            "bpf",
            "perf_event_open",
            "userfaultfd",
            "init_module",
            "finit_module",
            "delete_module",
            "kexec_load",
            "kexec_file_load",
        ],
    ),
    ("keyrings are not namespaced", &["add_key", "request_key", "keyctl"]),
    ("opens files by handle, past every path", &["open_by_handle_at"]),
];

/// x32 calls carry this bit on x86-64 (`__X32_SYSCALL_BIT`) and reach the same kernel by other numbers.
const X32_BIT: u32 = 0x4000_0000;

#[allow(clippy::cast_sign_loss)]
const NAMESPACE_FLAGS: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32;

#[allow(clippy::cast_sign_loss)]
const SEND_FLAGS: u32 = (libc::MSG_FASTOPEN | libc::MSG_OOB) as u32;

/// A name that a machine's table does not have: an error of the build.
#[derive(Debug)]
pub struct UnknownCall(&'static str);

impl std::fmt::Display for UnknownCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the guard names '{}', which is no system call", self.0)
    }
}

fn number(machine: Machine, name: &'static str) -> Result<u32, UnknownCall> {
    machine.call(name).map(|(_, number)| number).ok_or(UnknownCall(name))
}

/// The program: architecture, x32 and canaries first, then each call by its number; what has none is allowed.
///
/// build.rs compiles this file too: a launch finds the program ready.
pub fn program(machine: Machine) -> Result<Vec<Instruction>, UnknownCall> {
    let arch = machine.audit_arch();
    let mut program = vec![not_by_number_alone(), load(Field::Arch), unless_equal(arch), give(NOTIFY)];
    program.push(load(Field::Number));
    program.extend([if_equal(GUARD_CANARY.number), give(errno(GUARD_CANARY.errno))]);
    program.extend([if_equal(PROFILE_CANARY.number), give(ALLOW)]);
    program.extend([if_at_least(X32_BIT), give(NOTIFY)]);
    let mut calls = Vec::new();
    for name in DENIED.iter().flat_map(|(_, names)| *names) {
        calls.push((number(machine, name)?, vec![give(NOTIFY)]));
    }
    for judged in by_argument() {
        calls.push((number(machine, judged.name)?, judged.code));
    }
    calls.sort_by_key(|(number, _)| *number);
    program.extend(decide(&calls, ALLOW));
    Ok(shrink(&program))
}

/// The init stub's own filter: it opens the gate, waits, writes one status, exits.
pub fn init_program() -> Vec<Instruction> {
    let arch = names::NATIVE.audit_arch();
    let mut program = vec![load(Field::Arch), unless_equal(arch), give(KILL), load(Field::Number)];
    program.extend([if_equal(GUARD_CANARY.number), give(errno(GUARD_CANARY.errno))]);
    for call in [libc::SYS_wait4, libc::SYS_write, libc::SYS_exit_group, libc::SYS_close_range] {
        program.extend([if_equal(u32::try_from(call).unwrap_or(u32::MAX)), give(ALLOW)]);
    }
    program.push(give(KILL));
    program
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
const ENOSYS: u16 = libc::ENOSYS as u16;

/// A call that depends on its arguments.
struct Judged {
    name: &'static str,
    /// What remains of it, and why not the rest.
    remains: &'static str,
    why: &'static str,
    code: Vec<Instruction>,
}

fn by_argument() -> [Judged; 6] {
    // No namespaces.
    let clone = [load(Field::ArgLow(0)), if_any_bit(NAMESPACE_FLAGS), give(NOTIFY), give(ALLOW)];
    // Its flags are in memory, where a filter cannot look. libc falls back to clone on ENOSYS.
    let clone3 = [give(errno(ENOSYS))];
    // No address (both words null), no data in a SYN, nothing out of band.
    let sendto = [
        load(Field::ArgLow(4)),
        unless_equal(0),
        give(NOTIFY),
        load(Field::ArgHigh(4)),
        unless_equal(0),
        give(NOTIFY),
        load(Field::ArgLow(3)),
        if_any_bit(SEND_FLAGS),
        give(NOTIFY),
        give(ALLOW),
    ];
    // The two harmless questions of stdio. The kernel looks at the low word only, so the high one must be zero.
    let ioctl = [
        load(Field::ArgHigh(1)),
        unless_equal(0),
        give(NOTIFY),
        load(Field::ArgLow(1)),
        if_equal(TIOCGWINSZ),
        give(ALLOW),
        if_equal(TCGETS),
        give(ALLOW),
        give(NOTIFY),
    ];
    // The kernel looks at the low word of the resource.
    let setrlimit = [load(Field::ArgLow(0)), if_equal(RLIMIT_CORE), give(NOTIFY), give(ALLOW)];
    // Asking has no new limit: both words null.
    let prlimit64 = [
        load(Field::ArgLow(1)),
        unless_equal(RLIMIT_CORE),
        give(ALLOW),
        load(Field::ArgLow(2)),
        unless_equal(0),
        give(NOTIFY),
        load(Field::ArgHigh(2)),
        unless_equal(0),
        give(NOTIFY),
        give(ALLOW),
    ];
    let lowered = "its 1, lowered to 0, would start a helper of the host at each crash (core(5))";
    let judged =
        |name, remains, why, code: &[Instruction]| Judged { name, remains, why, code: code.to_vec() };
    [
        judged("clone", "without new namespaces", "namespaces give powers back", &clone),
        judged("clone3", "never: ENOSYS", "its flags are in memory; libc falls back on clone", &clone3),
        judged(
            "sendto",
            "without an address, MSG_FASTOPEN and MSG_OOB",
            "data in a SYN would go to any address the host reaches",
            &sendto,
        ),
        judged(
            "ioctl",
            "TIOCGWINSZ and TCGETS only",
            "others list the host's interfaces, type into terminals, ask for signals",
            &ioctl,
        ),
        judged("setrlimit", "all limits but that of cores", lowered, &setrlimit),
        judged("prlimit64", "the same, and asking", lowered, &prlimit64),
    ]
}

/// For those who want to see it: what is denied whatever the arguments, with the reason.
pub fn denied() -> impl Iterator<Item = (&'static str, &'static str)> {
    DENIED.iter().flat_map(|(why, names)| names.iter().map(|name| (*name, *why)))
}

/// What is denied by its arguments: what remains, and why not the rest.
pub fn judged_by_argument() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    by_argument().into_iter().map(|judged| (judged.name, judged.remains, judged.why))
}

/// As everywhere but on alpha, mips and sparc (asm-generic/resource.h).
const RLIMIT_CORE: u32 = 4;
const TIOCGWINSZ: u32 = 0x5413;
const TCGETS: u32 = 0x5401;
