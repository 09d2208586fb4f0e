//! Learning: what becomes of a call that a profile does not allow, and which of its arguments say what
//! it does.
//!
//! While a service learns, all such calls are notified. The default verdict is not applied: the call
//! continues. A notified call that continues skips the other filters (seccomp_unotify(2)), so the guard is
//! asked here, by an interpreter of the same program. It decides by numbers in registers, which nobody can
//! change while the call waits.

use super::guard_emit::Instruction;
use super::interpret::{Call, interpret};
use super::profile::constants;
use super::profile::model::{Action, Entry, Exec, Profile};
use sys::names;

/// Verdict on a call while a service learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lesson {
    /// The profile allows it: it is notified for another reason.
    Allowed,
    /// A line of the profile gives it this errno, as ever.
    Answered(u16),
    /// A line of the profile ends the sandbox for it, as ever.
    Ended,
    /// The guard denies it under every profile: ENOSYS.
    Guarded,
    /// No line can allow it: this errno.
    Impossible(u16),
    /// It continues, and becomes a line.
    Learned,
}

const ENOSYS: u16 = 38;
const EACCES: u16 = 13;

/// Judges a call by the machine's own ABI. Only a call that the guard allows as well may go on.
#[must_use]
pub fn judge(profile: &Profile, guard: &[Instruction], number: u32, args: &[u64; 6]) -> Lesson {
    let lesson = match profile.verdict(number, args) {
        Some(Action::Errno(errno)) => return Lesson::Answered(errno),
        Some(Action::Notify | Action::Kill) => return Lesson::Ended,
        Some(Action::Allow) => Lesson::Allowed,
        None => Lesson::Learned,
    };
    let machine = names::NATIVE;
    let Some(name) = machine.call_name(number) else { return Lesson::Impossible(ENOSYS) };
    let call = Call { number, name, arch: machine.audit_arch(), args: *args };
    if interpret(guard, &call) != libc::SECCOMP_RET_ALLOW {
        return Lesson::Guarded;
    }
    match name {
        "execve" | "execveat" if profile.traits.exec == Exec::Once => Lesson::Impossible(EACCES),
        _ => lesson,
    }
}

/// The profile with all that it denies notified, so that the supervisor sees it, and all that opens files.
#[must_use]
pub fn notifying(profile: &Profile) -> Profile {
    let of_entry = |entry: &Entry| match entry.action {
        Action::Allow if opening(entry.name).is_some() => None,
        Action::Allow => Some(entry.clone()),
        // A call that no line decides is notified anyway.
        _ if entry.when.is_empty() => None,
        // A call has one such entry with conditions at most.
        _ => Some(Entry { action: Action::Notify, ..entry.clone() }),
    };
    Profile { traits: profile.traits, entries: profile.entries.iter().filter_map(of_entry).collect() }
}

/// Arguments of a call that opens a file by its path, by their places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// The descriptor of a directory that a relative path begins at.
    pub directory: Option<usize>,
    pub path: usize,
    pub flags: OpeningFlags,
}

/// The flags of a call that opens a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpeningFlags {
    Argument(usize),
    /// It always makes a file.
    Creates,
    /// They are in memory, and not looked at.
    InMemory,
}

/// Where a call has its path, if it opens a file.
#[must_use]
pub fn opening(name: &str) -> Option<Opening> {
    match name {
        "open" => Some(Opening { directory: None, path: 0, flags: OpeningFlags::Argument(1) }),
        "creat" => Some(Opening { directory: None, path: 0, flags: OpeningFlags::Creates }),
        "openat" => Some(Opening { directory: Some(0), path: 1, flags: OpeningFlags::Argument(2) }),
        "openat2" => Some(Opening { directory: Some(0), path: 1, flags: OpeningFlags::InMemory }),
        _ => None,
    }
}

/// A call's arguments that say what it does, as conditions name them, and how the names of their
/// values begin.
type Telling = (&'static str, &'static [(&'static str, &'static str)]);

