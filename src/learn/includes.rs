//! Files that a profile includes, found as the launcher finds them (src/launcher/config/profiles.rs).

use seccomp::profile::texts;
use std::fs;
use std::path::{Path, PathBuf};

const PROFILES: &str = "/etc/dayfly/profiles";

/// A built-in profile, one of /etc/dayfly/profiles, or with a `/` a file, relative to the first
/// one's directory.
pub(crate) fn find(name: &str, directory: &Path) -> Result<(String, String), String> {
    if let Some(text) = texts::included(name) {
        return Ok((name.to_owned(), text.to_owned()));
    }
    let path = match name.contains('/') {
        true => directory.join(name),
        false => PathBuf::from(format!("{PROFILES}/{name}.profile")),
    };
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok((path.display().to_string(), text))
}
