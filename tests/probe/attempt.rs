//! `probe try NAME [ARG]`: exactly one attempt, then one line saying how the kernel answered.

use crate::{Answer, call, change, memory, place, socket, system, tree};

/// The answer of `try` to an unknown attempt: the test is wrong, not the sandbox.
const UNKNOWN: i32 = 64;

pub fn attempt(args: &[String]) -> i32 {
    let name = args.first().map_or("", String::as_str);
    let text = args.get(1).map_or("", String::as_str);
    let families =
        [of_sockets, of_processes, of_system, of_memory_and_files, of_descriptors, change::attempt];
    let Some(answer) = families.iter().find_map(|family| family(name, text)) else {
        eprintln!("probe: no attempt {name:?}");
        return UNKNOWN;
    };
    match answer {
        Ok(value) => println!("{name} ok {value}"),
        Err(errno) => println!("{name} errno {errno} ({})", std::io::Error::from_raw_os_error(errno)),
    }
    0
}

fn of_sockets(name: &str, text: &str) -> Option<Answer> {
    Some(match name {
        "socket_inet" => socket::socket(libc::AF_INET, libc::SOCK_STREAM),
        "socket_inet6" => socket::socket(libc::AF_INET6, libc::SOCK_DGRAM),
        "socket_unix" => socket::socket(libc::AF_UNIX, libc::SOCK_STREAM),
        "socket_netlink" => socket::socket(libc::AF_NETLINK, libc::SOCK_RAW),
        "socket_alg" => socket::socket(libc::AF_ALG, libc::SOCK_SEQPACKET),
        "socket_vsock" => socket::socket(libc::AF_VSOCK, libc::SOCK_STREAM),
        "socketpair" => socket::socketpair(),
        "socketpair_datagrams" => socket::pair_of(libc::AF_UNIX, libc::SOCK_DGRAM, 0),
        "socketpair_packets" => socket::pair_of(libc::AF_UNIX, libc::SOCK_SEQPACKET, 0),
        "socketpair_inet" => socket::pair_of(libc::AF_INET, libc::SOCK_STREAM, 0),
        "socketpair_protocol" => socket::pair_of(libc::AF_UNIX, libc::SOCK_STREAM, 1),
        "copy_of_the_connection" => socket::use_a_copy(),
        "getsockopt_type" => socket::get_option(libc::SOL_SOCKET, libc::SO_TYPE),
        "getsockopt_filter" => socket::get_option(libc::SOL_SOCKET, 26),
        "setsockopt_nodelay" => socket::set_option(libc::IPPROTO_TCP, libc::TCP_NODELAY, &1i32.to_ne_bytes()),
        "ioctl_fionbio" => socket::set_nonblocking_by_ioctl(),
        "ioctl_tcgets2" => socket::ioctl(0x802c_542a),
        "ioctl_tcgets2_signed" => socket::ioctl(0xffff_ffff_802c_542a),
        "recvfrom_oob" => socket::receive_out_of_band(),
        "connect_unspec" => socket::connect_unspec(0),
        "connect_addr" => socket::connect_address(text),
        "bind" => socket::bind(),
        "listen" => socket::listen(),
        "accept" => socket::accept(),
        "accept4" => socket::accept4(),
        "sendto" => socket::sendto_plain(),
        "sendto_addr" => socket::sendto_address(text),
        "sendto_fastopen" => socket::sendto_fastopen(text),
        "sendto_fastopen_flag" => socket::sendto_fastopen_flag(),
        "sendto_oob" => socket::sendto_oob(),
        "sendmsg" => socket::sendmsg(),
        "sendmmsg" => socket::sendmmsg(),
        "recvmsg" => socket::recvmsg(),
        "recvmmsg" => socket::recvmmsg(),
        "setsockopt" => socket::setsockopt(),
        "setsockopt_repair" => socket::set_option(libc::IPPROTO_TCP, libc::TCP_REPAIR, &1i32.to_ne_bytes()),
        "setsockopt_ulp" => socket::set_option(libc::IPPROTO_TCP, libc::TCP_ULP, b"tls"),
        "setsockopt_device" => socket::set_option(libc::SOL_SOCKET, libc::SO_BINDTODEVICE, b"lo"),
        "setsockopt_bpf" => socket::set_option(libc::SOL_SOCKET, libc::SO_ATTACH_BPF, &0i32.to_ne_bytes()),
        "reach" => socket::reach(libc::SOCK_STREAM, text),
        "reach_udp" => socket::reach(libc::SOCK_DGRAM, text),
        "reach_abstract" => socket::reach_abstract(text),
        "hold_abstract" => socket::hold_abstract(text),
        "socket_packet" => socket::socket(libc::AF_PACKET, libc::SOCK_RAW),
        "socket_raw" => call(libc::SYS_socket, [2, 3, libc::IPPROTO_ICMP.into(), 0, 0, 0]),
        "getpeername" => socket::getpeername(0),
        "getpeername_other" => socket::getpeername(5),
        "shutdown_other" => call(libc::SYS_shutdown, [5, 1, 0, 0, 0, 0]),
        "ioctl_tiocgwinsz" => socket::ioctl(0x5413),
        "ioctl_tcgets" => socket::ioctl(0x5401),
        "ioctl_tiocsti" => socket::ioctl(0x5412),
        "ioctl_tioclinux" => socket::ioctl(0x541c),
        // The upper half of the request is not looked at by the kernel and must not hide the lower.
        "ioctl_tiocsti_high" => socket::ioctl(0x1_0000_5412),
        "ioctl_siocgifconf" => socket::ioctl(0x8912),
        "ioctl_snapshot" => tree::ask_btrfs(0x5000_9417),
        "ioctl_subvolume" => tree::ask_btrfs(0x5000_940e),
        "ioctl_destroy" => tree::ask_btrfs(0x5000_940f),
        "ioctl_fionread" => socket::ioctl(0x541b),
        "ioctl_fiosetown" => socket::ioctl(0x8901),
        _ => return None,
    })
}

