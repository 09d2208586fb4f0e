# One statically linked process that reads its connection and files, answers, and exits.

arch x86_64 aarch64
include groups

# The connection and files.
allow read                      # reads the request and files
allow readv                     # musl's stdio reads with it
allow pread64                   # reads at a position
allow write                     # answers, and logs on stderr
allow writev                    # musl's stdio writes with it
allow preadv pwrite64 pwritev   # reads and writes at a position
allow recvfrom                  # recv() on the connection, or on a copy of it
    if arg3 has no MSG_OOB
allow sendto                    # send() on the connection, or on a copy of it, without an address
    if arg4 == 0 and arg3 has no MSG_FASTOPEN|MSG_OOB
allow shutdown                  # ends the answer before the connection is closed
allow getpeername               # asks who is at the other end
allow getsockname               # asks which address the peer reached
allow getsockopt                # asks what a descriptor is, and whether the connection has an error
    if int1 == SOL_SOCKET and int2 >= SO_REUSEADDR and int2 <= SO_LINGER # SO_TYPE, SO_ERROR, buffers, SO_KEEPALIVE
    or int1 == SOL_SOCKET and int2 >= SO_RCVLOWAT and int2 <= SO_SNDTIMEO
    or int1 == SOL_SOCKET and int2 == SO_ACCEPTCONN
    or int1 == SOL_SOCKET and int2 >= SO_PROTOCOL and int2 <= SO_DOMAIN
    or int1 == SOL_SOCKET and int2 >= SO_RCVTIMEO_NEW and int2 <= SO_SNDTIMEO_NEW
    or int1 == IPPROTO_TCP and int2 >= TCP_NODELAY and int2 <= TCP_MAXSEG
    or int1 == IPPROTO_IPV6 and int2 == IPV6_V6ONLY
errno ENOPROTOOPT getsockopt    # any other option
errno 0 setsockopt              # the launcher has set it on the connection already
    if int1 == IPPROTO_TCP and int2 == TCP_NODELAY
allow poll on x86_64            # waits with a deadline
allow ppoll                     # waits with a deadline
allow select on x86_64          # waits with a deadline
allow pselect6                  # waits with a deadline
allow open on x86_64            # musl's open(); the tree and Landlock say what; no file is made with set-id bits
    if arg1 has no O_CREAT|__O_TMPFILE
    or arg2 & 0o6000 == 0
allow openat                    # opens files; the tree and Landlock say which; the same
    if arg2 has no O_CREAT|__O_TMPFILE
    or arg3 & 0o6000 == 0
allow openat2                   # opens below a directory, as a careful handler does
allow close                     # closes files
allow stat on x86_64            # musl's stat()
allow lstat on x86_64           # musl's lstat()
allow fstat                     # sizes and kinds of open files
allow newfstatat                # sizes and kinds by name
allow statx                     # sizes and kinds, Rust's way; not the unique ids of mounts, which count other sandboxes'
    if arg3 has no STATX_MNT_ID_UNIQUE
errno ENOSYS statx              # libc goes on with newfstatat
allow readlinkat                # where a symlink below the tree leads; static glibc asks for /proc/self/exe
allow access on x86_64          # asks what stat() tells
allow faccessat faccessat2      # asks what stat() tells
allow fsync fdatasync           # wants its own files to last, where --bind keeps them
allow lseek                     # positions in files
allow getdents64                # lists directories
allow getcwd                    # asks where it is: always below /
allow fcntl                     # descriptor flags and O_NONBLOCK; no locks, leases, owners or pipe sizes
    if int1 == F_DUPFD
    or int1 == F_GETFD
    or int1 == F_SETFD
    or int1 == F_GETFL
    or int1 == F_SETFL and arg2 has no O_ASYNC|O_DIRECT|O_NOATIME
    or int1 == F_DUPFD_CLOEXEC
allow dup                       # copies of the connection, below the limit
allow dup2 on x86_64            # copies of the connection, below the limit
allow dup3                      # copies of the connection, below the limit
allow close_range               # closes descriptors of its own
    if int2 == 0
    or int2 == CLOSE_RANGE_CLOEXEC
allow ioctl                     # stdio asks whether its output is a terminal; O_NONBLOCK and FD_CLOEXEC, as by fcntl
    if arg1 == TIOCGWINSZ
    or arg1 == TCGETS
    or int1 == TCGETS2
    or arg1 == FIONBIO
    or arg1 == FIOCLEX
    or arg1 == FIONCLEX

# Memory, never executable.
allow brk                       # malloc
allow mmap                      # malloc, stacks, files; W^X, and nothing that RLIMIT_DATA does not count, nor the
    if arg2 has no PROT_EXEC and arg3 has no MAP_SHARED|MAP_GROWSDOWN|MAP_HUGETLB # host's huge pages
allow mprotect                  # RELRO at start-up, guard pages; W^X
    if arg2 has no PROT_EXEC
allow munmap                    # free
allow mremap                    # realloc; it cannot add PROT_EXEC
allow madvise                   # malloc gives pages back; but none are merged by content (KSM) or put out
    if int2 <= MADV_DOFORK
    or int2 >= MADV_HUGEPAGE and int2 <= MADV_KEEPONFORK
errno EINVAL madvise            # as of a kernel that does not know it: by both, sandboxes meet in pages
errno EINVAL prctl              # Go and libc give names to memory, where the kernel has that
    if int0 == PR_SET_VMA

# The process itself.
allow arch_prctl on x86_64      # thread-local storage at start-up
    if int0 == ARCH_SET_FS
errno EINVAL arch_prctl on x86_64 # glibc asks for shadow stacks
allow set_tid_address           # libc's start-up
allow rt_sigaction              # Rust's start-up, alarms
allow rt_sigprocmask            # abort() and raise()
allow rt_sigreturn              # returns from a signal handler
allow sigaltstack               # Rust's stack overflow guard
allow tkill tgkill              # abort() and raise(); no other process is in the pid namespace
allow setitimer                 # alarm(), the time-out of classic inetd programs
allow getpid                    # asks for its own number
allow gettid                    # raise()
allow @ids                      # libc and programs ask at start-up
allow getppid getresuid getresgid getgroups # who it is: ids that are the sandbox's
allow uname                     # the host's name is the sandbox's own (--hostname), the kernel's release no secret
allow capget                    # asks for its capabilities: there are none
allow sched_getscheduler sched_getparam sched_get_priority_max sched_get_priority_min # asks how it is scheduled
allow getcpu                    # asks where it runs
allow times getrusage           # asks how much it has used
allow gettimeofday clock_getres # the time, where the vDSO cannot say
allow time on x86_64            # the time, where the vDSO cannot say
allow futex                     # locks of libc and Rust's std; private ones: others reach the template's pages in
    if arg1 has FUTEX_PRIVATE_FLAG # every sandbox
allow restart_syscall           # a wait goes on after the process was stopped or frozen
allow sched_yield               # says that the handler is ready
allow nanosleep                 # waits
allow clock_nanosleep           # waits
allow clock_gettime             # the time, where the vDSO cannot say
allow getrandom                 # random numbers, hash seeds
allow exit exit_group           # ends

# Asked by static glibc at start-up and answered so that it goes on.
errno ENOSYS set_robust_list    # static glibc: robust locks, not had
errno ENOSYS rseq               # static glibc: restartable sequences, not had
allow prlimit64                 # asks for its own limits
    if int0 == 0 and arg2 == 0
errno EPERM prlimit64           # changes them
errno ENOENT readlink on x86_64 # static glibc: /proc/self/exe is not there
