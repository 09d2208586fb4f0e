//! Programs of the package beside the launcher: code that needs none of its privileges is no part of it.
//!
//! `dayfly NAME …` becomes `../libexec/dayfly/NAME …`, relative to the launcher's own file, as git does.

use crate::log::{self, Verbosity};
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Becomes the program. Returns only an exit status, if that fails.
pub(crate) fn run(name: &str, words: &[OsString]) -> u8 {
    log::init(None, Verbosity::Normal, false);
    match path_of(name) {
        Ok(path) => {
            let error = Command::new(&path).args(words).exec();
            log::fatal(&format!("cannot execute {}: {error}: install the whole package", path.display()));
        }
        Err(error) => log::fatal(&format!("cannot find the launcher's own file: {error}")),
    }
    FAILED
}

/// Runs the program and waits for it: whether it has succeeded. It says itself what was wrong.
pub(crate) fn succeeds(name: &str, words: impl Iterator<Item = String>) -> bool {
    let done = path_of(name).and_then(|path| Command::new(path).args(words).status());
    match done {
        Ok(status) => status.success(),
        Err(error) => {
            log::fatal(&format!("cannot execute dayfly {name}: {error}: install the whole package"));
            false
        }
    }
}

/// Starts the program with these descriptors 0 and 1, in a process group of its own: a key that ends the
/// launcher does not end it. Without `says` it has no descriptor 2.
pub(crate) fn start(
    name: &str,
    words: &[OsString],
    ends: (OwnedFd, OwnedFd),
    says: bool,
) -> io::Result<Child> {
    let mut command = Command::new(path_of(name)?);
    command.args(words).stdin(ends.0).stdout(ends.1).process_group(0);
    if !says {
        command.stderr(Stdio::null());
    }
    command.spawn()
}

const FAILED: u8 = 1;

/// Where the program is installed, or the directory of this name.
pub(crate) fn path_of(name: &str) -> io::Result<PathBuf> {
    let own = std::env::current_exe()?.canonicalize()?;
    let parent = own.parent().and_then(|directory| directory.parent()).ok_or(io::ErrorKind::NotFound)?;
    Ok(parent.join("libexec/dayfly").join(name))
}