fn of_processes(name: &str, text: &str) -> Option<Answer> {
    Some(match name {
        "clone" => system::clone(0),
        "clone_newuser" => system::clone(libc::CLONE_NEWUSER),
        "clone_newnet" => system::clone(libc::CLONE_NEWNET),
        "clone3" => system::clone3(0),
        "clone3_newuser" => system::clone3(libc::CLONE_NEWUSER),
        #[cfg(target_arch = "x86_64")]
        "fork" => call(libc::SYS_fork, [0; 6]),
        "vfork" => system::clone(libc::CLONE_VFORK),
        "unshare_newuser" => system::unshare(libc::CLONE_NEWUSER),
        "unshare_newns" => system::unshare(libc::CLONE_NEWNS),
        "unshare_fs" => system::unshare(libc::CLONE_FS),
        "setns" => call(libc::SYS_setns, [0, 0, 0, 0, 0, 0]),
        "ptrace" => call(libc::SYS_ptrace, [libc::PTRACE_TRACEME.into(), 0, 0, 0, 0, 0]),
        "kill" => call(libc::SYS_kill, [1, 0, 0, 0, 0, 0]),
        "pidfd_open" => call(libc::SYS_pidfd_open, [1, 0, 0, 0, 0, 0]),
        "process_vm_readv" => system::read_other_memory(),
        "execve" => system::execve(text),
        "execveat" => system::execveat(text),
        "execveat_plain" => system::execveat_plain(text),
        "setsid" => call(libc::SYS_setsid, [0; 6]),
        "personality" => call(libc::SYS_personality, [0x0004_0000, 0, 0, 0, 0, 0]),
        "setuid" => call(libc::SYS_setuid, [0; 6]),
        "setresuid" => call(libc::SYS_setresuid, [0; 6]),
        "setgid" => call(libc::SYS_setgid, [0; 6]),
        "setgroups" => call(libc::SYS_setgroups, [0; 6]),
        "capset" => system::capset(),
        "prlimit" => system::raise_limit(),
        "prlimit_core" => system::lower_core_limit(libc::SYS_prlimit64),
        "setrlimit_core" => system::lower_core_limit(libc::SYS_setrlimit),
        "setpriority" => call(libc::SYS_setpriority, [0, 0, -20, 0, 0, 0]),
        _ => return None,
    })
}

