# One statically linked interpreter (Lua, Python) that runs one script of the template. It neither forks nor executes.

arch x86_64 aarch64
include static

# A call that no line names fails with ENOSYS, as on an older kernel; the record counts it.
default errno ENOSYS

# SQLite, dbm, flock(1): where no other sandbox and no program of the host has the same files.
locks own

remove readlink readlinkat access faccessat faccessat2
allow @look                     # finds its modules; os.path, lfs
allow @change                   # what scripts do with files, where the snapshot lets them
remove creat mkdir mkdirat
allow creat mkdir on x86_64     # files and directories of its own, without set-id bits
    if arg1 & 0o6000 == 0
allow mkdirat                   # os.mkdir, without set-id bits
    if arg2 & 0o6000 == 0
allow chmod on x86_64           # os.chmod, without set-id bits
    if arg1 & 0o6000 == 0
allow fchmod                    # os.fchmod, without set-id bits
    if arg1 & 0o6000 == 0
allow fchmodat fchmodat2        # os.chmod, without set-id bits
    if arg2 & 0o6000 == 0
allow preadv2 pwritev2          # os.preadv and os.pwritev; no flag that tells what is in the page cache
    if int5 == 0
errno EOPNOTSUPP preadv2 pwritev2 # flags
remove select pselect6
allow @wait                     # select, asyncio
remove time gettimeofday clock_getres times getrusage
allow @time                     # os.clock, time.process_time
remove getppid
allow @family                   # os.getppid and the like
allow rt_sigpending rt_sigsuspend rt_sigtimedwait # signal.pause, sigwait
allow umask                     # os.umask; files of its own
allow pipe on x86_64            # wake-up pipes of event loops, within the process
allow pipe2                     # wake-up pipes of event loops, within the process
allow sched_getaffinity         # os.cpu_count
allow sched_rr_get_interval getpriority # os.sched_rr_get_interval, os.nice(0)
allow getrlimit                 # resource.getrlimit
allow get_robust_list           # threading libraries ask for their own
allow msync                     # mmap.flush: files of its own
remove mmap
allow mmap                      # as under static, and files that are shared: by mmap.mmap, SQLite, LMDB
    if arg2 has no PROT_EXEC and arg3 has no MAP_SHARED|MAP_GROWSDOWN|MAP_HUGETLB
    or arg2 has no PROT_EXEC and arg3 has no MAP_ANONYMOUS|MAP_GROWSDOWN|MAP_HUGETLB
errno EACCES mmap mprotect pkey_mprotect # code made at run time (ctypes, cffi): as the kernel's own W^X answers
allow socketpair                # asyncio wakes itself; such a pair reaches nobody
    if int0 == AF_UNIX and int1 == SOCK_STREAM and int2 == 0
    or int0 == AF_UNIX and int1 == SOCK_STREAM|SOCK_CLOEXEC and int2 == 0
    or int0 == AF_UNIX and int1 == SOCK_STREAM|SOCK_NONBLOCK and int2 == 0
    or int0 == AF_UNIX and int1 == SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK and int2 == 0
remove ioctl
allow ioctl                     # as under static, and how much there is to read
    if arg1 == TIOCGWINSZ
    or arg1 == TCGETS
    or int1 == TCGETS2
    or arg1 == FIONBIO
    or arg1 == FIOCLEX
    or arg1 == FIONCLEX
    or arg1 == FIONREAD
remove prctl
allow prctl                     # programs ask for their own name, and what they may do
    if int0 == PR_SET_NAME
    or int0 == PR_GET_NAME
    or int0 == PR_GET_DUMPABLE
    or int0 == PR_GET_NO_NEW_PRIVS
    or int0 == PR_GET_TIMERSLACK
    or int0 == PR_GET_THP_DISABLE
    or int0 == PR_CAPBSET_READ

errno EINVAL prctl              # other questions
errno EPERM @setuid             # os.setuid, busybox at its start: nobody can become somebody else
errno EPERM open creat mkdir on x86_64 # set-id bits
errno EPERM openat mkdirat      # set-id bits
errno EPERM chmod on x86_64     # set-id bits do nothing here, and something where --bind keeps the file
errno EPERM fchmod fchmodat fchmodat2 # set-id bits do nothing here, and something where --bind keeps the file
errno EPERM @own                # shutil.chown: there is no capability for it
errno EPERM clone               # threads and os.fork: an error in the script instead of its end
errno EPERM fork vfork on x86_64 # os.fork: an error in the script instead of its end
errno EACCES execve             # os.execv, io.popen: an error in the script instead of its end
errno EAFNOSUPPORT socket socketpair # syslog, name services: an error in the script instead of its end
errno EPERM connect bind listen accept accept4 sendmsg sendmmsg recvmsg recvmmsg # the connection is the only one
errno EPERM setsockopt          # what the connection is stays as it was given
errno ENOTTY ioctl              # anything else
errno EINVAL fcntl              # leases, owners, notifications, sizes of pipes
errno EOPNOTSUPP @xattr         # shutil.copystat; attributes are not kept
errno EINVAL sendfile copy_file_range # shutil goes on with read and write
errno ENOSYS fadvise64          # a hint
errno ENOSYS sysinfo            # the host's memory and load are nobody's business

# An attack. These end the sandbox and are recorded, with their arguments.
notify @attack                  # reaches out of the sandbox, or into the kernel
notify mount umount2 chroot unshare kcmp # what the tree is, and other processes
notify io_uring_setup io_uring_enter io_uring_register # operations that no filter sees
notify sendto recvfrom          # an address, data in a SYN, out of band: no way out
