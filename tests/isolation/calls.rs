//! Every call that a profile allows is made under it, in a real sandbox, and works; every call that it
//! answers with an errno is answered so; every other number ends the sandbox.

use common::{Ended, Site, a_site, dayfly};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

const PROFILES: [&str; 3] = ["static", "interpreter", "tree"];

/// name, then what is said of it: the values of `dayfly explain`.
fn explained(profile: &str, group: &str) -> Vec<(String, String)> {
    let output = Command::new(dayfly()).args(["explain", "--json", "--profile", profile]).output().unwrap();
    let tree: Value = serde_json::from_slice(&output.stdout).unwrap();
    let calls = tree["seccomp"]["profile"][group.replace(' ', "_")].as_object().unwrap().iter();
    let calls = calls.filter(|(name, _)| *name != "value");
    calls.map(|(name, said)| (name.clone(), said.as_str().unwrap_or_default().to_owned())).collect()
}

fn numbers() -> BTreeMap<&'static str, i64> {
    #[cfg(target_arch = "x86_64")]
    let table = include_str!("../../src/sys/syscalls-x86_64.txt");
    #[cfg(target_arch = "aarch64")]
    let table = include_str!("../../src/sys/syscalls-aarch64.txt");
    table
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, n)| (name, n.parse().unwrap()))
        .collect()
}

/// Those that end the one process, each with a sandbox of its own where the profile has no children.
const ENDING: [&str; 4] = ["exit", "exit_group", "execve", "execveat"];

/// The bytes sent are those that recvfrom reads: unread bytes would turn the end into a reset, and cut
/// the answer.
fn under(site: &Site, profile: &str, words: &[&str]) -> Ended {
    let input: &[u8] = if words.contains(&"recvfrom") { b"some" } else { b"" };
    site.probe(words).options(&["--profile", profile, "--snapshot", "readonly"]).talk(input)
}

#[test]
fn every_allowed_call_works_under_its_profile() {
    let site = a_site!();
    for profile in PROFILES {
        let allowed = explained(profile, "allowed");
        let names = allowed.iter().map(|(name, _)| name.as_str());
        let names: Vec<&str> = names.filter(|name| profile == "tree" || !ENDING.contains(name)).collect();
        // Few at a time: each leaves descriptors open.
        for some in names.chunks(12) {
            let ended = under(&site, profile, &[&["calls"], some].concat());
            ended.expect(0, "exited");
            for name in some {
                let worked = ended.text().lines().any(|line| line.starts_with(&format!("{name} ok ")));
                assert!(worked, "{profile}: {name}\n{ended}");
            }
        }
    }
}

#[test]
fn the_calls_that_end_a_process_end_it() {
    let site = a_site!();
    for profile in ["static", "interpreter"] {
        for name in ["exit", "exit_group"] {
            under(&site, profile, &["ends", name]).expect(7, "exited");
        }
    }
}

#[test]
fn what_the_tree_adds_to_a_call_works_there_alone() {
    let site = a_site!();
    // A name, then what static and interpreter answer; without an answer the call ends the sandbox.
    let added = [
        ("mmap of code", None, libc::EACCES),
        ("mprotect of code", None, libc::EACCES),
        ("futex between processes", None, libc::ENOSYS),
        ("prlimit64 of a new limit", Some(libc::EPERM), libc::EPERM),
    ];
    for (name, by_static, by_interpreter) in added {
        let ended = under(&site, "tree", &["calls", name]);
        ended.expect(0, "exited");
        assert!(ended.text().starts_with(&format!("{name} ok ")), "{ended}");
        for (profile, answer) in [("static", by_static), ("interpreter", Some(by_interpreter))] {
            let ended = under(&site, profile, &["calls", name]);
            let Some(errno) = answer else {
                ended.expect(137, "denied");
                continue;
            };
            ended.expect(0, "exited");
            assert_eq!(ended.text(), format!("{name} errno {errno}\n"), "{profile}: {ended}");
        }
    }
}

/// Made with zeros, which no condition of such a call allows, or with what the condition of the answer names.
#[test]
fn every_call_that_is_answered_with_an_errno_is_answered_so() {
    let site = a_site!();
    let numbers = numbers();
    for profile in PROFILES {
        let allowed: BTreeSet<String> =
            explained(profile, "allowed").into_iter().map(|(name, _)| name).collect();
        let answered = explained(profile, "answered with an errno");
        let answered: Vec<_> = answered.iter().filter(|(name, _)| !allowed.contains(name)).collect();
        let mut words = vec!["answers".to_owned()];
        let mut expected = Vec::new();
        for (name, value) in answered {
            let (errno, condition) = value.split_once(" if ").unwrap_or((value, ""));
            words.push(format!("{name}={}{}", numbers[name.as_str()], arguments_of(condition)));
            expected.push(match errno {
                "0" => format!("{name} ok 0"),
                _ => format!("{name} errno {}", number_of(errno)),
            });
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ended = under(&site, profile, &words);
        ended.expect(0, "exited");
        let text = ended.text();
        assert_eq!(text.lines().collect::<Vec<_>>(), expected, "{profile}\n{ended}");
    }
}

/// Arguments that fulfil the condition. The kernel itself would answer otherwise: a null address, no length.
fn arguments_of(condition: &str) -> String {
    match condition {
        "" => String::new(),
        "int1 == IPPROTO_TCP and int2 == TCP_NODELAY" => {
            format!(",0,{},{}", libc::IPPROTO_TCP, libc::TCP_NODELAY)
        }
        "int0 == PR_SET_VMA" => format!(",{}", libc::PR_SET_VMA),
        other => panic!("no arguments fulfil '{other}' yet"),
    }
}

fn number_of(errno: &str) -> i32 {
    match errno {
        "EPERM" => libc::EPERM,
        "ENOENT" => libc::ENOENT,
        "EACCES" => libc::EACCES,
        "EINVAL" => libc::EINVAL,
        "ENOTTY" => libc::ENOTTY,
        "ENOSYS" => libc::ENOSYS,
        "ENOTSOCK" => libc::ENOTSOCK,
        "EOPNOTSUPP" => libc::EOPNOTSUPP,
        "EAFNOSUPPORT" => libc::EAFNOSUPPORT,
        other => panic!("{other} is not among these yet"),
    }
}

/// All numbers up to beyond the newest that is known, each in a sandbox of its own, which it ends. The same
/// for every profile, and by the x32 door, walks in src/sandbox/plan/filters/tests.rs, where a call costs
/// no sandbox.
#[test]
fn every_other_number_ends_the_sandbox_and_is_recorded() {
    let site = a_site!();
    let numbers = numbers();
    let mut named: BTreeSet<i64> = BTreeSet::new();
    for group in ["allowed", "answered with an errno"] {
        named.extend(explained("static", group).iter().map(|(name, _)| numbers[name.as_str()]));
    }
    // Answered by the guard: ENOSYS, so that a libc falls back on clone.
    named.insert(numbers["clone3"]);
    // The kernel asks no filter about these two and ends whoever makes them (Linux 6.14).
    named.extend(["uretprobe", "uprobe"].iter().filter_map(|name| numbers.get(name)));
    let newest = numbers.values().max().unwrap() + 8;
    for number in (0..newest).filter(|number| !named.contains(number)) {
        let ended = under(&site, "static", &["answers", &format!("it={number}")]);
        ended.expect(137, "denied");
        assert_eq!(ended.record["denied"]["nr"], number, "{ended}");
    }
}
