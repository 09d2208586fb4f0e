//! The guard of both machines against what it must deny, told here once more: names as literals, numbers from
//! the kernel's tables. Nothing of `guard.rs` but its program goes into the expectation.

#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "words are cut out of arguments")]

use super::abi::Files;
use super::guard::{self, Arch};
use super::guard_clone::with_clone;
use super::interpret::{Call, interpret};
use std::collections::{BTreeSet, HashMap};
use sys::names::{self, Machine};

const DENIED: &str = "accept accept4 add_key bind bpf chroot connect delete_module finit_module fsconfig fsmount fsopen \
    fspick init_module io_uring_enter io_uring_register io_uring_setup kcmp kexec_file_load kexec_load keyctl listen listmount \
    mount mount_setattr move_mount open_by_handle_at open_tree open_tree_attr perf_event_open pidfd_getfd pivot_root \
    process_vm_readv process_vm_writev ptrace recvmmsg recvmsg request_key sendmmsg sendmsg setns setsockopt socket \
    statmount umount2 unshare userfaultfd";

const JUDGED: [&str; 20] = [
    "chmod",
    "clone",
    "clone3",
    "creat",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "ioctl",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "open",
    "openat",
    "prlimit64",
    "recvfrom",
    "sendto",
    "setrlimit",
    "socketpair",
    "statx",
];

/// TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX.
const REQUESTS: [u64; 6] = [0x5401, 0x5413, 0x541b, 0x5421, 0x5450, 0x5451];

/// A pair of connected unix streams, with SOCK_NONBLOCK, with SOCK_CLOEXEC, and with both.
const PAIRS: [u32; 4] = [1, 0x801, 0x8_0001, 0x8_0801];

const ALLOW: u32 = 0x7fff_0000;
const DENY: u32 = 0x7fc0_0000;
const NO_SUCH_CALL: u32 = 0x0005_0000 | 38;

/// The verdict that the guard promises for a call.
fn promised(files: Files, call: &Call) -> u32 {
    let [first, second, third, fourth, fifth, _] = call.args;
    match call.name {
        _ if call.number >= 0x4000_0000 => DENY,
        "clone3" => NO_SUCH_CALL,
        "clone" if first & 0x7e02_0000 != 0 => DENY,
        "sendto" if fifth != 0 || fourth & 0x2000_0001 != 0 => DENY,
        "recvfrom" if fourth & 1 != 0 => DENY,
        "socketpair" if first as u32 != 1 || third as u32 != 0 || !PAIRS.contains(&(second as u32)) => DENY,
        "ioctl" if second as u32 != 0x802c_542a && !REQUESTS.contains(&second) => DENY,
        "statx" if fourth & 0x4000 != 0 => DENY,
        "creat" | "mkdir" | "mknod" | "chmod" | "fchmod" if second & 0o6000 != 0 => DENY,
        "mkdirat" | "mknodat" | "fchmodat" | "fchmodat2" if third & 0o6000 != 0 => DENY,
        "open" if second & 0o20_000_100 != 0 && third & 0o6000 != 0 => DENY,
        "openat" if third & 0o20_000_100 != 0 && fourth & 0o6000 != 0 => DENY,
        "openat2" if files == Files::Kept => NO_SUCH_CALL,
        "setrlimit" if first as u32 == 4 => DENY,
        "prlimit64" if second as u32 == 4 && third != 0 => DENY,
        name if DENIED.split_whitespace().any(|denied| denied == name) => DENY,
        _ => ALLOW,
    }
}

fn programs(files: Files) -> [(Machine, Vec<libc::sock_filter>); 2] {
    [(Machine::X86_64, Arch::X86_64), (Machine::Aarch64, Arch::Aarch64)]
        .map(|(machine, arch)| (machine, guard::program(arch, files).to_vec()))
}

#[test]
fn the_guard_keeps_its_promise_for_every_number_on_both_machines() {
    for files in [Files::Temporary, Files::Kept] {
        keeps_its_promise(files);
    }
}

