//! Advice about a denied call: the line of a profile that would allow it, or why none can and what to use instead.

use super::abi::Files;
use super::guard;
use super::interpret::{Call, interpret};
use super::profile::constants;
use sys::names::{self, Machine};

/// Calls with an argument that says what they do, and how the names of its values begin.
const TELLING: &[(&str, u8, &[&str])] = &[
    ("fcntl", 1, &["F_"]),
    ("ioctl", 1, &["TC", "TIOC", "FIO"]),
    ("prctl", 0, &["PR_"]),
    ("madvise", 2, &["MADV_"]),
    ("arch_prctl", 0, &["ARCH_"]),
    ("membarrier", 0, &["MEMBARRIER_"]),
];

/// Substitutes for calls that the guard denies, by the beginning of the reason in [`guard`].
const INSTEAD: &[(&str, &str)] = &[
    ("socket", "open a socket for the handler with --open PATH…:connect, or --open of a file"),
    ("connect", "let the launcher connect: --open PATH…:connect"),
    ("sendmsg", "use write, send or writev"),
    ("recvmsg", "use read, recv or readv"),
    ("sendmmsg", "use write, send or writev"),
    ("recvmmsg", "use read, recv or readv"),
    ("setsockopt", "the launcher sets TCP_NODELAY, TCP_USER_TIMEOUT and the send buffer (--send-buffer)"),
    ("mount", "mount by options: --bind, --bind-ro, --tmpfs, --proc"),
    ("unshare", "the sandbox has its namespaces already"),
    ("io_uring_setup", "use read, write and epoll"),
];

/// Advice about a denied call of this machine.
#[must_use]
pub fn advice(number: u32, args: &[u64; 6]) -> String {
    let machine = names::NATIVE;
    let Some(name) = machine.call_name(number) else {
        return format!("no table of dayfly's names call {number}: no profile can allow it");
    };
    let call = Call { number, name, arch: machine.audit_arch(), args: *args };
    if interpret(guard::native(Files::Temporary), &call) != libc::SECCOMP_RET_ALLOW {
        let instead = INSTEAD.iter().find(|(known, _)| *known == name);
        let instead = instead.map(|(_, instead)| format!(": {instead}")).unwrap_or_default();
        return format!("the guard denies it under every profile{instead}");
    }
    if matches!(name, "execve" | "execveat") {
        return "use a profile with 'exec tree': --profile tree".to_owned();
    }
    let on = match Machine::ALL.iter().all(|machine| machine.call(name).is_some()) {
        true => String::new(),
        false => format!(" on {}", machine.name()),
    };
    format!("allow {name}{on}{} # REASON", condition(name, args))
}

/// The value of the one argument that says what the call does.
fn condition(name: &str, args: &[u64; 6]) -> String {
    let Some((_, index, prefixes)) = TELLING.iter().find(|(known, ..)| *known == name) else {
        return String::new();
    };
    #[allow(clippy::cast_possible_truncation, reason = "the kernel takes an int")]
    let value = args.get(usize::from(*index)).copied().unwrap_or(0) as u32;
    let known = prefixes.iter().find_map(|prefix| constants::name_of(value.into(), prefix));
    format!(" if int{index} == {}", known.map_or_else(|| format!("{value:#x}"), str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, args: [u64; 6]) -> String {
        advice(names::NATIVE.call(name).unwrap().1, &args)
    }

    #[test]
    fn a_call_that_a_profile_can_allow_gets_its_line() {
        assert_eq!(of("mincore", [0; 6]), "allow mincore # REASON");
        assert_eq!(of("fcntl", [3, 6, 0, 0, 0, 0]), "allow fcntl if int1 == F_SETLK # REASON");
        assert_eq!(of("prctl", [38, 1, 0, 0, 0, 0]), "allow prctl if int0 == 0x26 # REASON");
    }

    #[test]
    fn a_call_that_the_guard_denies_gets_another_way() {
        assert!(
            of("socket", [2, 1, 0, 0, 0, 0]).starts_with("the guard denies it under every profile: open")
        );
        assert_eq!(of("ptrace", [0; 6]), "the guard denies it under every profile");
        assert!(of("ioctl", [0, 0x8912, 0, 0, 0, 0]).starts_with("the guard denies it"));
        assert_eq!(of("ioctl", [0, 0x541b, 0, 0, 0, 0]), "allow ioctl if int1 == FIONREAD # REASON");
        assert!(of("execve", [0; 6]).contains("exec tree"));
    }

    #[test]
    fn each_line_that_is_advised_is_one_that_a_profile_can_have() {
        for (name, number) in names::NATIVE.calls() {
            let line = advice(number, &[0; 6]);
            if !line.starts_with("allow ") {
                continue;
            }
            let text = format!("arch {}\n{line}\n", names::NATIVE.name());
            let mut none = |name: &str| Err(name.to_owned());
            let read = super::super::profile::parse::parse("advised", &text, names::NATIVE, &mut none);
            assert!(read.is_ok(), "{name}: {line}: {:?}", read.err());
        }
    }
}
