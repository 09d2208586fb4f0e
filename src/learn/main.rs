//! The half of `dayfly learn` that needs no privilege: hears on descriptor 0 what sandboxes called, and at
//! its end writes the profile and says on descriptor 1 what is new in it.
//!
//! [`heard`] counts; [`line`](mod@line) makes a line of a profile from a call; [`file`] adds lines to a
//! profile's text; [`includes`] finds included files; [`report`] says it.

mod file;
mod heard;
mod includes;
mod line;
mod paths;
mod report;

use heard::Heard;
use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let written = match words.as_slice() {
        [option, output] if option == "--output" => {
            say(NO_PROTECTION);
            learn(&PathBuf::from(output))
        }
        [option, output, warned] if option == "--output" && warned == "--warned" => {
            learn(&PathBuf::from(output))
        }
        _ => Err("started by dayfly learn, which see".to_owned()),
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _closed = writeln!(io::stderr(), "dayfly learn: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The first line of the report, where the launcher's warning is read elsewhere.
const NO_PROTECTION: &str = "Learning is no protection: calls that the profile denies are recorded and made.";

fn learn(output: &Path) -> Result<(), String> {
    let mut heard = Heard::default();
    for line in io::stdin().lock().lines() {
        let line = line.map_err(|error| format!("cannot read what was learned: {error}"))?;
        heard.add(&line)?;
    }
    let Some(base) = heard.base.clone().filter(|_| !heard.is_empty()) else {
        return Err("nothing was learned: no connection has ended".to_owned());
    };
    let before = read(output)?;
    let changed = file::add(before.as_deref(), &base, &heard, output)?;
    if before.as_deref() != Some(changed.text.as_str()) {
        write(output, &changed.text)?;
    }
    say(&report::report(&heard, &changed, output));
    Ok(())
}

/// A reader that has closed its end wants no more.
fn say(text: &str) {
    let _closed = writeln!(io::stdout(), "{text}");
}

fn read(path: &Path) -> Result<Option<String>, String> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}

/// Replaces the file in one step: a reader of the old one is not disturbed.
fn write(path: &Path, text: &str) -> Result<(), String> {
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".new-{}", std::process::id()));
    let written = fs::write(&new, text).and_then(|()| fs::rename(&new, path));
    written.map_err(|error| {
        let _absent = fs::remove_file(&new);
        format!("cannot write {}: {error}", path.display())
    })
}
