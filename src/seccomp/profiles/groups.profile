# Groups of calls, for profiles that say 'include groups'. It allows nothing by itself.

arch x86_64 aarch64

# The process's own user and group ids.
group @ids getuid geteuid getgid getegid

# The parent, the process group and the session.
group @family getppid getpgid getpgrp getsid

# Looks at files and moves among directories, beyond opening.
group @look access faccessat faccessat2 readlink readlinkat statfs fstatfs chdir fchdir

# Makes, changes and removes files. Where nothing may be written the kernel refuses.
group @change creat mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat
    truncate ftruncate fallocate utime utimes futimesat utimensat

# Changes the owner of files, for which a handler has no capability.
group @own chown fchown lchown fchownat

# Reads and writes in other ways.
group @positions preadv pwrite64 pwritev preadv2 pwritev2

# Waits for descriptors and for time.
group @wait select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd eventfd2
    timerfd_create timerfd_settime timerfd_gettime pause

group @time time gettimeofday clock_getres getitimer alarm times getrusage

# A timer that sends a signal to its own process: timeout(1).
group @timers timer_create timer_settime timer_gettime timer_getoverrun timer_delete

group @signals rt_sigpending rt_sigsuspend rt_sigtimedwait signalfd signalfd4

# The guard keeps the limit of cores.
group @limits getrlimit setrlimit

# Sockets. No profile can allow them: the guard refuses them under every profile.
group @sockets socket socketpair connect bind listen accept accept4 sendmsg sendmmsg recvmsg recvmmsg setsockopt

# Attributes that are not kept.
group @xattr setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr removexattr
    lremovexattr fremovexattr setxattrat getxattrat listxattrat removexattrat

# Becomes somebody else.
group @setuid setuid setgid setreuid setregid setresuid setresgid setgroups setfsuid setfsgid capset

# Changes what is mounted where, and what the root is.
group @mount mount umount2 pivot_root chroot open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr
    open_tree_attr unshare setns

# An attack: no program does this by accident. Profiles that answer what they do not name with an errno kill for these.
group @attack ptrace process_vm_readv process_vm_writev pidfd_getfd bpf perf_event_open userfaultfd init_module
    finit_module delete_module kexec_load kexec_file_load add_key request_key keyctl open_by_handle_at setns pivot_root
    open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr open_tree_attr