fn of_system(name: &str, text: &str) -> Option<Answer> {
    Some(match name {
        "mount" => system::mount(),
        "umount2" => system::umount(),
        "open_tree" => call(libc::SYS_open_tree, [-100, c"/".as_ptr() as i64, 1, 0, 0, 0]),
        "fsopen" => call(libc::SYS_fsopen, [c"tmpfs".as_ptr() as i64, 0, 0, 0, 0, 0]),
        "move_mount" => call(libc::SYS_move_mount, [0, 0, -100, c"/tmp".as_ptr() as i64, 4, 0]),
        "mount_setattr" => call(libc::SYS_mount_setattr, [-100, c"/".as_ptr() as i64, 0, 0, 32, 0]),
        "pivot_root" => call(libc::SYS_pivot_root, [c"/".as_ptr() as i64, c"/".as_ptr() as i64, 0, 0, 0, 0]),
        "chroot" => tree::chroot(text),
        "bpf" => call(libc::SYS_bpf, [0; 6]),
        "seccomp" => system::seccomp(),
        "io_uring_setup" => system::io_uring(),
        "userfaultfd" => call(libc::SYS_userfaultfd, [1, 0, 0, 0, 0, 0]),
        "keyctl" => call(libc::SYS_keyctl, [0, -3, 0, 0, 0, 0]),
        "add_key" => call(libc::SYS_add_key, [c"user".as_ptr() as i64, c"k".as_ptr() as i64, 0, 0, -3, 0]),
        "request_key" => {
            call(libc::SYS_request_key, [c"user".as_ptr() as i64, c"k".as_ptr() as i64, 0, 0, 0, 0])
        }
        "perf_event_open" => system::perf_event(),
        "open_by_handle_at" => system::open_by_handle(),
        "name_to_handle_at" => system::name_to_handle(),
        "init_module" => call(libc::SYS_init_module, [0; 6]),
        "kexec_load" => call(libc::SYS_kexec_load, [0; 6]),
        "reboot" => call(libc::SYS_reboot, [0; 6]),
        "swapon" => call(libc::SYS_swapon, [0; 6]),
        "sethostname" => call(libc::SYS_sethostname, [c"owned".as_ptr() as i64, 5, 0, 0, 0, 0]),
        "syslog" => call(libc::SYS_syslog, [3, 0, 0, 0, 0, 0]),
        "landlock_restrict_self" => call(libc::SYS_landlock_restrict_self, [0; 6]),
        "prctl_seccomp" => system::prctl(libc::PR_GET_SECCOMP),
        "prctl_dumpable" => system::prctl_set(libc::PR_SET_DUMPABLE, 1),
        "prctl_pdeathsig" => system::prctl_set(libc::PR_SET_PDEATHSIG, 0),
        "prctl_capbset" => system::prctl_set(libc::PR_CAPBSET_READ, 0),
        #[cfg(target_arch = "x86_64")]
        "x32" => system::x32(),
        #[cfg(target_arch = "x86_64")]
        "int80" => system::int80(),
        "nonexistent" => call(4242, [1, 2, 3, 4, 5, 6]),
        _ => return None,
    })
}

