//! Each filter alone, in a child that enters it for good: what one of them forgets, the other must refuse.
//!
//! A notification without a listener is ENOSYS, so a denied call fails with it here; what passes the filter
//! fails in the kernel with another errno, the arguments being nonsense.

use super::Plan;
use crate::plan::park::Park;
use crate::plan::profile::{self, Loaded};
use libc::c_long;
use seccomp::abi::{Files, GUARD_CANARY, PROFILE_CANARY, Variant};
use seccomp::profile::{parse::parse, texts};
use std::os::fd::AsFd;
use sys::names::{self, Machine};
use sys::seccomp::{Instruction, install};
use sys::{self, Errno, privilege, process};

#[derive(Clone, Copy)]
enum Filter {
    Guard,
    Profile(&'static str),
    Both(&'static str),
}

const STATIC: Filter = Filter::Profile("static");

impl Filter {
    /// In the order in which they are installed.
    fn programs(self) -> Vec<Vec<Instruction>> {
        let plan = |name| {
            let profile = Loaded::BuiltIn(profile::built_in(name).unwrap());
            Plan::new(&profile, Files::Temporary, Variant::PLAIN, Park::None).unwrap()
        };
        match self {
            Filter::Guard => vec![plan("static").guard.to_vec()],
            Filter::Profile(name) => vec![plan(name).profile.into_owned()],
            Filter::Both(name) => vec![plan(name).guard.to_vec(), plan(name).profile.into_owned()],
        }
    }
}

/// Makes the calls in a child under the filter; the children's answers come back as errnos, 0 for success.
fn answers(filter: Filter, calls: &[(c_long, [u64; 6])]) -> Vec<i32> {
    let programs = filter.programs();
    let (ours, theirs) = sys::socket::message_pair().unwrap();
    let Some(child) = process::fork().unwrap() else {
        // Nothing here allocates or locks: the test harness has other threads, which are not in the child.
        let entered = privilege::set_no_new_privs()
            .and_then(|()| programs.iter().try_for_each(|program| install(program)));
        if entered.is_err() {
            process::exit_now(1);
        }
        for (number, args) in calls {
            let errno = sys::any_call(*number, *args);
            if sys::write(theirs.as_fd(), &errno.to_ne_bytes()).is_err() {
                process::exit_now(1);
            }
        }
        process::exit_now(0)
    };
    drop(theirs);
    let mut answers = Vec::new();
    let mut answer = [0; 4];
    while sys::read(ours.as_fd(), &mut answer) == Ok(4) {
        answers.push(i32::from_ne_bytes(answer));
    }
    process::wait_for_end(child.pidfd.as_fd());
    assert_eq!(answers.len(), calls.len(), "a call ended the child");
    answers
}

const BAD_FD: u64 = 999;
const DENIED: i32 = Errno::ENOSYS as i32;

/// The connection's hole in all its forms, and the ways to namespaces, mounts and other processes.
fn hole() -> Vec<(c_long, [u64; 6])> {
    let newuser = libc::CLONE_NEWUSER.unsigned_abs().into();
    vec![
        (libc::SYS_connect, [BAD_FD, 0, 0, 0, 0, 0]),
        (libc::SYS_bind, [BAD_FD, 0, 0, 0, 0, 0]),
        (libc::SYS_listen, [BAD_FD, 1, 0, 0, 0, 0]),
        (libc::SYS_accept, [BAD_FD, 0, 0, 0, 0, 0]),
        (libc::SYS_accept4, [BAD_FD, 0, 0, 0, 0, 0]),
        (libc::SYS_socket, [u64::MAX, 0, 0, 0, 0, 0]),
        (libc::SYS_socketpair, [u64::MAX, 0, 0, 0, 0, 0]),
        (libc::SYS_sendmsg, [BAD_FD, 0, 0, 0, 0, 0]),
        (libc::SYS_recvmsg, [BAD_FD, 0, 0, 0, 0, 0]),
        (libc::SYS_setsockopt, [BAD_FD, 1, 1, 0, 0, 0]),
        (libc::SYS_sendto, [BAD_FD, 0, 0, 0x2000_0000, 0, 0]),
        (libc::SYS_sendto, [BAD_FD, 0, 0, 1, 0, 0]),
        (libc::SYS_sendto, [BAD_FD, 0, 0, 0, 1, 16]),
        (libc::SYS_sendto, [BAD_FD, 0, 0, 0, 1 << 32, 16]),
        (libc::SYS_ioctl, [BAD_FD, 0x8912, 0, 0, 0, 0]),
        (libc::SYS_ioctl, [BAD_FD, 0x5413 | 1 << 32, 0, 0, 0, 0]),
        (libc::SYS_unshare, [newuser, 0, 0, 0, 0, 0]),
        (libc::SYS_setns, [BAD_FD, 0, 0, 0, 0, 0]),
        (libc::SYS_clone, [newuser, 0, 0, 0, 0, 0]),
        (libc::SYS_clone3, [0, 0, 0, 0, 0, 0]),
        (libc::SYS_mount, [0, 0, 0, 0, 0, 0]),
        (libc::SYS_move_mount, [BAD_FD, 0, BAD_FD, 0, 0, 0]),
        (libc::SYS_ptrace, [u64::MAX, 0, 0, 0, 0, 0]),
        (libc::SYS_bpf, [u64::MAX, 0, 0, 0, 0, 0]),
        (libc::SYS_io_uring_setup, [0, 0, 0, 0, 0, 0]),
        (libc::SYS_keyctl, [u64::MAX, 0, 0, 0, 0, 0]),
    ]
}

#[test]
fn the_guard_alone_closes_the_hole() {
    for ((number, args), answer) in hole().into_iter().zip(answers(Filter::Guard, &hole())) {
        assert_eq!(answer, DENIED, "{:?} {args:x?}", name(number));
    }
}

#[test]
fn the_profile_alone_closes_the_hole() {
    for ((number, args), answer) in hole().into_iter().zip(answers(STATIC, &hole())) {
        assert_eq!(answer, DENIED, "{:?} {args:x?}", name(number));
    }
}

/// Those that answer with an errno instead of death do not make the call either: the descriptor of these is a
/// bad one.
#[test]
fn every_profile_alone_closes_the_hole() {
    let refusals = [Errno::ENOSYS, Errno::EPERM, Errno::ENOTSOCK, Errno::EAFNOSUPPORT, Errno::ENOTTY];
    for profile in profile::names_built_in() {
        for ((number, args), answer) in hole().into_iter().zip(answers(Filter::Profile(profile), &hole())) {
            let refused = refusals.contains(&Errno::from_raw(answer));
            assert!(refused, "{profile} {:?} {args:x?}: {answer}", name(number));
        }
    }
}

fn name(number: c_long) -> Option<&'static str> {
    names::NATIVE.call_name(u32::try_from(number).unwrap())
}

#[test]
fn the_guard_lets_ordinary_calls_pass() {
    let ordinary = [
        (libc::SYS_sendto, [BAD_FD, 0, 0, 0, 0, 0]),
        (libc::SYS_ioctl, [BAD_FD, 0x5413, 0, 0, 0, 0]),
        (libc::SYS_ioctl, [BAD_FD, 0x5401, 0, 0, 0, 0]),
        (libc::SYS_read, [BAD_FD, 0, 0, 0, 0, 0]),
        (libc::SYS_shutdown, [BAD_FD, 0, 0, 0, 0, 0]),
    ];
    assert_eq!(answers(Filter::Guard, &ordinary), [Errno::EBADF as i32; 5]);
}

#[test]
fn each_canary_is_answered_by_its_filter_alone() {
    let canaries = [GUARD_CANARY, PROFILE_CANARY].map(|canary| (c_long::from(canary.number), [0; 6]));
    assert_eq!(answers(Filter::Guard, &canaries), [GUARD_CANARY.errno.into(), DENIED]);
    assert_eq!(answers(STATIC, &canaries), [DENIED, PROFILE_CANARY.errno.into()]);
}

/// Everything from 0 to far beyond the newest call, and the same by the x32 door.
#[test]
fn every_number_that_a_profile_does_not_name_is_denied() {
    // uretprobe and uprobe on x86-64: the kernel asks no filter (Linux 6.14) and kills the caller
    // with SIGILL.
    let unfiltered: &[u32] = if names::NATIVE == Machine::X86_64 { &[335, 336] } else { &[] };
    for profile in profile::names_built_in() {
        let read = Loaded::BuiltIn(profile::built_in(profile).unwrap()).profile().unwrap();
        let is_named = |number: u32| read.entries.iter().any(|entry| entry.number == number);
        let mut others: Vec<u32> = (0..1024).filter(|n| !is_named(*n) && !unfiltered.contains(n)).collect();
        others.retain(|number| names::NATIVE.call_name(*number) != Some("execveat"));
        others.extend(0x4000_0000..0x4000_0400);
        let calls: Vec<_> = others.iter().map(|number| (c_long::from(*number), [u64::MAX; 6])).collect();
        for filter in [Filter::Profile(profile), Filter::Both(profile)] {
            for (number, answer) in others.iter().zip(answers(filter, &calls)) {
                assert_eq!(answer, DENIED, "{profile} {number} {:?}", names::NATIVE.call_name(*number));
            }
        }
    }
}

#[test]
fn exec_passes_the_profile_by_one_descriptor_and_an_empty_path_only() {
    let empty_path = libc::AT_EMPTY_PATH.unsigned_abs().into();
    let exec = [
        (libc::SYS_execveat, [63, 0, 0, 0, 0, 0]),
        (libc::SYS_execveat, [62, 0, 0, 0, empty_path, 0]),
        (libc::SYS_execveat, [63, 0, 0, 0, empty_path | 0x100, 0]),
        (libc::SYS_execve, [0, 0, 0, 0, 0, 0]),
        (libc::SYS_execveat, [63, 0, 0, 0, empty_path, 0]),
    ];
    let answers = answers(STATIC, &exec);
    assert_eq!(answers[..4], [DENIED; 4]);
    assert_eq!(answers[4], Errno::EFAULT as i32);
}

#[test]
fn memory_that_no_limit_counts_cannot_be_mapped() {
    let map = |flags: i32| {
        let flags = u64::from((flags | libc::MAP_ANONYMOUS).unsigned_abs());
        (libc::SYS_mmap, [0, 4096, 3, flags, u64::MAX, 0])
    };
    let private = |flag| map(libc::MAP_PRIVATE | flag);
    let shared = [map(libc::MAP_SHARED), map(libc::MAP_SHARED_VALIDATE)];
    assert_eq!(answers(STATIC, &shared), [DENIED; 2]);
    assert_eq!(answers(STATIC, &[private(libc::MAP_GROWSDOWN), private(libc::MAP_HUGETLB)]), [DENIED; 2]);
    assert_eq!(answers(STATIC, &[map(libc::MAP_PRIVATE)]), [0]);
}

#[test]
fn a_futex_reaches_no_other_process() {
    let wake = |operation: i32| (libc::SYS_futex, [0, u64::from(operation.unsigned_abs()), 1, 0, 0, 0]);
    let shared = [wake(libc::FUTEX_WAKE), wake(libc::FUTEX_WAIT), wake(libc::FUTEX_REQUEUE)];
    assert_eq!(answers(STATIC, &shared), [DENIED; 3]);
    let private = answers(STATIC, &[wake(libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG)]);
    assert_ne!(private, [DENIED]);
}

/// build.rs compiled the built-in profiles; the same source compiles an operator's file here.
#[test]
fn the_built_in_programs_are_those_that_their_files_give_here() {
    let plain = |i: &Instruction| (i.code, i.jt, i.jf, i.k);
    for name in profile::names_built_in() {
        let built_in = Loaded::BuiltIn(profile::built_in(name).unwrap());
        let mut include = |name: &str| Ok((name.to_owned(), texts::included(name).unwrap().to_owned()));
        let profile = parse(name, texts::included(name).unwrap(), names::NATIVE, &mut include).unwrap();
        assert_eq!(built_in.traits(), profile.traits);
        assert_eq!(built_in.meets_in_ipc(), profile.meets_in_ipc());
        let file = Loaded::File { name: name.to_owned(), profile, mistaken: Vec::new() };
        for variant in Variant::ALL {
            let (built_in, here) = (built_in.program(variant).unwrap(), file.program(variant).unwrap());
            assert!(built_in.iter().map(plain).eq(here.iter().map(plain)), "{name} {variant:?}");
        }
    }
}

/// A path of null is EFAULT, and a bad descriptor EBADF, where the kernel gets to see it.
#[test]
fn no_file_is_made_with_set_id_bits_whatever_the_profile() {
    let (create, unnamed) = (0o100, 0o20_200_000);
    let makes = |mode: u64| {
        let mut calls = vec![
            (libc::SYS_openat, [BAD_FD, 0, create, mode, 0, 0]),
            (libc::SYS_openat, [BAD_FD, 0, unnamed, mode, 0, 0]),
            (libc::SYS_mkdirat, [BAD_FD, 0, mode, 0, 0, 0]),
            (libc::SYS_mknodat, [BAD_FD, 0, 0o100_000 | mode, 0, 0, 0]),
            (libc::SYS_fchmod, [BAD_FD, mode, 0, 0, 0, 0]),
            (libc::SYS_fchmodat, [BAD_FD, 0, mode, 0, 0, 0]),
            (c_long::from(452), [BAD_FD, 0, mode, 0, 0, 0]),
        ];
        #[cfg(target_arch = "x86_64")]
        calls.extend([
            (libc::SYS_open, [0, create, mode, 0, 0, 0]),
            (libc::SYS_creat, [0, mode, 0, 0, 0, 0]),
            (libc::SYS_mkdir, [0, mode, 0, 0, 0, 0]),
            (libc::SYS_mknod, [0, 0o100_000 | mode, 0, 0, 0, 0]),
            (libc::SYS_chmod, [0, mode, 0, 0, 0, 0]),
        ]);
        calls
    };
    for bits in [0o4755, 0o2755, 0o6777] {
        for ((number, args), answer) in makes(bits).into_iter().zip(answers(Filter::Guard, &makes(bits))) {
            assert_eq!(answer, DENIED, "{:?} {args:x?}", name(number));
        }
        for profile in profile::names_built_in() {
            let refused = answers(Filter::Profile(profile), &makes(bits));
            assert!(refused.iter().all(|errno| [DENIED, Errno::EPERM as i32].contains(errno)), "{profile}");
        }
    }
    for ((number, args), answer) in makes(0o755).into_iter().zip(answers(Filter::Guard, &makes(0o755))) {
        assert_ne!(answer, DENIED, "{:?} {args:x?}", name(number));
    }
    // Where no file is made the kernel does not look at the mode, and programs leave anything there.
    let opens = [(libc::SYS_openat, [BAD_FD, 0, 0, 0o7777, 0, 0])];
    assert_eq!(answers(Filter::Both("static"), &opens), [Errno::EFAULT as i32]);
}

#[test]
fn no_unique_id_of_a_mount_can_be_asked_for() {
    let statx = |mask: u64| (libc::SYS_statx, [BAD_FD, 0, 0, mask, 0, 0]);
    for profile in profile::names_built_in() {
        for filter in [Filter::Guard, Filter::Profile(profile)] {
            assert_eq!(answers(filter, &[statx(0x47ff), statx(0x4000)]), [DENIED; 2]);
            assert_eq!(answers(filter, &[statx(0x7ff)]), [Errno::EFAULT as i32]);
        }
    }
    assert_eq!(answers(Filter::Guard, &[(457, [0; 6]), (458, [0; 6])]), [DENIED; 2]);
}

/// [`profile::Loaded::answer`] goes by numbers: a call that is allowed in part is not notified where it
/// is allowed.
#[test]
fn a_default_verdict_answers_what_no_line_names_and_no_attack() {
    let call = |name| names::NATIVE.call(name).unwrap().1;
    for name in ["tree", "interpreter"] {
        let built_in = Loaded::BuiltIn(profile::built_in(name).unwrap());
        assert!(built_in.profile().unwrap().entries.iter().all(|entry| {
            entry.action != seccomp::profile::model::Action::Notify || entry.when.is_empty()
        }));
        assert_eq!(built_in.answer(4242, &[0; 6]), Some(38));
        for attack in ["ptrace", "bpf", "setns", "sendto"] {
            assert_eq!(built_in.answer(call(attack), &[0; 6]), None, "{name} {attack}");
        }
    }
    let built_in = Loaded::BuiltIn(profile::built_in("static").unwrap());
    assert_eq!(built_in.answer(4242, &[0; 6]), None);
}
