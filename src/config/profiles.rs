//! `--profile NAME or FILE`: a built-in one, one of /etc/dayfly/profiles, or any file that is the operator's.

use super::{ConfigError, read_trusted};
use crate::sandbox::seccomp::profile::{self, Loaded, parse};
use crate::sys::names;
use std::path::{Path, PathBuf};

const PROFILES: &str = "/etc/dayfly/profiles";

/// Built-in names come first: no file can take one's place.
pub(super) fn load(given: Option<&str>) -> Result<Loaded, ConfigError> {
    let given = given.unwrap_or(profile::DEFAULT);
    if let Some(built_in) = profile::built_in(given) {
        return Ok(Loaded::BuiltIn(built_in));
    }
    let path = path(given, Path::new("/")).ok_or_else(|| unknown(given))?;
    let by_name = !given.contains('/');
    if by_name && !path.exists() {
        return Err(unknown(given));
    }
    let shown = path.display().to_string();
    let text =
        read_trusted(&path).map_err(|why| ConfigError::usage(format!("the profile {shown}: {why}")))?;
    let directory = path.parent().unwrap_or(Path::new("/")).to_owned();
    let mut include = |name: &str| included(name, &directory);
    let profile = parse::parse(&shown, &text, names::NATIVE, &mut include)
        .map_err(|error| ConfigError::usage(error.to_string()))?;
    Ok(Loaded::File { name: given.to_owned(), profile })
}

fn unknown(name: &str) -> ConfigError {
    let known: Vec<_> = profile::names_built_in().collect();
    let known = known.join(" ");
    ConfigError::usage(format!(
        "there is no profile '{name}': built in are {known}; {PROFILES} has no such file"
    ))
}

/// NAME has no `/`; with one it is a file, relative to the directory.
fn path(given: &str, directory: &Path) -> Option<PathBuf> {
    if given.contains('/') {
        return Some(directory.join(given));
    }
    let is_name = !given.is_empty() && !given.starts_with('.');
    is_name.then(|| Path::new(PROFILES).join(format!("{given}.profile")))
}

/// What an operator's profile includes: a built-in one or another file, its path from the first one's directory.
fn included(name: &str, directory: &Path) -> Result<(String, String), String> {
    if let Some(text) = profile::included(name) {
        return Ok((name.to_owned(), text.to_owned()));
    }
    let path = path(name, directory).ok_or_else(|| format!("'{name}' is no name of a profile"))?;
    let shown = path.display().to_string();
    let text = read_trusted(&path).map_err(|why| format!("{shown}: {why}"))?;
    Ok((shown, text))
}