fn of_memory_and_files(name: &str, text: &str) -> Option<Answer> {
    Some(match name {
        "mmap_exec" => memory::mmap_exec(),
        "mmap_write_exec" => memory::mmap_write_exec(),
        "mmap_huge" => memory::mmap_huge(),
        "madvise_merge" => memory::advise(libc::MADV_MERGEABLE),
        "madvise_page_out" => memory::advise(libc::MADV_PAGEOUT),
        "mmap_file_exec" => memory::mmap_file_exec(text),
        "mprotect_exec" => memory::mprotect_exec(),
        "pkey_mprotect_exec" => memory::pkey_mprotect_exec(),
        "open" => tree::open(text),
        "write" => tree::write(text),
        "cat" => tree::cat(text),
        "write_setuid" => tree::write_setuid(text),
        "openat2_setuid" => tree::openat2_setuid(text),
        "mkdirat_setgid" => tree::mkdirat_setgid(text),
        "tmpfile_setgid" => tree::tmpfile_setgid(text),
        "unique_mount_id" => tree::unique_mount_id(text),
        "chmod_setuid" => tree::chmod_setuid(text),
        "mknod" => tree::mknod(text),
        _ => return None,
    })
}

/// Opens a descriptor again, by an empty path (Linux 7.2; before it there is none, ENOENT).
fn reopen(text: &str, mode: i32) -> Answer {
    const O_EMPTYPATH: i32 = 1 << 26;
    let flags = mode | libc::O_NONBLOCK | O_EMPTYPATH;
    call(libc::SYS_openat, [socket::number(text), c"".as_ptr().addr() as i64, flags.into(), 0, 0, 0])
}

fn of_descriptors(name: &str, text: &str) -> Option<Answer> {
    Some(match name {
        "read_fd" => socket::read_fd(text),
        "write_fd" => socket::write_fd(text),
        "reopen_r" => reopen(text, libc::O_RDONLY),
        "reopen_w" => reopen(text, libc::O_WRONLY),
        "reopen_rw" => reopen(text, libc::O_RDWR),
        "ask_fd" => socket::write_line(text, b"hello\n").and_then(|_| socket::read_fd(text)),
        "connect_unspec_fd" => socket::connect_unspec(socket::number(text)),
        "pass_fd" => socket::pass_fd(text),
        "shutdown_fd" => call(libc::SYS_shutdown, [socket::number(text), 1, 0, 0, 0, 0]),
        "getpeername_fd" => socket::getpeername(socket::number(text)),
        "memfd_create" => system::memfd(),
        "sendfile" => call(libc::SYS_sendfile, [1, tree::open(text).unwrap_or(-1), 0, 16, 0, 0]),
        "splice" => call(libc::SYS_splice, [0, 0, 2, 0, 16, 0]),
        "tee" => call(libc::SYS_tee, [0, 2, 16, 0, 0, 0]),
        "vmsplice" => call(libc::SYS_vmsplice, [2, 0, 0, 0, 0, 0]),
        "mincore" => call(libc::SYS_mincore, [0, 4096, 0, 0, 0, 0]),
        "inotify_init1" => call(libc::SYS_inotify_init1, [0; 6]),
        "flock" => system::flock(text),
        "fcntl_setlk" => system::lock_file(text),
        "fcntl_notify" => system::notify_directory(),
        "fcntl_setown" => system::fcntl(libc::F_SETOWN, 1),
        "fcntl_setpipe_sz" => call(libc::SYS_fcntl, [2, libc::F_SETPIPE_SZ.into(), 1 << 20, 0, 0, 0]),
        "exchange" => place::exchange(),
        "alternate" => place::alternate(),
        "mark" => place::mark(),
        "fcntl_getfl" => system::fcntl(libc::F_GETFL, 0),
        "fcntl_async" => system::fcntl(libc::F_SETFL, (libc::O_RDWR | libc::O_ASYNC).into()),
        #[cfg(target_arch = "x86_64")]
        "dup2_63" => call(libc::SYS_dup2, [0, 63, 0, 0, 0, 0]),
        "dup3_63" => call(libc::SYS_dup3, [0, 63, 0, 0, 0, 0]),
        "fcntl_dupfd_63" => system::fcntl(libc::F_DUPFD_CLOEXEC, 63),
        _ => return None,
    })
}
