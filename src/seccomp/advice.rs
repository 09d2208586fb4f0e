//! Advice about a denied call: the line of a profile that would allow it, or why none can and what to
//! use instead.

use super::abi::Files;
use super::guard;
use super::interpret::{Call, interpret};
use super::learning;
use sys::names::{self, Machine};

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
        return of_guard(name);
    }
    if matches!(name, "execve" | "execveat") {
        return OF_EXEC.to_owned();
    }
    let on = match Machine::ALL.iter().all(|machine| machine.call(name).is_some()) {
        true => String::new(),
        false => format!(" on {}", machine.name()),
    };
    let condition = learning::condition(name, args).map(|condition| format!(" if {condition}"));
    format!("allow {name}{on}{} # REASON", condition.unwrap_or_default())
}

/// Advice about a call that the guard denies.
#[must_use]
pub fn of_guard(name: &str) -> String {
    let instead = INSTEAD.iter().find(|(known, _)| *known == name);
    let instead = instead.map(|(_, instead)| format!(": {instead}")).unwrap_or_default();
    format!("the guard denies it under every profile{instead}")
}

/// Advice about a program that wants to execute another one.
pub const OF_EXEC: &str = "use a profile with 'exec tree': --profile tree";

#[cfg(test)]
mod tests {
    use super::super::profile::model::Action;
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

    /// The operator adds the line to a file that includes the profile.
    #[test]
    fn each_line_that_is_advised_is_one_that_allows_the_call_in_a_profile_that_includes_static() {
        let text = |own: &str| format!("arch {}\ninclude static\n{own}\n", names::NATIVE.name());
        let mut include = |name: &str| match super::super::profile::texts::included(name) {
            Some(text) => Ok((name.to_owned(), text.to_owned())),
            None => Err(name.to_owned()),
        };
        let mut read = |own: &str| {
            super::super::profile::parse::parse("advised", &text(own), names::NATIVE, &mut include)
        };
        let included = read("").unwrap();
        for (name, number) in names::NATIVE.calls() {
            for args in [[0; 6], [3, 9, 13, 7, 0, 5], [u64::MAX; 6]] {
                let line = advice(number, &args);
                if !line.starts_with("allow ") || included.verdict(number, &args).is_some() {
                    continue;
                }
                let profile = read(&line).unwrap_or_else(|error| panic!("{name}: {line}: {error}"));
                assert_eq!(profile.verdict(number, &args), Some(Action::Allow), "{name}: {line}");
            }
        }
    }
}
