//! Attempts of a compromised handler: each alone, under the default profile, over a real TCP connection.
//!
//! Most calls end the handler, and the record says which call it was. A few are answered with an errno
//! instead, for the reason given beside them.

use common::{Ended, a_site};
use std::net::TcpListener;

/// Runs one attempt over both kinds of rootfs; returns None where the test was skipped.
fn attempt(words: &[&str]) -> Vec<Ended> {
    let Some(site) = common::Site::new() else {
        common::skip("this test needs root");
        return Vec::new();
    };
    let words: Vec<&str> = ["try"].iter().chain(words).copied().collect();
    let run = |kind| site.probe(&words).options(&["--snapshot", kind]).talk(b"some bytes\n");
    ["readonly", "overlay"].map(run).into()
}

#[track_caller]
fn dies(words: &[&str], number: i64) {
    for ended in attempt(words) {
        ended.expect(137, "denied");
        assert_eq!(ended.record["denied"]["nr"], number, "{words:?}\n{ended}");
        assert_eq!(ended.text(), "", "{words:?}: the attempt was answered");
    }
}

#[track_caller]
fn answers(words: &[&str], errno: i32) {
    for ended in attempt(words) {
        ended.expect(0, "exited");
        assert!(ended.text().starts_with(&format!("{} errno {errno} ", words[0])), "{words:?}\n{ended}");
    }
}

#[track_caller]
fn works(words: &[&str]) {
    for ended in attempt(words) {
        ended.expect(0, "exited");
        assert!(ended.text().contains(&format!("{} ok ", words[0])), "{words:?}\n{ended}");
    }
}

