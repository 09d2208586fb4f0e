//! A unit file as lines. Settings change; comments stay in place.

/// One setting that differs from the unit it started as.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Change {
    section: &'static str,
    key: &'static str,
    value: String,
}

#[derive(Debug, Clone)]
pub(super) struct UnitText {
    pub(super) name: String,
    lines: Vec<String>,
    changes: Vec<Change>,
}

/// Settings whose lines accumulate: a drop-in must empty them first. (Bounding sets are meant to accumulate.)
const LISTS: [&str; 3] = ["ListenStream", "IPAddressDeny", "ExecStart"];

impl UnitText {
    pub(super) fn new(name: String, text: &str) -> UnitText {
        UnitText { name, lines: text.lines().map(str::to_owned).collect(), changes: Vec::new() }
    }

    /// The value of a setting that stands there once.
    pub(super) fn value(&self, key: &str) -> Option<&str> {
        self.lines.iter().find_map(|line| value_of(line, key))
    }

    /// Sets a value, in the place of the present one or else at the end of the section.
    pub(super) fn set(&mut self, section: &'static str, key: &'static str, value: impl Into<String>) {
        let value = value.into();
        if self.value(key) == Some(&value) {
            return;
        }
        let line = format!("{key}={value}");
        match self.lines.iter().position(|line| value_of(line, key).is_some()) {
            Some(at) => self.lines[at] = line,
            None => self.lines.insert(self.end_of(section), line),
        }
        self.changes.push(Change { section, key, value });
    }

    /// Also removes the comment directly above it. Lines below that rely on the same comment lose it too;
    /// such lines are removed together.
    pub(super) fn remove(&mut self, key: &str) {
        let Some(at) = self.lines.iter().position(|line| value_of(line, key).is_some()) else { return };
        let comments = self.lines[..at].iter().rev().take_while(|line| line.starts_with('#')).count();
        self.lines.drain(at - comments..=at);
    }

    /// Says something else in the comment directly above a setting, which is wrapped again.
    pub(super) fn say_instead(&mut self, key: &str, wrong: &str, right: &str) {
        let Some(at) = self.lines.iter().position(|line| value_of(line, key).is_some()) else { return };
        let count = self.lines[..at].iter().rev().take_while(|line| line.starts_with('#')).count();
        let block = self.lines[at - count..at].iter().map(|line| line.trim_start_matches(['#', ' ']));
        let text = block.collect::<Vec<_>>().join(" ");
        if text.contains(wrong) {
            self.lines.splice(at - count..at, comment(&text.replacen(wrong, right, 1)));
        }
    }

    /// The same in the first line, which says what the unit is.
    pub(super) fn say_first(&mut self, wrong: &str, right: &str) {
        if let Some(first) = self.lines.first_mut() {
            *first = first.replacen(wrong, right, 1);
        }
    }

    fn end_of(&self, section: &str) -> usize {
        let head = format!("[{section}]");
        let start = self.lines.iter().position(|line| *line == head).unwrap_or(0);
        let next = self.lines.iter().skip(start + 1).position(|line| line.starts_with('['));
        let mut end = next.map_or(self.lines.len(), |next| start + 1 + next);
        while self.lines[end - 1].is_empty() {
            end -= 1;
        }
        end
    }

    pub(super) fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// Only the changes, for the directory NAME.d; None if there are none.
    pub(super) fn drop_in(&self) -> Option<String> {
        let mut text = String::new();
        let mut sections: Vec<&str> = self.changes.iter().map(|change| change.section).collect();
        sections.dedup();
        for section in sections {
            text.push_str(&format!("[{section}]\n"));
            for Change { key, value, .. } in self.changes.iter().filter(|change| change.section == section) {
                if LISTS.contains(key) && !value.is_empty() {
                    text.push_str(&format!("{key}=\n"));
                }
                text.push_str(&format!("{key}={value}\n"));
            }
        }
        (!text.is_empty()).then_some(text)
    }
}

/// Columns of a comment in the shipped units.
const COLUMNS: usize = 124;

fn comment(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = "#".to_owned();
    for word in text.split_whitespace() {
        if line.len() + 1 + word.len() > COLUMNS {
            lines.push(std::mem::replace(&mut line, "#".to_owned()));
        }
        line.push(' ');
        line.push_str(word);
    }
    if line.len() > 1 {
        lines.push(line);
    }
    lines
}

fn value_of<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.strip_prefix(key)?.strip_prefix('=')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "# Head\n\n[Unit]\n# Why.\nRequires=a\nAfter=a\n\n[Socket]\nListenStream=70\n\n[Install]\nAlso=b\n";

    #[test]
    fn a_setting_changes_in_its_place_and_a_new_one_ends_its_section() {
        let mut unit = UnitText::new("x".to_owned(), TEXT);
        unit.set("Socket", "ListenStream", "79");
        unit.set("Unit", "After", "a");
        unit.set("Unit", "Before", "c");
        let text = TEXT.replace("=70", "=79").replace("After=a\n", "After=a\nBefore=c\n");
        assert_eq!(unit.text(), text);
        assert_eq!(
            unit.drop_in().as_deref(),
            Some("[Socket]\nListenStream=\nListenStream=79\n[Unit]\nBefore=c\n")
        );
    }

    #[test]
    fn a_comment_says_something_else_and_fits_its_columns() {
        let mut unit = UnitText::new("x".to_owned(), TEXT);
        unit.say_instead("Requires", "Why.", &format!("Because {}", "of it ".repeat(30)));
        unit.say_instead("After", "Why.", "this has no comment of its own");
        unit.say_first("Head", "Top");
        let text = unit.text();
        assert!(text.starts_with("# Top\n\n[Unit]\n# Because of it of it"), "{text}");
        assert!(text.lines().all(|line| line.len() <= COLUMNS) && text.contains("\n# of it"), "{text}");
        assert!(text.contains("Requires=a\nAfter=a\n") && !text.contains("no comment"), "{text}");
    }

    #[test]
    fn a_removed_setting_takes_its_comment_along() {
        let mut unit = UnitText::new("x".to_owned(), TEXT);
        unit.remove("Requires");
        unit.remove("After");
        unit.remove("Missing");
        assert!(unit.text().starts_with("# Head\n\n[Unit]\n\n[Socket]"));
        assert_eq!(unit.drop_in(), None);
    }
}
