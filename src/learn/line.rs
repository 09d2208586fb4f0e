//! A line of a profile for a call.

use crate::heard::Kinds;
use seccomp::learning::condition;
use seccomp::profile::model::{Action, Profile};
use seccomp::profile::{parse, texts};
use sys::names::{self, Machine};

/// One alternative of a call's line: its condition, if an argument says what the call does, and how often it
/// was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Alternative {
    pub(crate) condition: Option<String>,
    /// Arguments of such a call, those that say nothing zero.
    pub(crate) kind: [u64; 6],
    pub(crate) count: u64,
}

/// The alternatives of a call; None where they are too many to be listed.
pub(crate) fn alternatives(name: &str, kinds: &Kinds) -> Option<Vec<Alternative>> {
    let alternative = |(kind, count): (&Option<[u64; 6]>, &u64)| {
        let kind = (*kind)?;
        Some(Alternative { condition: condition(name, &kind), kind, count: *count })
    };
    kinds.iter().map(alternative).collect()
}

/// `allow CALL if …  # learned: N times, REASON`; several alternatives are several lines.
pub(crate) fn statement(name: &str, alternatives: &[Alternative], on: &str) -> String {
    let total: u64 = alternatives.iter().map(|alternative| alternative.count).sum();
    let reason = format!("# learned: {}, {}", times(total), reason(name, alternatives));
    match alternatives {
        [Alternative { condition: Some(condition), .. }] => {
            format!("allow {name}{on} if {condition} {reason}\n")
        }
        [Alternative { condition: None, .. }] => format!("allow {name}{on} {reason}\n"),
        several => {
            let mut text = format!("allow {name}{on} {reason}\n");
            for (index, alternative) in several.iter().enumerate() {
                let word = if index == 0 { "if" } else { "or" };
                let condition = alternative.condition.as_deref().unwrap_or_default();
                text.push_str(&format!("    {word} {condition} # {}\n", times(alternative.count)));
            }
            text
        }
    }
}

/// One more alternative below a statement that is there.
pub(crate) fn addition(alternative: &Alternative) -> Option<String> {
    let condition = alternative.condition.as_deref()?;
    Some(format!("    or {condition} # learned: {}\n", times(alternative.count)))
}

pub(crate) fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

/// ` on MACHINE` for a call that another machine lacks.
pub(crate) fn on(name: &str) -> String {
    match Machine::ALL.iter().all(|machine| machine.call(name).is_some()) {
        true => String::new(),
        false => format!(" on {}", names::NATIVE.name()),
    }
}

/// Why a built-in profile allows such calls: what they are for.
fn reason(name: &str, alternatives: &[Alternative]) -> String {
    let mut include = |name: &str| match texts::included(name) {
        Some(text) => Ok((name.to_owned(), text.to_owned())),
        None => Err(name.to_owned()),
    };
    let read = |(profile, text): &(&str, &str)| parse::parse(profile, text, names::NATIVE, &mut include).ok();
    let number = names::NATIVE.call(name).map_or(u32::MAX, |(_, number)| number);
    let allows = |profile: &Profile| {
        let mut kinds = alternatives.iter().map(|alternative| &alternative.kind);
        kinds.all(|kind| profile.verdict(number, kind) == Some(Action::Allow))
    };
    let found = texts::PROFILES.iter().filter_map(read).filter(allows).find_map(|profile| {
        let mut entries = profile.entries.into_iter();
        entries.find(|entry| entry.name == name && entry.action == Action::Allow).map(|entry| entry.reason)
    });
    found.unwrap_or_else(|| "which no built-in profile allows".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
    use super::*;

    fn of(name: &str, kinds: &[[u64; 6]]) -> String {
        let kinds: Kinds = kinds.iter().map(|kind| (Some(*kind), 3)).collect();
        statement(name, &alternatives(name, &kinds).unwrap(), "")
    }

    #[test]
    fn a_line_has_its_count_and_reason_and_what_the_call_did_as_its_condition() {
        assert_eq!(
            of("mincore", &[[0; 6]]),
            "allow mincore # learned: 3 times, which no built-in profile allows\n"
        );
        let fcntl = "allow fcntl if int1 == F_SETLK # learned: 3 times, which no built-in profile allows\n";
        assert_eq!(of("fcntl", &[[0, 6, 0, 0, 0, 0]]), fcntl);
        assert_eq!(of("umask", &[[0; 6]]), "allow umask # learned: 3 times, os.umask; files of its own\n");
        let flock = "allow flock if int1 == LOCK_EX # learned: 3 times, which no built-in profile allows\n";
        assert_eq!(of("flock", &[[0, 2, 0, 0, 0, 0]]), flock);
        let both = of("flock", &[[0, 2, 0, 0, 0, 0], [0, 8, 0, 0, 0, 0]]);
        assert!(both.starts_with("allow flock # learned: 6 times, "), "{both}");
        assert!(
            both.ends_with("\n    if int1 == LOCK_EX # 3 times\n    or int1 == LOCK_UN # 3 times\n"),
            "{both}"
        );
    }

    #[test]
    fn kinds_that_were_too_many_make_no_line() {
        let kinds: Kinds = [(Some([0; 6]), 1), (None, 9)].into();
        assert_eq!(alternatives("prctl", &kinds), None);
    }
}
