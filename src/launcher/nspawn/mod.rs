//! `dayfly nspawn`: runs a systemd-nspawn command line as `run` would.
//!
//! [`translate`] turns the words into options of `run`; this module does the parts that need the host, then
//! calls `run`. The sandbox is as tight as any other. No option is ignored: an option that dayfly cannot
//! honour is refused. docs/from-systemd-nspawn.md lists each option.

pub(crate) mod translate;

use crate::cli::{Cli, Command, ExplainOptions};
use crate::command;
use crate::config;
use crate::config::options::Options;
use crate::config::owner::{self, Owner};
use crate::config::profiles::CallChanges;
use crate::explain;
use crate::output::stdout_line;
use clap::Parser;
use sandbox::plan::identity::Identity;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use sys::names;
use translate::table::{Does, OPTIONS, OWN};
use translate::{Calls, Line, Root, Volatile};

/// The name under which the program is `dayfly nspawn`, in whatever directory.
const NAME: &str = "systemd-nspawn";

/// The words for nspawn, if this is an nspawn command line: those after `nspawn`, or after a program name
/// that means it.
pub(crate) fn words(mut arguments: impl Iterator<Item = OsString>) -> Option<Vec<OsString>> {
    let program = arguments.next()?;
    let by_name = Path::new(&program).file_name().is_some_and(|name| name == NAME);
    (by_name || arguments.next()? == "nspawn").then(|| arguments.collect())
}

pub(crate) fn main(words: Vec<OsString>) -> u8 {
    match understood(words) {
        Ok(Understood::Run(options)) => command::run(*options),
        Ok(Understood::Explain(options, json)) => {
            explain::main(ExplainOptions { words: Vec::new(), diff: None, json, options: *options })
        }
        Ok(Understood::Print(lines)) => {
            lines.iter().for_each(|line| stdout_line(line));
            0
        }
        Err(message) => command::misuse(&format!("{message}; see dayfly nspawn --help")),
    }
}

enum Understood {
    Run(Box<Options>),
    Explain(Box<Options>, bool),
    Print(Vec<String>),
}

fn understood(words: Vec<OsString>) -> Result<Understood, String> {
    let text = |word: OsString| word.into_string().map_err(|word| format!("{} is not UTF-8", word.display()));
    let words = words.into_iter().map(text).collect::<Result<Vec<_>, _>>()?;
    let line = translate::translate(&words, |name| std::env::var(name).ok())?;
    if line.wants_help {
        return Ok(Understood::Print(help()));
    }
    if line.wants_version {
        return Ok(Understood::Print(vec![format!("dayfly {}", env!("CARGO_PKG_VERSION"))]));
    }
    refuse_environment(std::env::vars_os().map(|(name, _)| name))?;
    let tree = tree(&line.root)?;
    if !line.without_settings {
        refuse_settings(&line, &tree)?;
    }
    let words = words_of_run(&line, &tree)?;
    let mut options = parse(&words)?;
    options.calls = (line.calls != Calls::default()).then(|| call_changes(&line.calls));
    if !line.quiet || line.explain {
        options.notes = Some(notes(&line, &options, &words));
    }
    Ok(match line.explain {
        true => Understood::Explain(options, line.json),
        false => Understood::Run(options),
    })
}

/// Changes of calls; of a group, calls that only another machine has are left out.
fn call_changes(calls: &Calls) -> CallChanges {
    let here = |group: &BTreeSet<&'static str>| {
        group.iter().filter_map(|name| Some(names::NATIVE.call(name)?.0)).collect::<Vec<_>>()
    };
    let prohibited = calls.prohibited.iter().cloned();
    CallChanges {
        permitted: calls.permitted.clone(),
        permitted_in_groups: here(&calls.permitted_groups),
        prohibited: prohibited.chain(here(&calls.prohibited_groups).into_iter().map(str::to_owned)).collect(),
    }
}

/// nspawn has variables that open namespaces; none of them is read here.
fn refuse_environment(mut names: impl Iterator<Item = OsString>) -> Result<(), String> {
    match names.find(|name| name.to_string_lossy().starts_with("SYSTEMD_NSPAWN_")) {
        Some(name) => {
            Err(format!("dayfly does not read the variable {} of systemd-nspawn: unset it", name.display()))
        }
        None => Ok(()),
    }
}

