# One statically linked interpreter (Lua, Python) that runs one script of the template. It neither forks nor executes.

arch x86_64 aarch64
include static

remove readlink readlinkat
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
allow @positions                # file:read and os.pread at positions
allow @wait                     # select, asyncio
allow @time                     # os.clock, time.process_time
allow @family                   # os.getppid and the like
allow rt_sigpending rt_sigsuspend rt_sigtimedwait # signal.pause, sigwait
allow getresuid getresgid getgroups # os.getresuid, posix; ids that are the sandbox's
allow umask                     # os.umask; files of its own
allow pipe on x86_64            # wake-up pipes of event loops, within the process
allow pipe2                     # wake-up pipes of event loops, within the process
allow uname                     # os.uname, platform; the name is a constant, the kernel's release is no secret
allow sched_getaffinity         # os.cpu_count
allow prctl                     # busybox asks for its own name
    if int0 == PR_SET_NAME
    or int0 == PR_GET_NAME

errno EINVAL prctl              # questions about capabilities and the like
errno EPERM @setuid             # os.setuid, busybox at its start: nobody can become somebody else
errno EPERM open creat mkdir on x86_64 # set-id bits
errno EPERM openat mkdirat      # set-id bits
errno EPERM chmod on x86_64     # set-id bits do nothing here, and something where --bind keeps the file
errno EPERM fchmod fchmodat fchmodat2 # set-id bits do nothing here, and something where --bind keeps the file
errno EPERM @own                # shutil.chown: there is no capability for it
errno EPERM clone               # threads and os.fork: an error in the script instead of its end
errno EPERM fork vfork on x86_64 # os.fork: an error in the script instead of its end
errno EACCES execve             # os.execv, io.popen: an error in the script instead of its end
errno EAFNOSUPPORT socket socketpair # import of asyncio, syslog: an error in the script instead of its end
errno ENOTTY ioctl              # anything but the two questions of stdio
errno EINVAL fcntl              # locks: others would meet them in the template's files
errno EOPNOTSUPP @xattr         # shutil.copystat; attributes are not kept
errno EINVAL sendfile copy_file_range # shutil goes on with read and write
errno ENOSYS fadvise64          # a hint
errno EINVAL fsync fdatasync    # nothing outlives the sandbox, and the host's disks are not to be kept busy
errno ENOSYS sysinfo            # the host's memory and load are nobody's business
