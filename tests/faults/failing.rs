//! Calls whose failure is not a refusal with the errno's name, and why.

use crate::cases::Line;
use crate::cases::Verdict::{Either, Ends, Runs, Said, Skip};
use nix::errno::Errno;

const fn line(
    role: &'static str,
    calls: &'static str,
    text: &'static str,
    errnos: &'static [Errno],
    verdict: crate::cases::Verdict,
    why: &'static str,
) -> Line {
    Line { role, calls, text, errnos, verdict, why }
}

const ALL: &[Errno] = &[];

/// The first line that means a call counts.
#[rustfmt::skip]
pub(crate) const OF_RUN: &[Line] = &[
    // Calls that no kernel lets fail, or that are no part of a launch.
    line("*", "mmap munmap mprotect brk mremap madvise", "", ALL, Skip, "memory: an allocation that fails aborts"),
    line("*", "close", "", ALL, Skip, "releases the descriptor whatever it answers: that it is not made can be had from no kernel"),
    line("*", "getpid getuid geteuid getgid getegid umask", "", ALL, Skip, "cannot fail"),
    line("launcher", "arch_prctl set_tid_address sigaltstack poll getrandom clock_gettime", "", ALL, Skip, "libc's and Rust's start, before main; seeds of hashes; CPU time of a sandbox that lives for long"),
    line("launcher", "rt_sigaction rt_sigprocmask", "", ALL, Skip, "fail for wrong arguments only; a signal that is not blocked ends the launcher, and with it all it has made"),

    // The count of what the connection moves.
    line("launcher", "getsockopt", "\"socket\",0x1,0x39", ALL, Runs, "names the connection for the count of its bytes; without it the wall time holds"),
    line("launcher", "getsockopt", "\"socket\",0x1,0x47", ALL, Runs, "names the network where its bytes are counted; without it the wall time holds"),
    line("launcher", "socket", "0x10", ALL, Runs, "asks for its bytes; that they are not counted is logged, and the wall time holds"),

    // The launcher puts its descriptors in order: an error of the start, before there is a connection to
    // refuse.
    line("launcher", "getcwd close_range dup2 dup3 getsockopt getpeername", "", ALL, Ends, "before there is a connection"),
    line("launcher", "open", "\"/dev/null\"", ALL, Ends, "before there is a connection"),
    line("launcher", "fcntl", "\"/dev/null\",0x2,0x1", ALL, Either, "the table is filled where nothing may be found; std says it of a file it opened with O_CLOEXEC"),
    line("launcher", "fcntl", "\"pipe\",0x1", ALL, Either, "asks whether 0 to 2 and the status descriptor are open"),
    line("launcher", "fcntl", "\"socket\",0x1", ALL, Either, "asks whether 0 to 2 are open"),
    line("launcher", "fstat", "\"pipe\"", ALL, Runs, "asks whether stderr is the connection"),
    line("launcher", "fstat", "\"socket\"", ALL, Runs, "asks whether stderr is the connection, and what the connection is"),
    line("launcher", "getsockname", "", ALL, Either, "asks what the connection is; the handler's environment"),
    line("launcher", "fcntl", "\"pipe\",0x406", ALL, Runs, "moved to a lower number instead"),
    line("launcher", "fcntl", "\"socket\",0x406", ALL, Runs, "moved to a lower number instead"),

    // libc says close-on-exec again of what it has opened so.
    line("launcher", "fcntl", "\"/\",0x2,0x1", ALL, Runs, "opened with O_CLOEXEC already"),
    line("launcher", "fcntl", "\"/proc/", ALL, Runs, "opened with O_CLOEXEC already"),
    line("launcher", "fcntl", "\"/var/tmp/TAG/template", ALL, Either, "opened with O_CLOEXEC already; or copied"),
    line("launcher", "fcntl", "\"pipe\",0x2", ALL, Runs, "moved with F_DUPFD_CLOEXEC already"),
    line("launcher", "fcntl", "\"socket\",0x2", ALL, Runs, "moved with F_DUPFD_CLOEXEC already"),
    line("launcher", "fcntl", "\"user\",0x2", ALL, Runs, "opened with O_CLOEXEC already"),

    line("launcher", "fcntl", "\"/etc/hostname\",0x2,0x1", ALL, Runs, "opened with O_CLOEXEC already"),
    line("launcher", "fcntl", "\"/etc/passwd\",0x2,0x1", ALL, Runs, "opened with O_CLOEXEC already"),

    // Remarks on what the operator names, and looks for what is not there.
    line("launcher", "open read", "\"/proc/self/cgroup\"", ALL, Runs, "for a remark on limits"),
    line("launcher", "open read", "\"/proc/self/mounts\"", ALL, Runs, "for a remark on limits"),
    line("launcher", "open", "\"/etc\"", ALL, Runs, "for a remark on a bind that shows the host's passwords"),
    line("launcher", "open", "\"/var/tmp\"", ALL, Runs, "for a remark on a bind that shows the host's passwords"),
    line("launcher", "fcntl", "\"/etc\",0x2,0x1", ALL, Runs, "opened with O_CLOEXEC already"),
    line("launcher", "fcntl", "\"/var/tmp\",0x2,0x1", ALL, Runs, "opened with O_CLOEXEC already"),
    line("launcher", "fcntl", "\"/etc/shadow\",0x2,0x1", ALL, Runs, "opened with O_CLOEXEC already"),
    line("launcher", "openat2", "…etc/shadow\"", &[Errno::ENOENT], Runs, "a template without the file"),
    line("launcher", "openat2", "\"shadow\"", &[Errno::ENOENT], Runs, "a template without the file"),
    line("launcher", "stat", "\"/etc/shadow\"", &[Errno::ENOENT], Runs, "a host without the file"),
    line("launcher", "openat2", "\"tmp\"", ALL, Either, "a template whose /tmp cannot be seen gets no tmpfs there: less, not more"),
    line("launcher", "open read", "\"/proc/self/uid_map\"", ALL, Runs, "for what to say of an outer user namespace"),
    line("launcher", "open read", "\"/proc/self/gid_map\"", ALL, Runs, "for what to say of an outer user namespace"),
    line("launcher", "open read", "\"/sys/fs/cgroup/", ALL, Runs, "for a remark on limits"),
    line("launcher", "fcntl", "\"/var/tmp\",0x406", ALL, Runs, "for a remark on a bind that shows the host's passwords"),
    line("launcher", "fstat", "\"/var/tmp\"", ALL, Either, "a component of the template's path; for a remark on a bind that shows the host's passwords"),
    line("launcher", "fstat", "\"/etc/shadow\"", ALL, Either, "how much to read; for a remark on a bind that shows it"),
    line("launcher", "stat readlink", "\"/etc", ALL, Either, "refused where it is about the template; for a remark where it is about a bind"),
    line("launcher", "openat2", "…etc/shadow\"", ALL, Either, "refused where it is about the template; for a remark where it is about a bind"),
    line("launcher", "openat2", "\"shadow\"", ALL, Either, "refused where it is about the template; for a remark where it is about a bind"),
    line("launcher", "openat2", "\"srv\"", &[Errno::ENOENT], Runs, "the path of the mount point is taken as it is written, and the child looks again"),
    line("launcher", "openat2", "\"empty\"", &[Errno::ENOENT], Runs, "the path of the mount point is taken as it is written, and the child looks again"),

    // A file that the operator names.
    line("launcher", "lseek", "", ALL, Runs, "how much to read"),

    // Looks at the host: what cannot be known is taken to be the worse.
    line("launcher", "fstat", "\"/proc/", ALL, Runs, "how much to read"),
    line("launcher", "open read", "\"/proc/sys/kernel/osrelease\"", ALL, Runs, "for messages"),
    line("launcher", "open read", "\"/proc/sys/kernel/pid_max\"", ALL, Runs, "for a remark on the user range"),
    line("launcher", "open read", "\"/proc/self/net/dev\"", ALL, Runs, "a network namespace that is not known to be empty is left"),
    line("launcher", "open read", "\"/proc/sys/kernel/random/boot_id\"", ALL, Said, "refused as what this kernel lacks"),
    line("launcher", "open read", "\"/proc/sys/kernel/cap_last_cap\"", ALL, Said, "refused as what this kernel lacks"),
    line("launcher", "seccomp", "", ALL, Said, "refused as what this kernel lacks"),
    line("launcher", "capget", "", ALL, Either, "root by its uid; then refused as capabilities that the launcher lacks"),
    line("launcher", "keyctl", "0xffffffff", ALL, Runs, "only ENOSYS says that there are no keyrings"),
    line("launcher", "prctl", "0x42", ALL, Runs, "only EINVAL says that there is no MDWE, and then the profile is the wall"),
    line("launcher", "prlimit64", "", ALL, Runs, "asks for its own limits, to say early what setting them would refuse"),
    line("launcher", "statx", "\"etc/os-release\"", ALL, Runs, "for a remark"),
    line("launcher", "openat", "", &[Errno::ENOENT], Said, "says in words what does not exist"),
    line("launcher", "open", "\"/proc/self/fd/", &[Errno::EPERM], Either, "a handler that cannot be read is looked at by exec; a credential that cannot be is refused"),
    line("launcher", "read", "\"/var/tmp/TAG/template/bin/probe\"", &[Errno::EPERM], Runs, "a handler that cannot be read is looked at by exec"),
    line("launcher", "landlock_create_ruleset", "", &[Errno::EPERM, Errno::ENOMEM], Said, "the crate's own look at the ABI does not tell its errno"),

    // Around the sandbox.
    line("launcher", "pidfd_send_signal", "", ALL, Runs, "the id map's holder is killed by its number instead"),
    line("launcher", "ppoll waitid", "", ALL, Runs, "waits for the end of the id map's holder, which is killed: a zombie at most"),

    line("launcher/pid", "pivot_root", "\"/\",\"/proc\"", &[Errno::EINVAL], Said, "asked whether the mounts are private, to which that is the answer no"),

    // Read back: another answer than the right one is the kernel's disagreement, whatever it is.
    line("launcher/pid", "#0xffdf001 #0xffdf002", "", ALL, Said, "the filter is not known to be in force"),
    line("launcher/pid/fork", "#0xffdf001 #0xffdf002", "", ALL, Said, "the filter is not known to be in force"),
    line("launcher/pid", "openat2", "\"canary\"", ALL, Said, "Landlock is not known to be in force"),
    line("launcher/pid", "fcntl", "", ALL, Said, "the stub's descriptors are not known to be closed"),
    // The channel itself is what would tell.
    line("launcher/pid/fork", "read", "\"socket\"", ALL, Said, "the child may be dead before its listener is fetched, which is then what failed"),
    line("launcher/pid", "read", "\"socket\"", ALL, Said, "the child may be dead before its listener is fetched, which is then what failed"),
    line("launcher/pid", "write", "\"socket\"", ALL, Said, "the stub cannot open the gate: it ends, and the sandbox with it"),
];
