//! The profile's text with what was learned. Lines that are there stay as they are.

use crate::heard::Heard;
use crate::includes;
use crate::line::{self, Alternative};
use seccomp::profile::model::{Action, Profile};
use seccomp::profile::parse;
use std::path::Path;
use sys::names;

/// A new text, and what is new in it.
#[derive(Debug)]
pub(crate) struct Changed {
    pub(crate) text: String,
    pub(crate) added: Vec<String>,
    /// Lines that have no place in the file, each with the reason; the operator can add them.
    pub(crate) by_hand: Vec<String>,
}

/// Adds what was learned to the text of FILE, or to a new one that includes `base`. The result is a profile
/// that allows all of it.
pub(crate) fn add(before: Option<&str>, base: &str, heard: &Heard, path: &Path) -> Result<Changed, String> {
    let mut text = before.map_or_else(|| head(base), str::to_owned);
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let mut changed = Changed { text, added: Vec::new(), by_hand: Vec::new() };
    let mut written: Vec<(&str, Vec<Alternative>)> = Vec::new();
    let old = before.map(|text| read(text, path)).transpose()?;
    for (name, kinds) in &heard.learned {
        let Some(alternatives) = line::alternatives(name, kinds) else {
            let total: u64 = kinds.values().sum();
            let why = format!("{name}, made {} in more ways than a line can list", line::times(total));
            changed.by_hand.push(format!("{why}: allow {name}{}", line::on(name)));
            continue;
        };
        // A sandbox of before a reload may have made what the file allows by now.
        let is_new =
            |alternative: &Alternative| !old.as_ref().is_some_and(|old| allows(old, name, alternative));
        let alternatives: Vec<_> = alternatives.into_iter().filter(is_new).collect();
        if !alternatives.is_empty() && changed.take(name, &alternatives) {
            written.push((name, alternatives));
        }
    }
    let profile = read(&changed.text, path)?;
    for (name, alternatives) in written {
        if let Some(missing) = alternatives.iter().find(|alternative| !allows(&profile, name, alternative)) {
            return Err(format!("cannot write a line that allows {name}: {missing:?}"));
        }
    }
    Ok(changed)
}

fn head(base: &str) -> String {
    format!(
        "# A draft by dayfly learn. Learning was no protection: read each line, and remove what the handler can do without.\n\
         # dayfly learn --output adds to this file what it does not allow yet.\n\n\
         arch {}\ninclude {base}\n\n",
        names::NATIVE.name()
    )
}

fn read(text: &str, path: &Path) -> Result<Profile, String> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let mut include = |name: &str| includes::find(name, directory);
    parse::parse(&path.display().to_string(), text, names::NATIVE, &mut include)
        .map_err(|error| error.to_string())
}

fn allows(profile: &Profile, name: &str, alternative: &Alternative) -> bool {
    let number = names::NATIVE.call(name).map_or(u32::MAX, |(_, number)| number);
    profile.verdict(number, &alternative.kind) == Some(Action::Allow)
}

/// Where the text has a statement that allows a call.
#[derive(Debug, PartialEq, Eq)]
enum Known {
    No,
    /// With conditions, of this call alone: more of them can follow at this byte.
    Widens(usize),
    /// Together with others, or without a condition.
    Otherwise,
}

impl Changed {
    /// Writes a call's line, or more below the one that is there.
    fn take(&mut self, name: &str, alternatives: &[Alternative]) -> bool {
        let statement = line::statement(name, alternatives, &line::on(name));
        let additions: Option<String> = alternatives.iter().map(line::addition).collect();
        match (known(&self.text, name), additions) {
            (Known::No, _) => {
                self.text.push_str(&statement);
                self.added.push(statement);
            }
            (Known::Widens(at), Some(additions)) => {
                self.text.insert_str(at, &additions);
                self.added.push(format!("allow {name} … (more below its line)\n{additions}"));
            }
            (Known::Widens(_) | Known::Otherwise, _) => {
                let why = "the file has a line for it that says less";
                self.by_hand.push(format!("{name}, {why}: {}", statement.trim_end()));
                return false;
            }
        }
        true
    }
}