/// Where machinectl(1) keeps trees.
const MACHINES: [&str; 3] = ["/var/lib/machines", "/usr/local/lib/machines", "/usr/lib/machines"];

fn tree(root: &Root) -> Result<PathBuf, String> {
    match root {
        // Later looks at it walk from the root.
        Root::Directory(path) => std::path::absolute(path).map_err(|error| format!("-D {path}: {error}")),
        Root::Here => {
            std::env::current_dir().map_err(|error| format!("cannot find the current directory: {error}"))
        }
        Root::Machine(name) => {
            let mut places = MACHINES.iter().map(|place| Path::new(place).join(name));
            places
                .find(|tree| tree.is_dir())
                .ok_or_else(|| format!("no tree {name} in {}: give its path with -D", MACHINES.join(", ")))
        }
    }
}

/// nspawn reads a settings file named like the machine, in part even from a place that the tree's owner
/// controls.
fn refuse_settings(line: &Line, tree: &Path) -> Result<(), String> {
    let absolute = std::path::absolute(tree).map_err(|error| format!("{}: {error}", tree.display()))?;
    let last = absolute.file_name().unwrap_or_default();
    let mut name = line.machine.clone().map_or_else(|| last.to_owned(), OsString::from);
    name.push(".nspawn");
    let beside = absolute.parent().unwrap_or(Path::new("/"));
    let places = [Path::new("/etc/systemd/nspawn"), Path::new("/run/systemd/nspawn"), beside];
    match places.iter().map(|place| place.join(&name)).find(|file| file.symlink_metadata().is_ok()) {
        Some(file) => Err(format!(
            "systemd-nspawn would read {}, dayfly does not: move its settings to the command line, and give --settings=no",
            file.display()
        )),
        None => Ok(()),
    }
}

/// The line as one of `run`.
fn words_of_run(line: &Line, tree: &Path) -> Result<Vec<String>, String> {
    let tree_text = tree.to_str().ok_or_else(|| format!("{} is not UTF-8", tree.display()))?;
    let mut words = vec!["dayfly".to_owned(), "run".to_owned(), format!("--template={tree_text}")];
    if line.volatile == Some(Volatile::Yes) {
        words.extend(empty_but_usr(tree)?);
    }
    for path in &line.inaccessible {
        words.push(cover(tree, path)?);
    }
    if let Some(user) = &line.user {
        words.extend(owner(line, tree, user)?);
    }
    words.extend(line.options.iter().cloned());
    words.push("--".to_owned());
    words.extend(line.command.iter().cloned());
    Ok(words)
}

/// `--uid`: an existing user. Its files appear as the program's own, if the snapshot is writable.
fn owner(line: &Line, tree: &Path, user: &str) -> Result<Option<String>, String> {
    let Owner(Identity { uid, gid }) =
        owner::of_user(tree, user).map_err(|why| format!("--uid={user}: {why}"))?;
    let writable = ["--snapshot=overlay", "--snapshot=btrfs"];
    let is_mapped = line.options.iter().any(|option| writable.contains(&option.as_str()));
    Ok((is_mapped && uid != 0).then(|| format!("--owner={uid}:{gid}")))
}

/// systemd's inaccessible inodes, one of each kind, for its own InaccessiblePaths=.
const INACCESSIBLE: &str = "/run/systemd/inaccessible";

/// `--inaccessible`: covers a path with such an inode.
fn cover(tree: &Path, path: &str) -> Result<String, String> {
    let below = path.trim_start_matches('/');
    let found = tree.join(below).symlink_metadata();
    let found = found.map_err(|error| format!("--inaccessible: {path} of the tree: {error}"))?;
    let kind = match () {
        () if found.is_dir() => "dir",
        () if found.is_file() => "reg",
        () => return Err(format!("--inaccessible: {path} of the tree is neither a file nor a directory")),
    };
    let node = Path::new(INACCESSIBLE).join(kind);
    match node.symlink_metadata() {
        Ok(_) => Ok(format!("--bind-ro={INACCESSIBLE}/{kind}:{}", path.replace(':', "\\:"))),
        Err(error) => Err(format!(
            "--inaccessible needs {}, which systemd makes: {error}; leave {path} out of the tree",
            node.display()
        )),
    }
}

