//! Files that a profile includes, found as the launcher finds them (src/launcher/config/profiles.rs).

use seccomp::profile::texts;
use std::fs;
use std::path::{Path, PathBuf};

const PROFILES: &str = "/etc/dayfly/profiles";

/// Profiles of the package, relative to libexec/dayfly, where this program is.
const PACKAGED: &str = "../../share/dayfly/profiles";

/// A built-in profile, one of /etc/dayfly/profiles or of the package, or with a `/` a file, relative
/// to the first one's directory.
pub(crate) fn find(name: &str, directory: &Path) -> Result<(String, String), String> {
    if let Some(text) = texts::included(name) {
        return Ok((name.to_owned(), text.to_owned()));
    }
    let path = match name.contains('/') {
        true => directory.join(name),
        false => by_name(name),
    };
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok((path.display().to_string(), text))
}

fn by_name(name: &str) -> PathBuf {
    let file = format!("{name}.profile");
    let own = Path::new(PROFILES).join(&file);
    let program = std::env::current_exe().and_then(|program| program.canonicalize()).ok();
    let packaged = program.and_then(|program| Some(program.parent()?.join(PACKAGED).join(&file)));
    if own.exists() { own } else { packaged.filter(|path| path.exists()).unwrap_or(own) }
}