fn known(text: &str, name: &str) -> Known {
    let mut found = Known::No;
    let mut at = 0;
    // In a statement of this call alone: whether it has a condition.
    let mut open = None;
    for line in text.split_inclusive('\n') {
        let code = line.split('#').next().unwrap_or_default();
        let is_indented = line.starts_with([' ', '\t']) && !line.trim().is_empty();
        at += line.len();
        let words: Vec<&str> = code.split_whitespace().collect();
        if let Some(has_condition) = open.filter(|_| is_indented) {
            let has_condition = has_condition || words.contains(&"if");
            open = Some(has_condition);
            found = if has_condition { Known::Widens(at) } else { Known::Otherwise };
            continue;
        }
        open = None;
        if words.first() != Some(&"allow") {
            continue;
        }
        let calls: Vec<&str> =
            words.iter().skip(1).take_while(|word| !matches!(**word, "on" | "if")).copied().collect();
        if calls == [name] {
            open = Some(words.contains(&"if"));
            found = if open == Some(true) { Known::Widens(at) } else { Known::Otherwise };
        } else if calls.contains(&name) {
            found = Known::Otherwise;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
    use super::*;

    fn heard(lines: &[(&str, [u64; 6], u64)]) -> Heard {
        let mut heard = Heard::default();
        for (name, kind, count) in lines {
            let name = names::NATIVE.call(name).unwrap().0;
            heard.learned.entry(name).or_default().insert(Some(*kind), *count);
        }
        heard
    }

    fn add_to(before: Option<&str>, lines: &[(&str, [u64; 6], u64)]) -> Changed {
        add(before, "static", &heard(lines), Path::new("/p.profile")).unwrap()
    }

    #[test]
    fn a_new_file_includes_the_profile_and_has_a_line_a_call() {
        let made =
            add_to(None, &[("mincore", [0; 6], 1), ("fcntl", [0, 6, 0, 0, 0, 0], 4), ("futex", [0; 6], 2)]);
        for line in [
            "arch x86_64\ninclude static\n",
            "allow mincore # learned: once, ",
            "allow fcntl if int1 == F_SETLK # learned: 4 times",
        ] {
            assert!(made.text.replace(names::NATIVE.name(), "x86_64").contains(line), "{}", made.text);
        }
        assert_eq!((made.added.len(), made.by_hand.len()), (3, 0));
    }

    #[test]
    fn a_second_run_adds_what_is_new_and_leaves_the_rest() {
        let first = add_to(None, &[("fcntl", [0, 6, 0, 0, 0, 0], 4), ("mincore", [0; 6], 1)]).text;
        let first = first.replace("allow mincore", "# mine\nallow mincore");
        let second =
            add_to(Some(&first), &[("fcntl", [0, 7, 0, 0, 0, 0], 2), ("msync", [0, 0, 4, 0, 0, 0], 1)]);
        let line = "allow fcntl if int1 == F_SETLK # learned: 4 times, ";
        assert!(
            second.text.contains(line)
                && second.text.contains("\n    or int1 == F_SETLKW # learned: 2 times\n")
        );
        for kept_or_new in
            ["# mine\nallow mincore # learned: once", "\nallow msync if int2 == MS_SYNC # learned: once"]
        {
            assert!(second.text.contains(kept_or_new), "{}", second.text);
        }
        let third =
            add_to(Some(&second.text), &[("fcntl", [0, 6, 0, 0, 0, 0], 9), ("fcntl", [0, 5, 0, 0, 0, 0], 1)]);
        assert_eq!(third.text.matches("F_SETLK ").count(), 1, "{}", third.text);
        assert!(third.text.contains(
            "    or int1 == F_SETLKW # learned: 2 times\n    or int1 == F_GETLK # learned: once\n"
        ));
        let fourth = add_to(Some(&third.text), &[("fcntl", [0, 5, 0, 0, 0, 0], 1)]);
        assert_eq!(fourth.text, third.text);
    }

    #[test]
    fn a_line_of_the_operators_that_has_no_room_is_left_alone() {
        let mine = "arch x86_64 aarch64\ninclude static\nallow flock msync if int1 == 1 # mine\n";
        let made = add_to(Some(mine), &[("flock", [0, 2, 0, 0, 0, 0], 1)]);
        assert_eq!(made.text, mine);
        assert!(made.by_hand[0].contains("allow flock if int1 == LOCK_EX"), "{:?}", made.by_hand);
    }

    #[test]
    fn a_call_of_one_machine_has_its_machine() {
        let mine = "arch x86_64 aarch64\ninclude static\n";
        let made = add_to(Some(mine), &[("rename", [0; 6], 1)]);
        assert!(made.text.contains("allow rename on x86_64 # learned: once"), "{}", made.text);
    }

    #[test]
    fn what_is_no_profile_is_not_added_to() {
        let heard = heard(&[("flock", [0, 2, 0, 0, 0, 0], 1)]);
        assert!(add(Some("something else\n"), "static", &heard, Path::new("/p")).is_err());
    }
}
