//! The report at the end of learning.

use crate::file::Changed;
use crate::heard::Heard;
use crate::line::times;
use crate::paths;
use seccomp::advice;
use seccomp::profile::constants;
use std::collections::BTreeMap;
use std::path::Path;

/// The report, without an end of line.
pub(crate) fn report(heard: &Heard, changed: &Changed, path: &Path) -> String {
    let mut text = match changed.added.is_empty() {
        true => format!("{}: nothing to add\n", path.display()),
        false => format!("added to {}:\n", path.display()),
    };
    let mut list = |title: &str, lines: &mut dyn Iterator<Item = String>| {
        let lines: Vec<String> = lines.collect();
        if !lines.is_empty() && !title.is_empty() {
            text.push_str(&format!("{title}:\n"));
        }
        for line in lines.iter().flat_map(|line| line.lines()) {
            text.push_str(&format!("  {line}\n"));
        }
    };
    list("", &mut changed.added.iter().cloned());
    list("not added, for you to decide", &mut changed.by_hand.iter().cloned());
    list(
        "answered by a line of the profile; if the handler cannot do without, remove that line ('remove CALL') and learn again",
        &mut heard.answered.iter().map(|((name, errno), count)| {
            format!("{name}: {}, {}", constants::errno_name(*errno).unwrap_or("an errno"), times(*count))
        }),
    );
    list(
        "ended the sandbox by a line of the profile",
        &mut heard.ended.iter().map(|(name, count)| format!("{name}: {}", times(*count))),
    );
    list(
        "never allowed",
        &mut heard
            .guarded
            .iter()
            .map(|(name, count)| format!("{name}, {}: {}", times(*count), advice::of_guard(name))),
    );
    list("no line can allow", &mut impossible(&heard.impossible));
    list("paths", &mut paths::proposals(&heard.paths).into_iter());
    let outcomes: Vec<String> =
        heard.outcomes.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
    text.push_str(&format!(
        "connections: {}",
        if outcomes.is_empty() { "none".to_owned() } else { outcomes.join(", ") }
    ));
    text
}

fn impossible(counts: &BTreeMap<String, u64>) -> impl Iterator<Item = String> {
    counts.iter().map(|(name, count)| {
        let why = match name.as_str() {
            "execve" | "execveat" => advice::OF_EXEC,
            _ => "no table of dayfly's names it",
        };
        format!("{name}, {}: {why}", times(*count))
    })
}