/// `--volatile=yes`: of the tree only /usr is seen; its other directories are there, and empty.
fn empty_but_usr(tree: &Path) -> Result<Vec<String>, String> {
    const STAY: [&str; 3] = ["usr", "dev", "proc"];
    const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];
    let failed = |error: std::io::Error| format!("--volatile=yes: cannot list {}: {error}", tree.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(tree).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name =
            entry.file_name().into_string().map_err(|name| format!("{} is not UTF-8", name.display()))?;
        if !entry.file_type().map_err(failed)?.is_dir() || STAY.contains(&name.as_str()) {
            continue;
        }
        if MERGED.contains(&name.as_str()) {
            return Err(format!(
                "--volatile=yes: /{name} in the tree is not a link into /usr; use --volatile=overlay"
            ));
        }
        names.push(name);
    }
    names.sort();
    Ok(names.iter().map(|name| format!("--tmpfs=/{}", name.replace(':', "\\:"))).collect())
}

fn parse(words: &[String]) -> Result<Box<Options>, String> {
    match Cli::try_parse_from(words).map(|cli| cli.command) {
        Ok(Command::Run(options)) => options.into_options().map(Box::new),
        Ok(other) => Err(format!("the line is one of another command: {other:?}")),
        Err(error) => Err(command::in_one_line(&error)),
    }
}

/// Notes for the log: chosen settings, tighter alternatives, and differences from the command line.
fn notes(line: &Line, options: &Options, words: &[String]) -> Vec<String> {
    let mut notes = line.notes.clone();
    if let Some(user) = &line.user {
        let files = match options.owner {
            Some(_) => "its files in the tree appear as the program's own",
            None => "files that only it may read stay closed",
        };
        notes.push(format!("--uid={user}: {files}; the program has its own uid and no groups"));
    }
    let name = line.command.first().map_or("the program", String::as_str);
    if line.chose_profile {
        let better = match config::is_static(options) {
            Some(true) => format!(
                "{name} is statically linked: with --profile=interpreter, or --profile=static if that is enough, no other \
                 program runs"
            ),
            Some(false) => format!(
                "{name} is dynamically linked: link it statically (docs/static-musl.md) to use --profile=static, under \
                 which no other program runs"
            ),
            None => "a statically linked program can use --profile=static, under which no other program runs"
                .to_owned(),
        };
        notes.push(format!("profile tree: the program may run every file in the tree; {better}"));
    }
    let but = match options.calls {
        Some(_) => ", but for --system-call-filter, which a profile of your own can say (docs/profiles.md)",
        None => "",
    };
    let words = words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
    notes.push(format!("the same line{but}: {words}"));
    notes
}

/// A word, quoted so that a shell takes it for one.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=+,%@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn help() -> Vec<String> {
    let mut lines = vec![
        "Usage: dayfly nspawn [OPTION…] COMMAND [ARG…], or by the name systemd-nspawn".to_owned(),
        String::new(),
        "systemd-nspawn's options, and what becomes of them in a sandbox of dayfly's:".to_owned(),
    ];
    for known in OPTIONS {
        let what = match known.does {
            Does::Refuse => "refused: ".to_owned(),
            Does::Already(values) if values.iter().any(|value| !value.is_empty()) => {
                format!(
                    "only {}: ",
                    values.iter().filter(|value| !value.is_empty()).copied().collect::<Vec<_>>().join(", ")
                )
            }
            Does::Honour(_) | Does::Already(_) => String::new(),
        };
        lines.push(format!("  {}\n        {what}{}", known.shown(), known.says));
    }
    lines.extend([String::new(), "dayfly's own among them, as of dayfly run (--help):".to_owned()]);
    lines.push(format!(
        "  {}",
        OWN.iter().map(|(name, argument)| format!("--{name}{argument}")).collect::<Vec<_>>().join(" ")
    ));
    lines.push(
        "  --explain prints the sandbox, and the line of dayfly run that is the same, and runs nothing"
            .to_owned(),
    );
    lines
}

#[cfg(test)]
mod tests;