/// Numbers of descriptors, addresses, sizes and the like say nothing.
const TELLING: &[Telling] = &[
    ("arch_prctl", &[("int0", "ARCH_")]),
    ("clone", &[("arg0", "-")]),
    ("close_range", &[("int2", "CLOSE_RANGE_")]),
    ("copy_file_range", &[("int5", "-")]),
    ("epoll_create1", &[("int0", "-")]),
    ("eventfd2", &[("int1", "-")]),
    ("fadvise64", &[("int3", "-")]),
    ("fallocate", &[("int1", "-")]),
    ("fcntl", &[("int1", "F_")]),
    ("flock", &[("int1", "LOCK_")]),
    ("futex", &[("int1", "FUTEX_W")]),
    ("getpriority", &[("int0", "PRIO_")]),
    ("getrandom", &[("int2", "-")]),
    ("getsockopt", &[("int1", "-"), ("int2", "-")]),
    ("inotify_init1", &[("int0", "-")]),
    ("ioctl", &[("int1", "TC"), ("int1", "TIOC"), ("int1", "FIO")]),
    ("ioprio_get", &[("int0", "-")]),
    ("ioprio_set", &[("int0", "-")]),
    ("linkat", &[("int4", "-")]),
    ("madvise", &[("int2", "MADV_")]),
    ("membarrier", &[("int0", "MEMBARRIER_"), ("int1", "-")]),
    ("memfd_create", &[("int1", "-")]),
    ("mlock2", &[("int2", "-")]),
    ("mlockall", &[("int0", "-")]),
    ("mmap", &[("arg2", "PROT_"), ("arg3", "-")]),
    ("mprotect", &[("arg2", "PROT_")]),
    ("mremap", &[("arg3", "-")]),
    ("msync", &[("int2", "MS_")]),
    ("name_to_handle_at", &[("int4", "-")]),
    ("personality", &[("int0", "-")]),
    ("pidfd_open", &[("int1", "-")]),
    ("pidfd_send_signal", &[("int1", "-"), ("int3", "-")]),
    ("pipe2", &[("int1", "-")]),
    ("pkey_mprotect", &[("arg2", "PROT_")]),
    ("preadv2", &[("int5", "-")]),
    ("prctl", &[("int0", "PR_")]),
    ("prlimit64", &[("int1", "RLIMIT_")]),
    ("process_madvise", &[("int3", "MADV_")]),
    ("pwritev2", &[("int5", "-")]),
    ("renameat2", &[("int4", "-")]),
    ("sched_setscheduler", &[("int1", "-")]),
    ("setpriority", &[("int0", "PRIO_")]),
    ("setrlimit", &[("int0", "RLIMIT_")]),
    ("signalfd4", &[("int3", "-")]),
    ("socketpair", &[("int0", "AF_"), ("int1", "-"), ("int2", "-")]),
    ("splice", &[("int5", "-")]),
    ("sync_file_range", &[("int3", "-")]),
    ("tee", &[("int3", "-")]),
    ("timerfd_create", &[("int0", "-"), ("int1", "-")]),
    ("timerfd_settime", &[("int1", "-")]),
    ("vmsplice", &[("int3", "-")]),
    ("wait4", &[("int2", "-")]),
    ("waitid", &[("int0", "-"), ("int3", "-")]),
];

fn telling(name: &str) -> &'static [(&'static str, &'static str)] {
    TELLING.iter().find(|(known, _)| *known == name).map_or(&[], |(_, arguments)| arguments)
}

/// The value of an argument as a condition of that name sees it.
fn value(argument: &str, args: &[u64; 6]) -> u64 {
    let (kind, index) = argument.split_at(argument.len().saturating_sub(1));
    let value = index.parse().ok().and_then(|index: usize| args.get(index)).copied().unwrap_or(0);
    if kind == "int" { value & u64::from(u32::MAX) } else { value }
}

/// The name of a value; of flags, the names of all bits.
fn name_of(value: u64, prefix: &str) -> Option<String> {
    if let Some(name) = constants::name_of(value, prefix) {
        return Some(name.to_owned());
    }
    let bits = (0..64).map(|bit| 1 << bit).filter(|bit| value & bit != 0 && FLAGS.contains(&prefix));
    let names: Option<Vec<_>> = bits.map(|bit| constants::name_of(bit, prefix)).collect();
    names.filter(|names| !names.is_empty()).map(|names| names.join("|"))
}

