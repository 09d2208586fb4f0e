//! Every call that the guard denies, by a list of the test's own: the guard's table would agree with itself
//! whatever it lacks.

use crate::walls;
use common::a_site;
use common::inject::injector;
use std::collections::BTreeMap;

/// Names and numbers as in arch/x86/entry/syscalls/syscall_64.tbl of the kernel.
const DENIED: &[(&str, i64)] = &[
    ("socket", 41),
    ("connect", 42),
    ("accept", 43),
    ("sendmsg", 46),
    ("recvmsg", 47),
    ("bind", 49),
    ("listen", 50),
    ("socketpair", 53),
    ("setsockopt", 54),
    ("ptrace", 101),
    ("pivot_root", 155),
    ("chroot", 161),
    ("mount", 165),
    ("umount2", 166),
    ("init_module", 175),
    ("delete_module", 176),
    ("kexec_load", 246),
    ("add_key", 248),
    ("request_key", 249),
    ("keyctl", 250),
    ("unshare", 272),
    ("accept4", 288),
    ("perf_event_open", 298),
    ("recvmmsg", 299),
    ("open_by_handle_at", 304),
    ("sendmmsg", 307),
    ("setns", 308),
    ("process_vm_readv", 310),
    ("process_vm_writev", 311),
    ("kcmp", 312),
    ("finit_module", 313),
    ("kexec_file_load", 320),
    ("bpf", 321),
    ("userfaultfd", 323),
    ("io_uring_setup", 425),
    ("io_uring_enter", 426),
    ("io_uring_register", 427),
    ("open_tree", 428),
    ("move_mount", 429),
    ("fsopen", 430),
    ("fsconfig", 431),
    ("fsmount", 432),
    ("fspick", 433),
    ("clone3", 435),
    ("pidfd_getfd", 438),
    ("mount_setattr", 442),
    ("open_tree_attr", 467),
];

/// The answer to each call, made with zeros, with these layers disabled.
fn answers(away: &[&[&str]]) -> Option<BTreeMap<String, String>> {
    let site = common::Site::new()?;
    let rules: Vec<String> = away.iter().flat_map(|wall| wall.iter().map(ToString::to_string)).collect();
    let (injector, report) = injector(&rules, &[]);
    let calls: Vec<String> = DENIED.iter().map(|(name, number)| format!("{name}={number}")).collect();
    let words: Vec<&str> = ["answers"].into_iter().chain(calls.iter().map(String::as_str)).collect();
    let ended = site.probe(&words).options(&["--snapshot", "readonly"]).under(injector).talk(b"");
    ended.expect(0, "exited");
    drop(report);
    let lines = ended.text();
    let lines = lines.lines().filter_map(|line| line.split_once(' '));
    Some(lines.map(|(name, answer)| (name.to_owned(), answer.to_owned())).collect())
}

/// A notification without a listener is ENOSYS. The guard itself answers clone3 with it too.
#[test]
fn guard_alone_stops_every_call_of_its_list() {
    let _needs_root = a_site!();
    let Some(guarded) = answers(&[walls::PROFILE]) else { return };
    let refused = format!("errno {}", libc::ENOSYS);
    for (name, _) in DENIED {
        assert_eq!(guarded[*name], refused, "{name} of {guarded:#?}");
    }
}

/// So it is the guard that stops them, and not a kernel without the call.
#[test]
fn without_filters_the_kernel_answers_the_guards_calls_itself() {
    let _needs_root = a_site!();
    let Some(open) = answers(&[walls::PROFILE, walls::GUARD]) else { return };
    let refused = format!("errno {}", libc::ENOSYS);
    let silent: Vec<_> = DENIED.iter().map(|(name, _)| *name).filter(|name| open[*name] == refused).collect();
    // A kernel may lack a few, by its age or by its configuration.
    let may_lack = [
        "kcmp",
        "kexec_load",
        "kexec_file_load",
        "init_module",
        "finit_module",
        "delete_module",
        "userfaultfd",
    ];
    let unexpected: Vec<_> =
        silent.iter().filter(|name| !may_lack.contains(name) && **name != "open_tree_attr").collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
}
