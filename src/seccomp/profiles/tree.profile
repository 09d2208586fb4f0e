# For programs of the template: a shell and its commands, a dynamically linked handler with its loader and libraries, a
# Debian tree, a CTF task. It forks and executes as it likes, within its tasks and memory. This is the one profile under
# which the tree is executable, W^X is not enforced and exec is not single-shot; what it may reach is as little as ever.

arch x86_64 aarch64
include interpreter

exec tree
init yes
tasks 32

# Programs.
remove execve clone mmap mprotect pkey_mprotect
remove fork vfork
allow execve execveat           # commands; the tree and Landlock say which
allow clone                     # fork, threads; the namespaces are the guard's as well
    if arg0 has no CLONE_NEWNS|CLONE_NEWCGROUP|CLONE_NEWUTS|CLONE_NEWIPC|CLONE_NEWUSER|CLONE_NEWPID|CLONE_NEWNET
allow fork vfork on x86_64      # shells
allow wait4 waitid              # shells wait for their commands
allow kill                      # jobs; only the sandbox's own processes are there, and the stub that is PID 1 is immune
allow setsid setpgid            # jobs
allow mmap                      # loaders map libraries as code; shared memory only of files, which are bounded
    if arg3 has no MAP_SHARED|MAP_GROWSDOWN|MAP_HUGETLB
    or arg3 has no MAP_ANONYMOUS|MAP_GROWSDOWN|MAP_HUGETLB
errno ENOMEM mmap               # memory shared with nobody's file, the host's huge pages: no limit counts it
allow mprotect                  # loaders, and compilers of code at run time
allow pkey_mprotect pkey_alloc pkey_free # V8 protects its code by keys
notify clone                    # new namespaces: an attack
remove set_robust_list prlimit64
allow set_robust_list           # threads
allow prlimit64                 # ulimit: own limits, which can only be lowered; the guard keeps that of cores, 4, as well
    if int0 == 0 and int1 <= 3
    or int0 == 0 and int1 >= 5
    or int0 == 0 and arg2 == 0
allow setrlimit                 # the same as prlimit64
    if int0 <= 3
    or int0 >= 5
remove futex
allow futex                     # threads' ends and musl's locks are not private; the rest is
    if arg1 has FUTEX_PRIVATE_FLAG
    or int1 == FUTEX_WAIT
    or int1 == FUTEX_WAKE
    or int1 == FUTEX_WAIT_BITSET|FUTEX_CLOCK_REALTIME

# Calls of ordinary commands.
remove @own sysinfo mount umount2 chroot unshare kcmp io_uring_setup io_uring_enter io_uring_register
allow @own                      # cp -p, tar: to the own uid it is allowed, else the kernel refuses
allow sysinfo                   # free, uptime
allow @timers                   # timeout(1)
allow signalfd on x86_64        # event loops of commands
allow signalfd4                 # event loops of commands
allow get_mempolicy             # where its memory lies: numactl, OpenMP, libnuma
allow rt_sigqueueinfo rt_tgsigqueueinfo # sigqueue; only the sandbox's own processes are there
allow sched_getattr ioprio_get  # chrt and ionice ask
allow mknodat                   # mkfifo
    if arg2 & S_IFMT|0o6000 == S_IFIFO
allow mknod on x86_64           # mkfifo
    if arg1 & S_IFMT|0o6000 == S_IFIFO

# Calls that ordinary programs try and can do without. A call that no line names fails with ENOSYS and is counted.
errno EPERM prlimit64 setrlimit # other processes' limits, and that of cores
errno EPERM mknod on x86_64     # devices
errno EPERM mknodat             # devices
errno EPERM mount umount2 chroot unshare # mount, chroot, unshare
errno EPERM setpriority sched_setaffinity sched_setscheduler sched_setparam sched_setattr ioprio_set # nice, taskset
errno EPERM mlock mlock2 mlockall munlock munlockall # memory that is not swapped
errno EPERM sethostname setdomainname settimeofday clock_settime adjtimex clock_adjtime syslog reboot # hostname, date, dmesg
errno ENOSYS inotify_init1          # tail -f looks again and again instead
errno ENOSYS inotify_init on x86_64 # tail -f looks again and again instead
errno ENOSYS memfd_create memfd_secret # memory that no limit counts
errno ENOSYS shmget shmat shmdt shmctl semget semop semctl msgget msgsnd msgrcv msgctl # memory that no limit counts
errno ENOSYS mq_open io_uring_setup io_uring_enter io_uring_register # queues
errno ENOSYS sync syncfs        # the host's disks are not to be kept busy
errno EINVAL splice tee vmsplice # cat and cp go on with read and write
errno ENOSYS membarrier         # a hint
errno ENOSYS personality        # setarch; nothing but the usual one
errno ENOSYS pidfd_open pidfd_send_signal kcmp # glibc and commands go on without
errno ENOSYS landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp # sandboxes in the sandbox
errno EPERM quotactl swapon swapoff acct # root's tools
errno EPERM name_to_handle_at   # mount tables of systemd's tools
errno EPERM vhangup             # login
