//! Parses and checks the command line. No file is opened here.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) const HELP: &str = "\
Usage: logwatch [OPTIONS] FILE...

Follow log files: write each new line to standard output as `NAME: LINE`, across rotation and truncation,
until standard input ends. What is not the text of a file begins with `logwatch: `.

Options:
  --since LINES    begin with the last LINES lines of each file (default: 0)
  --rotations N    rotated files of each log that a slow watcher may still read, 0 to 6 (default: 4)
  --alive SECONDS  write `logwatch: alive` when nothing was written for so long; 0 is never (default: 60)
  --help           print this
  --version        print the version

Exit status: 0 the watcher has left, 1 it could not be written to, 2 wrong usage.
";

/// How many logs one watcher follows. Each has a descriptor for itself and for each rotated file.
const FILES_MAX: usize = 7;

const ROTATIONS_MAX: usize = 6;

/// The name that begins lines which are of no file.
pub(crate) const OWN_NAME: &[u8] = b"logwatch";

/// The task of a run of the program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Watch(Options),
    Help,
    Version,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) since: u64,
    pub(crate) rotations: usize,
    /// None: never.
    pub(crate) alive: Option<Duration>,
}

pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Command, String> {
    let mut options =
        Options { files: Vec::new(), since: 0, rotations: 4, alive: Some(Duration::from_secs(60)) };
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy().into_owned();
        let (name, attached) = match text.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
            _ => (text.as_str(), None),
        };
        let mut number = || -> Result<u64, String> {
            let value = attached.clone().or_else(|| Some(arguments.next()?.to_string_lossy().into_owned()));
            let value = value.ok_or_else(|| format!("{name} wants a number"))?;
            value.parse().ok().ok_or_else(|| format!("{name} wants a number, not {}", value.escape_debug()))
        };
        match name {
            "--since" => options.since = number()?,
            "--rotations" => {
                options.rotations =
                    usize::try_from(number()?)
                        .ok()
                        .filter(|&count| count <= ROTATIONS_MAX)
                        .ok_or_else(|| format!("--rotations wants a number from 0 to {ROTATIONS_MAX}"))?;
            }
            "--alive" => {
                options.alive = Some(number()?).filter(|&seconds| seconds > 0).map(Duration::from_secs)
            }
            "--help" | "-h" if attached.is_none() => return Ok(Command::Help),
            "--version" | "-V" if attached.is_none() => return Ok(Command::Version),
            _ if name.starts_with('-') => return Err(format!("{} is not an option", name.escape_debug())),
            _ => options.files.push(PathBuf::from(argument)),
        }
    }
    match options.files.len() {
        0 => Err("give the files to follow".to_owned()),
        1..=FILES_MAX => Ok(Command::Watch(options)),
        _ => Err(format!("at most {FILES_MAX} files can be followed")),
    }
}

/// The name of each file in the watcher's lines: its last component, or the whole path where that is the name
/// of another file or of this program.
pub(crate) fn names(files: &[PathBuf]) -> Vec<Vec<u8>> {
    let base = |path: &PathBuf| path.file_name().unwrap_or(path.as_os_str()).as_bytes().to_vec();
    let is_taken =
        |name: &Vec<u8>| name == OWN_NAME || files.iter().filter(|other| base(other) == *name).count() > 1;
    let whole = |path: &PathBuf| OsStr::as_bytes(path.as_os_str()).to_vec();
    files
        .iter()
        .map(|path| Some(base(path)).filter(|name| !is_taken(name)).unwrap_or_else(|| whole(path)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Command, String> {
        parse(words.iter().map(OsString::from))
    }

    #[test]
    fn a_value_may_be_attached_or_follow() {
        let expected = Options {
            files: vec![PathBuf::from("/log/a"), PathBuf::from("/log/b")],
            since: 10,
            rotations: 1,
            alive: None,
        };
        let words = ["/log/a", "--since=10", "--rotations", "1", "--alive", "0", "/log/b"];
        assert_eq!(parsed(&words), Ok(Command::Watch(expected)));
    }

    #[test]
    fn what_is_wrong_is_refused() {
        for words in [
            &[][..],
            &["--since"],
            &["--since", "x", "a"],
            &["--since=-1", "a"],
            &["--rotations=7", "a"],
            &["--nothing", "a"],
            &["--help=x"],
            &["1", "2", "3", "4", "5", "6", "7", "8"],
        ] {
            assert!(parsed(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn names_are_short_where_they_are_clear() {
        let files = ["/log/a", "/log/b", "/more/b", "/log/logwatch"].map(PathBuf::from);
        let names: Vec<String> =
            names(&files).iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        assert_eq!(names, ["a", "/log/b", "/more/b", "/log/logwatch"]);
    }
}