/// Families of names that are bits.
const FLAGS: [&str; 3] = ["LOCK_", "MS_", "PROT_"];

/// The arguments that select an operation of a call; the others are zero.
#[must_use]
pub fn kind(name: &str, args: &[u64; 6]) -> [u64; 6] {
    let mut kind = [0; 6];
    for (argument, _) in telling(name) {
        let index = argument.as_bytes().last().map_or(0, |digit| usize::from(digit.wrapping_sub(b'0')));
        if let Some(place) = kind.get_mut(index) {
            *place = value(argument, args);
        }
    }
    kind
}

/// The condition of a profile's line that allows calls of this kind; None where no argument says what the
/// call does.
#[must_use]
pub fn condition(name: &str, args: &[u64; 6]) -> Option<String> {
    let mut conditions: Vec<(&str, String)> = Vec::new();
    for (argument, prefix) in telling(name) {
        let value = value(argument, args);
        let known = name_of(value, prefix);
        let text = known
            .clone()
            .unwrap_or_else(|| if value < 10 { value.to_string() } else { format!("{value:#x}") });
        match conditions.iter_mut().find(|(of, _)| of == argument) {
            // One argument with several families of names.
            Some(condition) if known.is_some() => condition.1 = text,
            Some(_) => {}
            None => conditions.push((argument, text)),
        }
    }
    let conditions: Vec<_> =
        conditions.iter().map(|(argument, value)| format!("{argument} == {value}")).collect();
    (!conditions.is_empty()).then(|| conditions.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::super::abi::{Files, Variant};
    use super::super::compile::compile;
    use super::super::profile::{parse, texts};
    use super::super::{bpf, guard};
    use super::*;

    fn read(text: &str) -> Profile {
        let mut include = |name: &str| Ok((name.to_owned(), texts::included(name).unwrap().to_owned()));
        parse::parse("p", text, names::NATIVE, &mut include).unwrap()
    }

    fn number(name: &str) -> u32 {
        names::NATIVE.call(name).unwrap().1
    }

    fn lesson(profile: &Profile, name: &str, args: [u64; 6]) -> Lesson {
        judge(profile, guard::native(Files::Temporary), number(name), &args)
    }

    #[test]
    fn a_call_continues_only_where_no_line_and_no_guard_denies_it() {
        let own = "arch x86_64 aarch64\ninclude static\nkill mincore # mine\nnotify msync # mine\n";
        let profile = read(own);
        assert_eq!(lesson(&profile, "flock", [3, 2, 0, 0, 0, 0]), Lesson::Learned);
        assert_eq!(lesson(&profile, "fcntl", [3, 6, 0, 0, 0, 0]), Lesson::Learned);
        assert_eq!(lesson(&profile, "fcntl", [3, 1, 0, 0, 0, 0]), Lesson::Allowed);
        assert_eq!(lesson(&profile, "rseq", [0; 6]), Lesson::Answered(38));
        assert_eq!(lesson(&profile, "openat", [0; 6]), Lesson::Allowed);
        assert_eq!(lesson(&profile, "mincore", [0; 6]), Lesson::Ended);
        assert_eq!(lesson(&profile, "msync", [0; 6]), Lesson::Ended);
        assert_eq!(lesson(&profile, "socket", [2, 1, 0, 0, 0, 0]), Lesson::Guarded);
        assert_eq!(lesson(&profile, "clone", [0x1000_0000, 0, 0, 0, 0, 0]), Lesson::Guarded);
        assert_eq!(lesson(&profile, "clone", [17, 0, 0, 0, 0, 0]), Lesson::Learned);
        assert_eq!(lesson(&profile, "ioctl", [0, 0x8912, 0, 0, 0, 0]), Lesson::Guarded);
        assert_eq!(lesson(&profile, "execve", [0; 6]), Lesson::Impossible(13));
        assert_eq!(judge(&profile, guard::native(Files::Temporary), 4242, &[0; 6]), Lesson::Impossible(38));
    }

    /// All calls that open files are notified, and a call that goes on skips the guard.
    #[test]
    fn what_a_profile_allows_and_the_guard_denies_does_not_continue() {
        let profile = read("arch x86_64 aarch64\nallow openat clone # a mistake\n");
        assert_eq!(lesson(&profile, "openat", [0, 0, 0o100, 0o644, 0, 0]), Lesson::Allowed);
        assert_eq!(lesson(&profile, "openat", [0, 0, 0o100, 0o4755, 0, 0]), Lesson::Guarded);
        assert_eq!(lesson(&profile, "clone", [0x1000_0000, 0, 0, 0, 0, 0]), Lesson::Guarded);
    }

    /// The guard of a service with a writable bind denies more, and is the one that is asked.
    #[test]
    fn the_guard_that_is_in_force_is_asked() {
        let profile = read("arch x86_64 aarch64\nallow read # r\n");
        let by = |files| judge(&profile, guard::native(files), number("openat2"), &[0; 6]);
        assert_eq!((by(Files::Temporary), by(Files::Kept)), (Lesson::Learned, Lesson::Guarded));
    }

    /// Whatever the profile does with a call, the supervisor sees it unless the profile allows it.
    #[test]
    fn while_learning_all_that_is_not_allowed_is_notified_and_nothing_else() {
        let own = "arch x86_64 aarch64\ninclude interpreter\nkill flock if int1 == 1 # a\nallow flock # b\n\
            errno EIO mincore if int1 == 2 # c\nallow syncfs if int1 == 4 # d\n";
        for text in [own, "arch x86_64 aarch64\ninclude tree\n", "arch x86_64 aarch64\ninclude static\n"] {
            let profile = read(text);
            let program = compile(&notifying(&profile), names::NATIVE, Variant::ALL[0]).unwrap();
            for (name, number) in names::NATIVE.calls() {
                for value in [0, 1, 2, 3, 4, 5, 0x1002, 1 << 31, u64::MAX] {
                    let call = Call { number, name, arch: names::NATIVE.audit_arch(), args: [value; 6] };
                    let allowed =
                        profile.verdict(number, &call.args) == Some(Action::Allow) && opening(name).is_none();
                    let expected = if allowed { bpf::ALLOW } else { bpf::NOTIFY };
                    assert_eq!(interpret(&program, &call), expected, "{name} {value:#x}");
                }
            }
        }
    }

    #[test]
    fn each_argument_that_tells_is_one_of_a_call_and_makes_a_condition_that_a_profile_can_have() {
        for (name, _) in TELLING.iter().filter(|(name, _)| names::NATIVE.call(name).is_some()) {
            let (args, on) = ([3, 1 << 33, 5, 6, 7, 8], names::NATIVE.name());
            let condition = condition(name, &args).unwrap();
            let profile = read(&format!("arch {on}\nallow {name} if {condition} # r\n"));
            assert_eq!(profile.verdict(number(name), &args), Some(Action::Allow), "{name}");
            assert_eq!(profile.verdict(number(name), &kind(name, &args)), Some(Action::Allow), "{name}");
            assert_eq!(profile.verdict(number(name), &[99; 6]), None, "{name}");
        }
    }

    #[test]
    fn a_condition_has_the_names_that_people_know() {
        assert_eq!(condition("ioctl", &[0, 0x541b, 0, 0, 0, 0]).unwrap(), "int1 == FIONREAD");
        assert_eq!(condition("ioctl", &[0, 0x5401, 0, 0, 0, 0]).unwrap(), "int1 == TCGETS");
        assert_eq!(condition("flock", &[0, 6, 0, 0, 0, 0]).unwrap(), "int1 == LOCK_EX|LOCK_NB");
        assert_eq!(
            condition("mmap", &[0, 0, 5, 2, 0, 0]).unwrap(),
            "arg2 == PROT_READ|PROT_EXEC and arg3 == 2"
        );
        assert_eq!(condition("pipe2", &[77, 0, 0, 0, 0, 0]).unwrap(), "int1 == 0");
        assert_eq!(condition("mincore", &[1; 6]), None);
        assert_eq!(kind("fcntl", &[7, 6, 5, 4, 3, 2]), [0, 6, 0, 0, 0, 0]);
    }
}