/// One test per attempt: its name, the probe's words, the number of the call that must not be executed.
macro_rules! die {
    ($($name:ident: [$($word:expr),+] => $number:ident;)+) => {
        $(#[test] fn $name() { dies(&[$($word),+], libc::$number); })+
    };
}

// The connection is a hole in the network namespace, and there are no other sockets.
die! {
    socket_inet: ["socket_inet"] => SYS_socket;
    socket_inet6: ["socket_inet6"] => SYS_socket;
    socket_unix: ["socket_unix"] => SYS_socket;
    socket_netlink: ["socket_netlink"] => SYS_socket;
    socket_of_the_crypto_api: ["socket_alg"] => SYS_socket;
    socket_vsock: ["socket_vsock"] => SYS_socket;
    socketpair: ["socketpair"] => SYS_socketpair;
    connect_to_unspec_on_the_connection: ["connect_unspec"] => SYS_connect;
    connect_to_the_hosts_loopback: ["connect_addr", "9"] => SYS_connect;
    bind: ["bind"] => SYS_bind;
    listen_on_the_connection: ["listen"] => SYS_listen;
    accept_on_the_connection: ["accept"] => SYS_accept;
    accept4_on_the_connection: ["accept4"] => SYS_accept4;
    sendto_with_an_address: ["sendto_addr", "9"] => SYS_sendto;
    sendto_with_fastopen: ["sendto_fastopen", "9"] => SYS_sendto;
    sendto_with_fastopen_and_no_address: ["sendto_fastopen_flag"] => SYS_sendto;
    sendto_out_of_band: ["sendto_oob"] => SYS_sendto;
    sendmsg: ["sendmsg"] => SYS_sendmsg;
    sendmmsg: ["sendmmsg"] => SYS_sendmmsg;
    recvmsg: ["recvmsg"] => SYS_recvmsg;
    recvmmsg: ["recvmmsg"] => SYS_recvmmsg;
    setsockopt: ["setsockopt"] => SYS_setsockopt;
    recvfrom_out_of_band: ["recvfrom_oob"] => SYS_recvfrom;
    socketpair_of_datagrams: ["socketpair_datagrams"] => SYS_socketpair;
    ioctl_that_types_into_a_terminal: ["ioctl_tiocsti"] => SYS_ioctl;
    ioctl_that_types_with_high_bits_set: ["ioctl_tiocsti_high"] => SYS_ioctl;
    ioctl_of_the_console: ["ioctl_tioclinux"] => SYS_ioctl;
    ioctl_that_lists_the_hosts_interfaces: ["ioctl_siocgifconf"] => SYS_ioctl;
    ioctl_fionread: ["ioctl_fionread"] => SYS_ioctl;
    ioctl_that_asks_for_signals: ["ioctl_fiosetown"] => SYS_ioctl;
}

// No other process, no other user, no second program.
die! {
    clone_like_fork: ["clone"] => SYS_clone;
    clone_like_vfork: ["vfork"] => SYS_clone;
    clone_with_a_user_namespace: ["clone_newuser"] => SYS_clone;
    clone_with_a_network_namespace: ["clone_newnet"] => SYS_clone;
    unshare_of_the_user_namespace: ["unshare_newuser"] => SYS_unshare;
    unshare_of_the_mount_namespace: ["unshare_newns"] => SYS_unshare;
    unshare_without_namespaces: ["unshare_fs"] => SYS_unshare;
    setns: ["setns"] => SYS_setns;
    ptrace: ["ptrace"] => SYS_ptrace;
    kill: ["kill"] => SYS_kill;
    pidfd_open: ["pidfd_open"] => SYS_pidfd_open;
    process_vm_readv: ["process_vm_readv"] => SYS_process_vm_readv;
    execve_of_the_handler_itself: ["execve", "/bin/probe"] => SYS_execve;
    execve_of_another_executable: ["execve", "/bin/other"] => SYS_execve;
    setsid: ["setsid"] => SYS_setsid;
    personality: ["personality"] => SYS_personality;
    setuid: ["setuid"] => SYS_setuid;
    setresuid: ["setresuid"] => SYS_setresuid;
    setgid: ["setgid"] => SYS_setgid;
    setgroups: ["setgroups"] => SYS_setgroups;
    capset: ["capset"] => SYS_capset;
    setpriority: ["setpriority"] => SYS_setpriority;
}

// The rest of the kernel.
die! {
    mount: ["mount"] => SYS_mount;
    umount2: ["umount2"] => SYS_umount2;
    open_tree: ["open_tree"] => SYS_open_tree;
    fsopen: ["fsopen"] => SYS_fsopen;
    move_mount: ["move_mount"] => SYS_move_mount;
    mount_setattr: ["mount_setattr"] => SYS_mount_setattr;
    pivot_root: ["pivot_root"] => SYS_pivot_root;
    chroot: ["chroot", "/tmp"] => SYS_chroot;
    mknod: ["mknod", "/tmp/null"] => SYS_mknodat;
    bpf: ["bpf"] => SYS_bpf;
    seccomp: ["seccomp"] => SYS_seccomp;
    io_uring_setup: ["io_uring_setup"] => SYS_io_uring_setup;
    userfaultfd: ["userfaultfd"] => SYS_userfaultfd;
    keyctl: ["keyctl"] => SYS_keyctl;
    add_key: ["add_key"] => SYS_add_key;
    request_key: ["request_key"] => SYS_request_key;
    perf_event_open: ["perf_event_open"] => SYS_perf_event_open;
    open_by_handle_at: ["open_by_handle_at"] => SYS_open_by_handle_at;
    name_to_handle_at: ["name_to_handle_at"] => SYS_name_to_handle_at;
    init_module: ["init_module"] => SYS_init_module;
    kexec_load: ["kexec_load"] => SYS_kexec_load;
    reboot: ["reboot"] => SYS_reboot;
    swapon: ["swapon"] => SYS_swapon;
    sethostname: ["sethostname"] => SYS_sethostname;
    the_kernel_log: ["syslog"] => SYS_syslog;
    landlock_restrict_self: ["landlock_restrict_self"] => SYS_landlock_restrict_self;
    prctl_about_seccomp: ["prctl_seccomp"] => SYS_prctl;
    prctl_that_makes_dumpable: ["prctl_dumpable"] => SYS_prctl;
    prctl_that_outlives_the_launcher: ["prctl_pdeathsig"] => SYS_prctl;
    prctl_that_reads_the_bounding_set: ["prctl_capbset"] => SYS_prctl;
}

// Descriptors and files that other sandboxes see too.
die! {
    memfd_create: ["memfd_create"] => SYS_memfd_create;
    sendfile: ["sendfile", "/srv/hello"] => SYS_sendfile;
    splice: ["splice"] => SYS_splice;
    tee: ["tee"] => SYS_tee;
    vmsplice: ["vmsplice"] => SYS_vmsplice;
    mincore: ["mincore"] => SYS_mincore;
    inotify_init1: ["inotify_init1"] => SYS_inotify_init1;
    flock: ["flock", "/srv/hello"] => SYS_flock;
    fcntl_that_locks: ["fcntl_setlk", "/srv/hello"] => SYS_fcntl;
    fcntl_that_watches_a_directory: ["fcntl_notify"] => SYS_fcntl;
    fcntl_that_asks_for_signals: ["fcntl_setown"] => SYS_fcntl;
    fcntl_that_grows_a_pipe: ["fcntl_setpipe_sz"] => SYS_fcntl;
    fcntl_that_makes_asynchronous: ["fcntl_async"] => SYS_fcntl;
    pkey_mprotect_of_code: ["pkey_mprotect_exec"] => SYS_pkey_mprotect;
    mmap_of_code: ["mmap_exec"] => SYS_mmap;
    mmap_of_code_that_can_be_written: ["mmap_write_exec"] => SYS_mmap;
    mmap_of_a_file_as_code: ["mmap_file_exec", "/srv/hello"] => SYS_mmap;
    mmap_of_huge_pages: ["mmap_huge"] => SYS_mmap;
    mprotect_into_code: ["mprotect_exec"] => SYS_mprotect;
}

#[cfg(target_arch = "x86_64")]
#[test]
fn fork_by_its_old_number() {
    dies(&["fork"], libc::SYS_fork);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_call_through_the_x32_door() {
    dies(&["x32"], 0x4000_0000 + libc::SYS_getpid);
}

/// The number alone would be writev's, so the record cannot name the call; that it did not run is
/// what counts.
#[cfg(target_arch = "x86_64")]
#[test]
fn a_call_through_the_32_bit_door() {
    for ended in attempt(&["int80"]) {
        assert!([137, 139, 159].contains(&ended.status), "{ended}");
        assert_eq!(ended.text(), "", "{ended}");
    }
}

#[test]
fn a_number_that_does_not_exist() {
    dies(&["nonexistent"], 4242);
}

/// Its flags lie in memory, where no filter can look. ENOSYS makes a libc fall back to clone, which is
/// denied above.
#[test]
fn clone3_does_not_exist() {
    answers(&["clone3"], libc::ENOSYS);
    answers(&["clone3_newuser"], libc::ENOSYS);
}

/// Static glibc asks for a limit at start-up, so that this one is refused without dying; raised it is not.
#[test]
fn prlimit_that_would_bring_the_exec_descriptor_within_reach() {
    answers(&["prlimit"], libc::EPERM);
}

/// Three walls: nothing in the tree is executable, Landlock knows one file, and the descriptor has gone. The
/// filter lets this one shape of the call through, because the launcher's own exec needed it.
#[test]
fn execveat_with_an_empty_path_finds_the_descriptor_closed() {
    answers(&["execveat", ""], libc::EBADF);
}

#[test]
fn execveat_with_a_relative_path_finds_the_descriptor_closed() {
    answers(&["execveat", "bin/probe"], libc::EBADF);
    answers(&["execveat", "bin/other"], libc::EBADF);
}

/// The kernel ignores the descriptor for an absolute path, and the filter cannot read the path.
#[test]
fn execveat_with_an_absolute_path_is_not_executable() {
    answers(&["execveat", "/bin/probe"], libc::EACCES);
    answers(&["execveat", "/bin/other"], libc::EACCES);
}

#[test]
fn execveat_in_any_other_shape() {
    dies(&["execveat_plain", "/bin/probe"], libc::SYS_execveat);
    dies(&["execveat_plain", "bin/other"], libc::SYS_execveat);
}

#[test]
fn a_file_written_inside_cannot_be_executed_either() {
    let site = a_site!();
    let options = ["--snapshot", "overlay"];
    let ended = site.probe(&["try", "execveat", "/srv/hello"]).options(&options).talk(b"");
    ended.expect(0, "exited");
    assert!(ended.text().contains(&format!("errno {} ", libc::EACCES)), "{ended}");
}

/// Merged pages (KSM) and those put out of memory show, by the time they take, what others have there.
/// As on a kernel that does not have the call: libc goes on with another.
#[test]
fn statx_of_the_ids_that_count_all_mounts() {
    answers(&["unique_mount_id", "/"], libc::ENOSYS);
}

#[test]
fn madvise_about_pages_that_others_share() {
    answers(&["madvise_merge"], libc::EINVAL);
    answers(&["madvise_page_out"], libc::EINVAL);
}

#[test]
fn no_descriptor_can_be_put_where_the_exec_one_was() {
    #[cfg(target_arch = "x86_64")]
    answers(&["dup2_63"], libc::EBADF);
    answers(&["dup3_63"], libc::EBADF);
    answers(&["fcntl_dupfd_63"], libc::EINVAL);
}

#[test]
fn a_terminal_query_is_answered_as_on_any_socket() {
    // printf(3) of musl asks this before its first write.
    answers(&["ioctl_tiocgwinsz"], libc::ENOTTY);
    answers(&["ioctl_tcgets"], libc::ENOTTY);
}

/// Python's fromfd, Rust's from_raw_fd and Go's FileConn work on a copy.
#[test]
fn a_copy_of_the_connection_is_one_too() {
    works(&["copy_of_the_connection"]);
    answers(&["getpeername_other"], libc::EBADF);
    answers(&["shutdown_other"], libc::EBADF);
}

#[test]
fn a_socket_says_what_it_is() {
    works(&["getsockopt_type"]);
    answers(&["getsockopt_filter"], libc::ENOPROTOOPT);
}

/// The launcher has set it: not to be made, and no lie.
#[test]
fn nodelay_is_set_already() {
    works(&["setsockopt_nodelay"]);
}

#[test]
fn what_fcntl_may_do_ioctl_may_too() {
    works(&["ioctl_fionbio"]);
    answers(&["ioctl_tcgets2"], libc::ENOTTY);
    answers(&["ioctl_tcgets2_signed"], libc::ENOTTY);
}

#[test]
fn plain_sending_on_the_connection_and_asking_who_is_there_work() {
    works(&["sendto"]);
    works(&["getpeername"]);
    works(&["fcntl_getfl"]);
}

/// Denied means not executed: nobody knocks at the port that the handler wanted to reach.
#[test]
fn a_denied_way_out_has_reached_nobody() {
    let site = a_site!();
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    host.set_nonblocking(true).unwrap();
    let port = host.local_addr().unwrap().port().to_string();
    for name in ["connect_addr", "sendto_fastopen", "sendto_addr"] {
        site.probe(&["try", name, &port]).talk(b"").expect(137, "denied");
        let knocked = host.accept();
        assert!(knocked.is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock), "{name} came through");
    }
}
