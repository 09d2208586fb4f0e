//! Attacks on one wall alone: what a compromised handler tries when another wall is not there.
//!
//! `tests/isolation/denied.rs` tries the same with every wall up. docs/threats.md has each attack with its
//! walls and tests.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]
#![cfg(target_arch = "x86_64")]

mod across;
mod files;
mod guard;
mod table;
mod walls;

use common::inject::injector;
use common::kernel::Wall;
use common::{Ended, Site};

/// Runs one attempt with these walls away.
fn attempt(site: &Site, away: &[&[&str]], words: &[&str]) -> Ended {
    // A wall that this kernel has not is away already.
    let here = |wall: &&&[&str]| **wall != walls::MDWE || Wall::Mdwe.is_here();
    let rules: Vec<String> =
        away.iter().filter(here).flat_map(|wall| wall.iter().map(ToString::to_string)).collect();
    let (injector, report) = injector(&rules, &[]);
    let words: Vec<&str> = ["try"].iter().chain(words).copied().collect();
    let mut launch = site.probe(&words).options(&["--snapshot", "readonly"]).under(injector);
    let capable = ["--inh-caps", CAPABLE, "--ambient-caps", CAPABLE];
    let setpriv = common::program("setpriv").unwrap_or_default();
    if away.contains(&walls::CAPABILITIES) {
        launch = launch.before(&[&[setpriv.to_str().unwrap()], &capable[..]].concat());
    }
    let ended = launch.talk(b"some bytes\n");
    let report = report.read();
    for (index, rule) in rules.iter().enumerate() {
        assert!(report.fired_rule(index), "never applied: {rule}\n{ended}");
    }
    ended
}

/// Powers with which a handler could do harm.
const CAPABLE: &str =
    "+sys_admin,+sys_chroot,+mknod,+sys_ptrace,+net_admin,+net_raw,+setuid,+dac_read_search";

#[track_caller]
fn dies(away: &[&[&str]], words: &[&str], number: i64) {
    let Some(site) = Site::new() else { return common::skip("this test needs root") };
    let ended = attempt(&site, away, words);
    ended.expect(137, "denied");
    assert_eq!(ended.record["denied"]["nr"], number, "{words:?}\n{ended}");
}

#[track_caller]
fn answers(away: &[&[&str]], words: &[&str], errno: i32) {
    let Some(site) = Site::new() else { return common::skip("this test needs root") };
    let ended = attempt(&site, away, words);
    ended.expect(0, "exited");
    assert!(ended.text().contains(&format!("{} errno {errno} ", words[0])), "{words:?}\n{ended}");
}

/// The attack gets through where both walls are away: so it is they that stop it.
#[track_caller]
fn succeeds(away: &[&[&str]], words: &[&str]) {
    let Some(site) = Site::new() else { return common::skip("this test needs root") };
    let ended = attempt(&site, away, words);
    ended.expect(0, "exited");
    assert!(ended.text().contains(&format!("{} ok ", words[0])), "{words:?}\n{ended}");
}

