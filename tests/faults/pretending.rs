//! Calls whose success without effect need not be caught, and why.

use crate::cases::Verdict::{Either, Ends, Less, Runs, Skip};
use crate::cases::{Line, Verdict};

const fn line(
    role: &'static str,
    calls: &'static str,
    text: &'static str,
    verdict: Verdict,
    why: &'static str,
) -> Line {
    Line { role, calls, text, errnos: &[], verdict, why }
}

/// The first line that means a call counts.
#[rustfmt::skip]
pub(crate) const OF_RUN: &[Line] = &[
    line("*", "mmap munmap mprotect brk mremap madvise", "", Skip, "memory: an allocation at address 0 is a crash"),
    line("*", "close", "", Skip, "releases the descriptor whatever it answers: that it is not made can be had from no kernel"),
    line("*", "getpid getuid geteuid getgid getegid umask", "", Skip, "cannot fail"),
    line("launcher", "arch_prctl set_tid_address sigaltstack poll getrandom clock_gettime", "", Skip, "libc's and Rust's start, before main; seeds of hashes; CPU time of a sandbox that lives for long"),
    line("launcher", "rt_sigaction rt_sigprocmask", "", Runs, "signals of the launcher: what is left is an ignored SIGPIPE, or one that ends the launcher and all it has made"),
    line("launcher", "clone3", "", Skip, "the launcher takes itself for the child, whose session is not that of a new pid namespace, or for the id map's holder, and waits: tried below by the flags"),
    line("launcher", "ppoll waitid pidfd_send_signal", "", Skip, "the id map's holder is not ended, and the launcher waits for its end: nothing runs"),
    line("launcher", "epoll_ctl", "0x1,\"anon_inode:[pidfd]\"", Skip, "the launcher does not hear of the end and waits: nothing runs any more"),

    // The count of what the connection moves.
    line("launcher", "socket", "0x10", Runs, "asks for its bytes; that they are not counted is logged, and the wall time holds"),

    // Descriptors of the launcher. The child closes everything again, and looks.
    line("launcher", "close_range dup2 dup3", "", Runs, "the child closes everything again, and looks"),
    line("launcher", "fcntl", "", Less, "asks, or says again what is so already; a number of 0 is the connection, as it was"),
    line("launcher", "fstat", "", Either, "what is not filled in is no file that may be used, or no socket"),
    line("launcher", "getcwd getsockopt getsockname getpeername", "", Either, "what is not filled in is no connection, or no peer for the environment"),
    line("launcher", "open", "\"/dev/null\"", Runs, "in its place stands the connection, which is put there anyway"),
    line("launcher", "openat2", "\"/dev/null\"", Runs, "the placeholder of parked sandboxes, of which run has none"),
    line("launcher", "fchmodat", "\"canary\"", Runs, "made with that mode; a canary that does not open before refuses"),
    line("launcher", "fsconfig", "0x1,", Runs, "bounds of the launcher's own tmpfs for the canary"),

    // A file that the operator names: in the place of one that was not opened there is nothing to read.
    line("launcher", "lseek", "", Runs, "how much to read"),
    line("launcher", "open read", "\"/etc/", Less, "a name or a content that is missing"),
    line("launcher", "open", "\"/proc/self/fd/", Less, "a content that is missing; a handler that cannot be read is looked at by exec"),
    line("launcher", "openat", "\"hostname\"", Either, "the connection in its place is no file"),
    line("launcher", "openat", "\"tmp\"", Either, "the connection in its place is no directory"),

    // Looks at the host.
    line("launcher", "open read", "\"/proc/self/cgroup\"", Runs, "for a remark on limits"),
    line("launcher", "open read", "\"/proc/self/mounts\"", Runs, "for a remark on limits"),
    line("launcher", "open", "\"/etc\"", Runs, "for a remark on a bind that shows the host's passwords"),
    line("launcher", "open", "\"/var/tmp\"", Runs, "for a remark on a bind that shows the host's passwords"),
    line("launcher", "stat", "\"/\"", Either, "one of several looks for the host's tree in the template"),
    line("launcher", "stat readlink read", "\"/etc", Either, "one of several looks for the host's tree in the template"),
    line("launcher", "open read", "\"/proc/self/uid_map\"", Either, "for what to say of an outer user namespace: no map at all is refused"),
    line("launcher", "open read", "\"/proc/self/gid_map\"", Either, "for what to say of an outer user namespace: no map at all is refused"),
    line("launcher", "open read", "\"/sys/fs/cgroup/", Runs, "for a remark on limits"),
    line("launcher", "openat2", "\"tmp\"", Either, "the connection in its place is no directory: the path is taken as it is written"),
    line("launcher", "openat2", "\"srv\"", Either, "the connection in its place is no directory: the path is taken as it is written"),
    line("launcher", "openat2", "\"empty\"", Either, "the connection in its place is no directory: the path is taken as it is written"),
    line("launcher", "statx", "\"\"", Either, "itself a look: what is not filled in is another file than the child finds, or none that is looked at again"),
    line("launcher", "open read", "\"/proc/self/mountinfo\"", Either, "one of several looks for the host's tree in the template"),
    line("launcher", "openat2", "…etc/shadow\"", Either, "one of several looks for the host's tree in the template"),
    line("launcher", "openat2", "\"shadow\"", Either, "one of several looks for the host's tree in the template"),
    line("launcher", "open read", "\"/proc/self/net/dev\"", Runs, "a network namespace that is not known to be empty is left"),
    line("launcher", "open read", "\"/proc/sys/kernel/osrelease\"", Runs, "for messages"),
    line("launcher", "open read", "\"/proc/sys/kernel/pid_max\"", Runs, "for a remark on the user range"),
    line("launcher", "read", "\"/proc/sys/kernel/random/boot_id\"", Either, "the end of the file comes early, or there is nothing"),
    line("launcher", "read", "\"/proc/sys/kernel/cap_last_cap\"", Either, "the end of the file comes early, or there is nothing"),
    line("launcher", "capget", "", Either, "root by its uid; then refused as capabilities that the launcher lacks"),
    line("launcher", "prctl", "0x42", Runs, "answers 0 as it is"),
    line("launcher", "seccomp", "0x2", Runs, "says that the kernel knows an action, which it does"),
    line("launcher", "prlimit64", "", Less, "its own limits, to say early what setting them would refuse"),
    line("launcher", "statx", "\"etc/os-release\"", Runs, "for a remark"),
    line("launcher", "stat", "\"/proc/self/ns/net\"", Either, "one of two looks, and the number that the child must find: refused where it is the second"),
    line("launcher", "stat", "\"/proc/self/ns/", Runs, "one of two looks, which then differ: the call between them would have to lie as well"),

    // Around the sandbox. What is never heard of ends by wall time.
    line("launcher", "epoll_ctl", "0x1,\"socket\"", Ends, "the child is not heard and waits until the wall time is over"),
    line("launcher", "read write", "\"socket\"", Ends, "the child is not heard, or not answered, and waits until the wall time is over"),
    line("launcher", "pipe2", "", Less, "what is not filled in is no pipe"),
    line("launcher", "epoll_pwait", "", Runs, "nothing has happened yet"),
    line("launcher", "epoll_ctl", "0x1,\"anon_inode:seccomp notify\"", Runs, "a denied call is not heard of: it is never made and waits until the wall time is over"),
    line("launcher", "epoll_ctl", "0x1,\"pipe\"", Runs, "stderr is read at the end"),
    line("launcher", "epoll_ctl", "0x1,\"anon_inode:[signalfd]\"", Runs, "nobody can end the launcher but by SIGKILL"),
    line("launcher", "sendmsg", "", Either, "the child is not told who it is and waits until the wall time is over, or has another word where a map should come"),
    line("launcher", "setsockopt", "", Runs, "bounds what the kernel keeps for the connection, not what the handler may do"),

    // In the child.
    line("launcher/pid", "close_range", "0x3,0xffffffff", Runs, "close-on-exec for what is closed, and looked for, later"),
    line("launcher/pid", "close_range", "0x40,", Runs, "those above 63 are close-on-exec since the first step"),
    line("launcher/pid", "close_range", "0x3e,0x3e", Runs, "the stub keeps the channel, of which it has no use, as it has no call for it"),
    line("launcher/pid", "write", "\"socket\"", Ends, "the supervisor is not told and does not answer: the child waits until the wall time is over"),
    line("launcher/pid/fork", "write", "\"socket\"", Ends, "the supervisor is not told and does not answer: the child waits until the wall time is over"),
    line("launcher/pid/fork", "close_range", "0x40,", Runs, "those above 63 are close-on-exec since the first step"),
    line("launcher/pid/fork", "fcntl", "", Either, "asks whether a descriptor is open"),
    line("launcher/pid", "fcntl", "", Either, "asks whether a descriptor is open"),
    line("launcher/pid", "clone3", "", Ends, "the stub takes itself for the handler's process, and nobody opens the gate"),
    line("launcher/pid", "chdir", "", Runs, "it is there already, which is looked at"),
    line("launcher/pid", "capget getgroups", "", Runs, "one of two: the call whose effect it reads back would have to lie as well"),
    line("launcher/pid", "prctl", "0x17,", Runs, "answers 0 as it is"),
    line("launcher/pid", "prctl", "0x2f,", Runs, "capset(2) empties the ambient set as well (capabilities(7))"),
    line("launcher/pid", "prctl", "0x3,", Runs, "answers 0 as it is"),
    line("launcher/pid", "prctl", "0x4,", Runs, "the change of ids has switched dumpable off already, which is read back"),
    line("launcher/pid", "fsconfig", "0x1,\"subset\"", Less, "of --proc: the rest of its own pid namespace's proc, read-only, is not to be told from outside"),
    line("launcher/pid", "fsconfig", "0x1,\"hidepid\"", Less, "of --proc: every process of its pid namespace is its own"),
    line("launcher/pid", "fchmodat", "\".\"", Less, "the credentials' directory, which no other sandbox sees, is readable"),
    line("launcher/pid", "fchownat", "\"secret\"", Less, "a credential that cannot be read"),
    line("launcher/pid", "landlock_add_rule", "", Less, "a right that is not granted"),
    line("launcher/pid", "fchmodat fchownat", "\"upper\"", Less, "the root directory stays root's"),
    line("launcher/pid", "move_mount", "\"\",\"/proc\"", Either, "the canary's tmpfs need not be attached; the root must"),
    line("launcher/pid", "fsconfig", "0x1,\"source\"", Runs, "a name for the mount table"),
    line("launcher/pid", "fsconfig", "0x1,\"mode\"", Less, "the default mode of a tmpfs is 1777, as that of /tmp; the stage is the old root's"),
    line("launcher/pid", "fsconfig", "0x1,\"redirect_dir\"", Runs, "overlay features that only root's own tools could set up; said because the default is a module's parameter"),
    line("launcher/pid", "fsconfig", "0x1,\"metacopy\"", Runs, "as redirect_dir"),
    line("launcher/pid", "fsconfig", "0x1,\"index\"", Runs, "as redirect_dir"),
    line("launcher/pid", "ppoll", "", Runs, "says that the supervisor lives; the parent-death signal is the other half"),
    line("launcher/pid", "personality", "", Runs, "the default already, which is read back"),
    line("launcher/pid", "sched_getscheduler", "", Runs, "ordinary scheduling already"),
    line("launcher/pid", "statx", "\"\"", Less, "itself a look: the call that it looks after would have to lie as well, or a directory gets the rights of a file"),
    line("launcher/pid", "statx", "\"/\"", Either, "one of two looks, which then differ: the call between them would have to lie as well"),
];
