//! A line of systemd-nspawn to one of `dayfly run`: words in, words out. Pure; the tree is not looked at.

mod draft;
mod groups;
pub(crate) mod table;
mod values;
mod words;

use draft::Draft;
use std::collections::BTreeSet;
use table::Does;
use words::Which;

/// A parsed nspawn command line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) root: Root,
    /// -M.
    pub(crate) machine: Option<String>,
    pub(crate) volatile: Option<Volatile>,
    /// No .nspawn file is to be looked for.
    pub(crate) without_settings: bool,
    pub(crate) quiet: bool,
    pub(crate) explain: bool,
    pub(crate) json: bool,
    pub(crate) wants_help: bool,
    pub(crate) wants_version: bool,
    /// The profile is dayfly's choice, not the command line's.
    pub(crate) chose_profile: bool,
    /// Options of `run`, each one word.
    pub(crate) options: Vec<String>,
    pub(crate) command: Vec<String>,
    /// A user of the tree, by name or number.
    pub(crate) user: Option<String>,
    pub(crate) calls: Calls,
    /// Paths of the tree that are to be covered.
    pub(crate) inaccessible: Vec<String>,
    /// Differences from the command line.
    pub(crate) notes: Vec<String>,
}

/// Calls that --system-call-filter permits and prohibits, by name and by systemd's groups.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Calls {
    pub(crate) permitted: BTreeSet<String>,
    pub(crate) prohibited: BTreeSet<String>,
    pub(crate) permitted_groups: BTreeSet<&'static str>,
    pub(crate) prohibited_groups: BTreeSet<&'static str>,
}

/// Where the tree is.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) enum Root {
    /// The current directory, because no option names a tree.
    #[default]
    Here,
    Directory(String),
    /// The tree with the name of the machine.
    Machine(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Volatile {
    Yes,
    State,
    Overlay,
}

/// Reads a line; an error is one line too. `variable` asks the launcher's own environment.
pub(crate) fn translate(words: &[String], variable: fn(&str) -> Option<String>) -> Result<Line, String> {
    let (options, command) = words::read(words)?;
    let mut draft =
        Draft { line: Line::default(), variable, ephemeral: false, read_only: false, hostname: None };
    // All that is wrong is told at once.
    let mut wrong: Vec<String> = Vec::new();
    for given in options {
        let value = given.value.as_deref();
        match given.option {
            Which::Own(name) => draft.own(name, value),
            Which::Nspawn(known) => {
                if let Err(why) = apply(&mut draft, known, value.unwrap_or_default())
                    && !wrong.contains(&why)
                {
                    wrong.push(why);
                }
                if draft.line.wants_help || draft.line.wants_version {
                    return Ok(draft.line);
                }
            }
        }
    }
    command.clone_into(&mut draft.line.command);
    if command.is_empty() {
        wrong.push(
            "no command: systemd-nspawn would give each client a shell; if you want that, name /bin/sh"
                .to_owned(),
        );
    }
    match draft.finish() {
        Ok(line) if wrong.is_empty() => Ok(line),
        Ok(_) => Err(wrong.join("; ")),
        Err(why) => {
            wrong.push(why);
            Err(wrong.join("; "))
        }
    }
}

fn apply(draft: &mut Draft, known: &table::Known, value: &str) -> Result<(), String> {
    let name = known.name();
    match known.does {
        Does::Honour(function) => function(draft, value).map_err(|why| format!("{name}: {why}")),
        Does::Already([]) => Ok(()),
        Does::Already(accepted) if values::is_among(value, accepted) => Ok(()),
        Does::Already(_) => Err(format!("{name}={value} is not supported: {}", known.says)),
        Does::Refuse => Err(format!("{name} is not supported: {}", known.says)),
    }
}

#[cfg(test)]
mod tests;