/// `name: [words], walls away => the call that is denied`.
macro_rules! die {
    ($($name:ident: $words:expr, $($away:ident)|+ => $number:ident;)+) => {
        $(#[test] fn $name() { dies(&[$(walls::$away),+], &$words, libc::$number); })+
    };
}

/// `name: [words], walls away => errno`.
macro_rules! answer {
    ($($name:ident: $words:expr, $($away:ident)|+ => $errno:ident;)+) => {
        $(#[test] fn $name() { answers(&[$(walls::$away),+], &$words, libc::$errno); })+
    };
}

/// `name: [words], disabled layers => errno, by Wall, or call`. If the kernel lacks that layer, the profile
/// denies the call.
macro_rules! answer_by {
    ($($name:ident: $words:expr, $($away:ident)|+ => $errno:ident, by $wall:ident, or $number:ident;)+) => {
        $(#[test] fn $name() {
            if Wall::$wall.is_here() {
                answers(&[$(walls::$away),+], &$words, libc::$errno);
            } else {
                dies(&[walls::GUARD], &$words, libc::$number);
            }
        })+
    };
}

macro_rules! succeed {
    ($($name:ident: $words:expr, $($away:ident)|+;)+) => {
        $(#[test] fn $name() { succeeds(&[$(walls::$away),+], &$words); })+
    };
}

// The connection. Without the profile the guard answers: a notification without a listener is ENOSYS.
answer! {
    guard_alone_stops_disconnecting: ["connect_unspec"], PROFILE => ENOSYS;
    guard_alone_stops_connecting: ["connect_addr", "9"], PROFILE => ENOSYS;
    guard_alone_stops_binding: ["bind"], PROFILE => ENOSYS;
    guard_alone_stops_listening: ["listen"], PROFILE => ENOSYS;
    guard_alone_stops_accepting: ["accept"], PROFILE => ENOSYS;
    guard_alone_stops_accepting_with_flags: ["accept4"], PROFILE => ENOSYS;
    guard_alone_stops_sending_to_an_address: ["sendto_addr", "9"], PROFILE => ENOSYS;
    guard_alone_stops_fast_open: ["sendto_fastopen", "9"], PROFILE => ENOSYS;
    guard_alone_stops_fast_open_without_address: ["sendto_fastopen_flag"], PROFILE => ENOSYS;
    guard_alone_stops_urgent_data: ["sendto_oob"], PROFILE => ENOSYS;
    guard_alone_stops_receiving_urgent_data: ["recvfrom_oob"], PROFILE => ENOSYS;
    guard_alone_stops_passing_descriptors: ["sendmsg"], PROFILE => ENOSYS;
    guard_alone_stops_passing_descriptors_in_batches: ["sendmmsg"], PROFILE => ENOSYS;
    guard_alone_stops_receiving_descriptors: ["recvmsg"], PROFILE => ENOSYS;
    guard_alone_stops_receiving_descriptors_in_batches: ["recvmmsg"], PROFILE => ENOSYS;
    guard_alone_stops_socket_options: ["setsockopt"], PROFILE => ENOSYS;
    guard_alone_stops_tcp_repair: ["setsockopt_repair"], PROFILE => ENOSYS;
    guard_alone_stops_upper_layer_protocols: ["setsockopt_ulp"], PROFILE => ENOSYS;
    guard_alone_stops_binding_to_a_device: ["setsockopt_device"], PROFILE => ENOSYS;
    guard_alone_stops_attaching_programs: ["setsockopt_bpf"], PROFILE => ENOSYS;
    guard_alone_stops_listing_interfaces: ["ioctl_siocgifconf"], PROFILE => ENOSYS;
    guard_alone_keeps_the_core_limit: ["prlimit_core"], PROFILE => ENOSYS;
    guard_alone_keeps_the_core_limit_by_the_older_call: ["setrlimit_core"], PROFILE => ENOSYS;
    guard_alone_stops_owning_a_socket: ["ioctl_fiosetown"], PROFILE => ENOSYS;
    guard_alone_stops_typing: ["ioctl_tiocsti"], PROFILE => ENOSYS;
    guard_alone_stops_typing_with_high_bits: ["ioctl_tiocsti_high"], PROFILE => ENOSYS;
    guard_alone_stops_the_console: ["ioctl_tioclinux"], PROFILE => ENOSYS;
}

die! {
    profile_alone_stops_disconnecting: ["connect_unspec"], GUARD => SYS_connect;
    profile_alone_stops_connecting: ["connect_addr", "9"], GUARD => SYS_connect;
    profile_alone_stops_binding: ["bind"], GUARD => SYS_bind;
    profile_alone_stops_listening: ["listen"], GUARD => SYS_listen;
    profile_alone_stops_accepting: ["accept4"], GUARD => SYS_accept4;
    profile_alone_stops_sending_to_an_address: ["sendto_addr", "9"], GUARD => SYS_sendto;
    profile_alone_stops_fast_open: ["sendto_fastopen", "9"], GUARD => SYS_sendto;
    profile_alone_stops_fast_open_without_address: ["sendto_fastopen_flag"], GUARD => SYS_sendto;
    profile_alone_stops_urgent_data: ["sendto_oob"], GUARD => SYS_sendto;
    profile_alone_stops_passing_descriptors: ["sendmsg"], GUARD => SYS_sendmsg;
    profile_alone_stops_receiving_descriptors: ["recvmsg"], GUARD => SYS_recvmsg;
    profile_alone_stops_socket_options: ["setsockopt"], GUARD => SYS_setsockopt;
    profile_alone_stops_tcp_repair: ["setsockopt_repair"], GUARD => SYS_setsockopt;
    profile_alone_stops_upper_layer_protocols: ["setsockopt_ulp"], GUARD => SYS_setsockopt;
    profile_alone_stops_binding_to_a_device: ["setsockopt_device"], GUARD => SYS_setsockopt;
    profile_alone_stops_attaching_programs: ["setsockopt_bpf"], GUARD => SYS_setsockopt;
    profile_alone_stops_listing_interfaces: ["ioctl_siocgifconf"], GUARD => SYS_ioctl;
    profile_alone_stops_owning_a_socket: ["ioctl_fiosetown"], GUARD => SYS_ioctl;
    profile_alone_stops_typing_with_high_bits: ["ioctl_tiocsti_high"], GUARD => SYS_ioctl;
}

// New sockets. Landlock is the third layer for TCP, the empty network namespace the last.
answer! {
    guard_alone_stops_tcp: ["reach", "9"], PROFILE => ENOSYS;
    guard_alone_stops_netlink: ["socket_netlink"], PROFILE => ENOSYS;
    guard_alone_stops_the_crypto_api: ["socket_alg"], PROFILE => ENOSYS;
    guard_alone_stops_vsock: ["socket_vsock"], PROFILE => ENOSYS;
    guard_alone_stops_pairs_of_sockets: ["socketpair_datagrams"], PROFILE => ENOSYS;
    guard_alone_stops_pairs_that_keep_packets_apart: ["socketpair_packets"], PROFILE => ENOSYS;
    guard_alone_stops_pairs_of_other_families: ["socketpair_inet"], PROFILE => ENOSYS;
    guard_alone_stops_pairs_with_a_protocol: ["socketpair_protocol"], PROFILE => ENOSYS;
    guard_alone_stops_packet_sockets: ["socket_packet"], PROFILE => ENOSYS;
    the_empty_namespace_alone_stops_tcp: ["reach", "9"], PROFILE | GUARD | LANDLOCK => ENETUNREACH;
    the_empty_namespace_alone_stops_udp: ["reach_udp", "9"], PROFILE | GUARD | LANDLOCK => ENETUNREACH;
    no_capability_stops_packet_sockets: ["socket_packet"], PROFILE | GUARD | LANDLOCK => EPERM;
    no_capability_stops_raw_sockets: ["socket_raw"], PROFILE | GUARD | LANDLOCK => EPERM;
    landlock_alone_stops_abstract_sockets: ["reach_abstract", "dayfly-nobody"], PROFILE | GUARD => ECONNREFUSED;
}

answer_by! {
    landlock_alone_stops_tcp: ["reach", "9"], PROFILE | GUARD | NETWORK => EACCES, by LandlockNet, or SYS_socket;
}

die! {
    profile_alone_stops_tcp: ["reach", "9"], GUARD => SYS_socket;
    profile_alone_stops_netlink: ["socket_netlink"], GUARD => SYS_socket;
    profile_alone_stops_the_crypto_api: ["socket_alg"], GUARD => SYS_socket;
    profile_alone_stops_pairs_of_sockets: ["socketpair"], GUARD => SYS_socketpair;
    profile_alone_stops_tcp_in_the_hosts_namespace: ["reach", "9"], GUARD | NETWORK | LANDLOCK => SYS_socket;
}

// Running another program.
answer! {
    landlock_alone_stops_another_program: ["execveat", "/bin/other"], NOEXEC | PROFILE | GUARD => EACCES;
    noexec_alone_stops_another_program: ["execveat", "/bin/other"], LANDLOCK | PROFILE | GUARD => EACCES;
    noexec_alone_stops_the_program_again: ["execve", "/bin/probe"], LANDLOCK | PROFILE | GUARD => EACCES;
}

die! {
    profile_alone_stops_execve: ["execve", "/bin/other"], NOEXEC | LANDLOCK | GUARD => SYS_execve;
}

// Code made at run time.
answer_by! {
    mdwe_alone_stops_making_code: ["mprotect_exec"], PROFILE | GUARD => EACCES, by Mdwe, or SYS_mprotect;
    mdwe_alone_stops_code_that_can_be_written: ["mmap_write_exec"], PROFILE | GUARD => EACCES, by Mdwe, or SYS_mmap;
}

die! {
    profile_alone_stops_making_code: ["mprotect_exec"], MDWE | GUARD => SYS_mprotect;
    profile_alone_stops_code_that_can_be_written: ["mmap_write_exec"], MDWE | GUARD => SYS_mmap;
}

// Namespaces, mounts, other processes, the kernel.
answer! {
    guard_alone_stops_user_namespaces: ["unshare_newuser"], PROFILE => ENOSYS;
    guard_alone_stops_cloning_into_namespaces: ["clone_newuser"], PROFILE => ENOSYS;
    guard_alone_stops_entering_namespaces: ["setns"], PROFILE => ENOSYS;
    guard_alone_stops_mounts: ["mount"], PROFILE => ENOSYS;
    guard_alone_stops_detached_mounts: ["open_tree"], PROFILE => ENOSYS;
    guard_alone_stops_unmounting: ["umount2"], PROFILE => ENOSYS;
    guard_alone_stops_changing_the_root: ["pivot_root"], PROFILE => ENOSYS;
    guard_alone_stops_chroot: ["chroot", "/tmp"], PROFILE => ENOSYS;
    guard_alone_stops_tracing: ["ptrace"], PROFILE => ENOSYS;
    guard_alone_stops_reading_others_memory: ["process_vm_readv"], PROFILE => ENOSYS;
    guard_alone_stops_programs_for_the_kernel: ["bpf"], PROFILE => ENOSYS;
    guard_alone_stops_rings: ["io_uring_setup"], PROFILE => ENOSYS;
    guard_alone_stops_keyrings: ["keyctl"], PROFILE => ENOSYS;
    guard_alone_stops_adding_keys: ["add_key"], PROFILE => ENOSYS;
    guard_alone_stops_page_faults_by_hand: ["userfaultfd"], PROFILE => ENOSYS;
    guard_alone_stops_perf_events: ["perf_event_open"], PROFILE => ENOSYS;
    guard_alone_stops_files_by_handle: ["open_by_handle_at"], PROFILE => ENOSYS;
    guard_alone_stops_modules: ["init_module"], PROFILE => ENOSYS;
    guard_alone_stops_the_x32_door: ["x32"], PROFILE => ENOSYS;
    guard_alone_hides_clone3: ["clone3_newuser"], PROFILE => ENOSYS;
    no_capability_stops_mounts: ["mount"], PROFILE | GUARD | LANDLOCK => EPERM;
    no_capability_stops_chroot: ["chroot", "/tmp"], PROFILE | GUARD | LANDLOCK => EPERM;
    no_capability_stops_device_nodes: ["mknod", "/tmp/null"], PROFILE | GUARD | LANDLOCK => EPERM;
    no_capability_stops_another_uid: ["setuid"], PROFILE | GUARD | LANDLOCK => EPERM;
    no_capability_stops_files_by_handle: ["open_by_handle_at"], PROFILE | GUARD | LANDLOCK => EPERM;
    landlock_alone_stops_mounts: ["mount"], PROFILE | GUARD | CAPABILITIES => EPERM;
    landlock_alone_stops_device_nodes: ["mknod", "/tmp/null"], PROFILE | GUARD | CAPABILITIES => EACCES;
    the_limit_alone_stops_other_processes: ["clone"], PROFILE | GUARD => EAGAIN;
}

die! {
    profile_alone_stops_user_namespaces: ["unshare_newuser"], GUARD => SYS_unshare;
    profile_alone_stops_cloning_into_namespaces: ["clone_newuser"], GUARD => SYS_clone;
    profile_alone_stops_entering_namespaces: ["setns"], GUARD => SYS_setns;
    profile_alone_stops_tracing: ["ptrace"], GUARD => SYS_ptrace;
    profile_alone_stops_programs_for_the_kernel: ["bpf"], GUARD => SYS_bpf;
    profile_alone_stops_rings: ["io_uring_setup"], GUARD => SYS_io_uring_setup;
    profile_alone_stops_keyrings: ["keyctl"], GUARD => SYS_keyctl;
    profile_alone_stops_other_processes: ["clone"], GUARD | NPROC => SYS_clone;
    profile_alone_stops_mounts_by_root: ["mount"], GUARD | LANDLOCK | CAPABILITIES => SYS_mount;
    profile_alone_stops_chroot_by_root: ["chroot", "/tmp"], GUARD | LANDLOCK | CAPABILITIES => SYS_chroot;
    profile_alone_stops_device_nodes_by_root: ["mknod", "/tmp/null"], GUARD | LANDLOCK | CAPABILITIES => SYS_mknodat;
}

/// Taken apart, it cannot even carry the answer.
#[test]
fn without_filters_the_connection_is_a_hole() {
    let Some(site) = Site::new() else { return common::skip("this test needs root") };
    let ended = attempt(&site, &[walls::PROFILE, walls::GUARD], &["connect_unspec"]);
    assert_eq!(ended.text(), "", "{ended}");
    assert!(ended.err.contains("Connection reset") || ended.err.contains("Broken pipe"), "{ended}");
}

// With all walls of an attack away it works: it was they that stopped it, and the tests above can fail.
succeed! {
    without_filters_and_capability_drop_it_mounts: ["mount"], PROFILE | GUARD | LANDLOCK | CAPABILITIES;
    without_filters_and_capability_drop_it_makes_devices: ["mknod", "/tmp/null"], PROFILE | GUARD | LANDLOCK | CAPABILITIES;
    without_filters_it_makes_a_user_namespace: ["unshare_newuser"], PROFILE | GUARD;
    without_filters_it_opens_a_netlink_socket: ["socket_netlink"], PROFILE | GUARD;
    without_filters_and_mdwe_it_makes_code: ["mprotect_exec"], PROFILE | GUARD | MDWE;
    without_filters_and_limit_it_makes_processes: ["clone"], PROFILE | GUARD | NPROC;
}
