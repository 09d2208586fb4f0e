//! The guard filter: fixed, not configurable, under every profile.
//!
//! The connection belongs to the *host's* network namespace. A handler that holds it could disconnect it
//! (`connect(fd, AF_UNSPEC)`) and connect it to any address the host reaches, listen and accept on it, send with
//! MSG_FASTOPEN, list the host's interfaces by ioctl. Landlock sees only some of that: it has no hook for listen(2) and
//! always allows AF_UNSPEC. So here is everything that opens the hole again, and everything that makes or enters a
//! namespace, mounts, traces or loads programs into the kernel, whatever a profile may say.

use super::agreed::{GUARD_CANARY, PROFILE_CANARY};
use super::bpf::{
    ALLOW, Field, Instruction, KILL, NOTIFY, decide, errno, give, if_any_bit, if_at_least, if_equal, load,
    unless_equal,
};
use super::shrink::shrink;
use crate::sys::names;
use crate::sys::seccomp::NATIVE_ARCH;
use libc::c_long;

/// Denied whatever the arguments, with the reason.
const DENIED: &[(&str, &[c_long])] = &[
    (
        "new sockets, and everything that changes what the connection is",
        &[
            libc::SYS_socket,
            libc::SYS_socketpair,
            libc::SYS_connect,
            libc::SYS_bind,
            libc::SYS_listen,
            libc::SYS_accept,
            libc::SYS_accept4,
            libc::SYS_sendmsg,
            libc::SYS_sendmmsg,
            libc::SYS_recvmsg,
            libc::SYS_recvmmsg,
            libc::SYS_setsockopt,
        ],
    ),
    (
        "operations by a ring pass no filter",
        &[libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register],
    ),
    ("makes or enters namespaces", &[libc::SYS_unshare, libc::SYS_setns]),
    (
        "changes what is mounted where",
        &[
            libc::SYS_mount,
            libc::SYS_umount2,
            libc::SYS_pivot_root,
            libc::SYS_chroot,
            libc::SYS_open_tree,
            libc::SYS_move_mount,
            libc::SYS_fsopen,
            libc::SYS_fsconfig,
            libc::SYS_fsmount,
            libc::SYS_fspick,
            libc::SYS_mount_setattr,
            OPEN_TREE_ATTR,
        ],
    ),
    (
        "reaches into other processes",
        &[
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_pidfd_getfd,
            libc::SYS_kcmp,
        ],
    ),
    (
        "gives programs and pages to the kernel",
        &[
            libc::SYS_bpf,
            libc::SYS_perf_event_open,
            libc::SYS_userfaultfd,
            libc::SYS_init_module,
            libc::SYS_finit_module,
            libc::SYS_delete_module,
            libc::SYS_kexec_load,
            libc::SYS_kexec_file_load,
        ],
    ),
    ("keyrings are not namespaced", &[libc::SYS_add_key, libc::SYS_request_key, libc::SYS_keyctl]),
    ("opens files by handle, past every path", &[libc::SYS_open_by_handle_at]),
];

/// Linux 6.15; libc does not have it yet.
const OPEN_TREE_ATTR: c_long = 467;

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

/// System call numbers are small and non-negative.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn number(call: c_long) -> u32 {
    call as u32
}

/// The program: architecture, x32 and canaries first, then each call by its number; what has none is allowed.
pub(crate) fn program() -> Vec<Instruction> {
    let mut program = vec![load(Field::Arch), unless_equal(NATIVE_ARCH), give(NOTIFY), load(Field::Number)];
    program.extend([if_equal(GUARD_CANARY.number), give(errno(GUARD_CANARY.errno))]);
    program.extend([if_equal(PROFILE_CANARY.number), give(ALLOW)]);
    program.extend([if_at_least(X32_BIT), give(NOTIFY)]);
    let denied = DENIED.iter().flat_map(|(_, calls)| *calls);
    let judged = by_argument().into_iter().map(|judged| (judged.number, judged.code));
    let mut calls: Vec<(u32, Vec<Instruction>)> =
        denied.map(|&call| (number(call), vec![give(NOTIFY)])).chain(judged).collect();
    calls.sort_by_key(|(number, _)| *number);
    program.extend(decide(&calls, ALLOW));
    shrink(&program)
}

/// The init stub's own filter: it opens the gate, waits, writes one status, exits.
pub(crate) fn init_program() -> Vec<Instruction> {
    let mut program = vec![load(Field::Arch), unless_equal(NATIVE_ARCH), give(KILL), load(Field::Number)];
    program.extend([if_equal(GUARD_CANARY.number), give(errno(GUARD_CANARY.errno))]);
    for call in [libc::SYS_wait4, libc::SYS_write, libc::SYS_exit_group, libc::SYS_close_range] {
        program.extend([if_equal(number(call)), give(ALLOW)]);
    }
    program.push(give(KILL));
    program
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
const ENOSYS: u16 = libc::ENOSYS as u16;

/// A call that depends on its arguments.
struct Judged {
    number: u32,
    /// What remains of it, and why not the rest.
    remains: &'static str,
    why: &'static str,
    code: Vec<Instruction>,
}

fn by_argument() -> [Judged; 4] {
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
    let judged = |call, remains, why, code: &[Instruction]| Judged {
        number: number(call),
        remains,
        why,
        code: code.to_vec(),
    };
    [
        judged(libc::SYS_clone, "without new namespaces", "namespaces give powers back", &clone),
        judged(
            libc::SYS_clone3,
            "never: ENOSYS",
            "its flags are in memory; libc falls back on clone",
            &clone3,
        ),
        judged(
            libc::SYS_sendto,
            "without an address, MSG_FASTOPEN and MSG_OOB",
            "data in a SYN would go to any address the host reaches",
            &sendto,
        ),
        judged(
            libc::SYS_ioctl,
            "TIOCGWINSZ and TCGETS only",
            "others list the host's interfaces, type into terminals, ask for signals",
            &ioctl,
        ),
    ]
}

/// For those who want to see it: what is denied whatever the arguments, with the reason.
pub(crate) fn denied() -> impl Iterator<Item = (&'static str, &'static str)> {
    let named = |call: c_long| names::NATIVE.call_name(number(call)).unwrap_or("a call without a name");
    DENIED.iter().flat_map(move |(why, calls)| calls.iter().map(move |call| (named(*call), *why)))
}

/// What is denied by its arguments: what remains, and why not the rest.
pub(crate) fn judged_by_argument() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    by_argument().into_iter().map(|judged| {
        let name = names::NATIVE.call_name(judged.number).unwrap_or("a call without a name");
        (name, judged.remains, judged.why)
    })
}

const TIOCGWINSZ: u32 = 0x5413;
const TCGETS: u32 = 0x5401;