fn keeps_its_promise(files: Files) {
    // O_CREAT and __O_TMPFILE where open and openat have their flags.
    let (create, unnamed) = ([0, 0o100, 0o100, 0, 0, 0], [0, 0o20_000_000, 0o20_000_000, 0, 0, 0]);
    let bits = |word: u64| (0..64).map(move |bit| word ^ 1 << bit).chain([word]);
    for (machine, program) in programs(files) {
        let names: HashMap<u32, &'static str> =
            machine.calls().map(|(name, number)| (number, name)).collect();
        for number in (0..1024).chain(0x4000_0000..0x4000_0400) {
            let name = names.get(&number).copied().unwrap_or("");
            // Every argument of the calls that are judged by one, and two of the others.
            let count = if JUDGED.contains(&name) { usize::MAX } else { 2 };
            for index in 0..6 {
                let requests: &[u64] = if name == "ioctl" { &REQUESTS } else { &[] };
                let near_requests = requests.iter().copied().chain([0x802c_542a]).flat_map(bits);
                let words = bits(0).chain(bits(4)).chain(bits(0x8_0801)).chain(near_requests);
                for word in words.take(count) {
                    for mut args in [[0; 6], [0, 4, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], create, unnamed] {
                        args[index] = word;
                        let call = Call { number, name, arch: machine.audit_arch(), args };
                        assert_eq!(
                            interpret(&program, &call),
                            promised(files, &call),
                            "{machine:?} {files:?} {call:x?}"
                        );
                    }
                }
            }
        }
    }
}

/// The words that differ from the token in one bit, the token, and none.
fn words_near(token: u64) -> impl Iterator<Item = u64> {
    (0..64).map(move |bit| token ^ 1 << bit).chain([token, 0])
}

#[test]
fn a_zygotes_guard_differs_from_the_guard_in_clone3_with_the_token_alone() {
    const TOKEN: u64 = 0x0123_4567_89ab_cdef;
    for (machine, guard) in programs(Files::Temporary) {
        let program = with_clone(&guard, machine.audit_arch(), TOKEN);
        let (_, clone3) = machine.call("clone3").unwrap();
        let archs = [machine.audit_arch(), 0x4000_0003, 0x4000_0028];
        for number in (0..1024).chain(0x4000_0000..0x4000_0400) {
            for (arch, word) in
                archs.into_iter().flat_map(|arch| words_near(TOKEN).map(move |word| (arch, word)))
            {
                let call = Call { number, name: "", arch, args: [0, 0, 0, 0, 0, word] };
                let is_it = number == clone3 && arch == machine.audit_arch() && word == TOKEN;
                let expected = if is_it { DENY } else { interpret(&guard, &call) };
                assert_eq!(interpret(&program, &call), expected, "{machine:?} {call:x?}");
            }
        }
    }
}

#[test]
fn the_guard_denies_calls_by_another_machines_door() {
    for (machine, program) in programs(Files::Kept) {
        let other = Machine::ALL.into_iter().find(|other| *other != machine).unwrap();
        // i386, arm, and our other architecture.
        for arch in [0x4000_0003, 0x4000_0028, other.audit_arch()] {
            for number in 0..1024 {
                let call = Call { number, name: "", arch, args: [0; 6] };
                assert_eq!(interpret(&program, &call), DENY, "{call:x?}");
            }
        }
    }
}

/// A number by itself can be right by chance: what the guard shows to users is what this file demands.
#[test]
fn the_guard_shows_the_calls_that_it_denies() {
    let shown: BTreeSet<&str> = guard::denied().map(|(name, _)| name).collect();
    assert_eq!(shown, DENIED.split_whitespace().collect());
    let judged: BTreeSet<&str> = guard::judged_by_argument(Files::Temporary).map(|(name, ..)| name).collect();
    assert_eq!(judged, JUDGED.into_iter().collect());
}

/// The tables that this test and the profiles use are the kernel's, where its headers are installed.
#[test]
fn the_tables_of_calls_agree_with_the_kernels_headers() {
    let headers = [
        (names::NATIVE, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
        (Machine::Aarch64, "/usr/include/asm-generic/unistd.h"),
    ];
    for (machine, path) in headers {
        let Ok(text) = std::fs::read_to_string(path) else { continue };
        for name in DENIED.split_whitespace().chain(JUDGED) {
            let defined = text.lines().find_map(|line| {
                let mut words = line.split_whitespace();
                let is_it = words.next() == Some("#define")
                    && words.next().and_then(|word| word.strip_prefix("__NR_")) == Some(name);
                is_it.then(|| words.next().and_then(|number| number.parse::<u32>().ok())).flatten()
            });
            // A header can be older than the call.
            let Some(number) = defined else { continue };
            assert_eq!(machine.call(name).map(|(_, number)| number), Some(number), "{machine:?} {name}");
        }
    }
}
