//! Reasons why a template cannot be made. One sentence each: what is wrong, where, and what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(crate) enum Error {
    NothingToMake,
    NoDirectory(PathBuf),
    /// A package or a release.
    PackageName(String),
    /// OUT exists and has no mark of ours.
    NotOurs(PathBuf),
    /// OUT exists and is of another kind than asked for.
    WrongKind {
        out: PathBuf,
        wanted: &'static str,
    },
    HandlerNotElf(PathBuf),
    /// The handler asks for a loader that the template does not have.
    NoLoader {
        handler: PathBuf,
        loader: String,
    },
    /// A path inside the template leads outside of it, by a symbolic link in its middle.
    LeadsOut(PathBuf),
    MountPoint {
        line: String,
    },
    NoProgram {
        program: &'static str,
        package: &'static str,
    },
    NeedsRoot(&'static str),
    /// A program of the host failed; the text is the end of what it said.
    Program {
        program: &'static str,
        said: String,
    },
    Io {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NothingToMake => {
                write!(f, "nothing to make a template of: give --handler, --from or --debian")
            }
            Error::NoDirectory(path) => write!(f, "--from {}: there is no such directory", path.display()),
            Error::PackageName(name) => write!(f, "'{name}' is not the name of a Debian package or release"),
            Error::NotOurs(path) => {
                write!(f, "{} was not made by this command: remove it first, or name another", path.display())
            }
            Error::WrongKind { out, wanted } => {
                write!(f, "{} exists and is not {wanted}: remove it first, or name another", out.display())
            }
            Error::HandlerNotElf(path) => write!(
                f,
                "{} is neither an ELF binary nor a script that begins with #!: give an executable file",
                path.display()
            ),
            Error::NoLoader { handler, loader } => write!(
                f,
                "{} is dynamically linked and the template has no {loader}: link it statically \
                 (docs/static-musl.md), or take the loader and libraries from --from or --debian",
                handler.display()
            ),
            Error::LeadsOut(path) => write!(
                f,
                "{} leads out of the template by a symbolic link: replace the link in --from by a directory",
                path.display()
            ),
            Error::MountPoint { line } => {
                write!(f, ".mountpoints: '{line}' is not a path inside the template")
            }
            Error::NoProgram { program, package } => {
                write!(f, "{program} is not installed: apt-get install {package}")
            }
            Error::NeedsRoot(what) => write!(f, "{what} needs root"),
            Error::Program { program, said } => write!(f, "{program} failed: {said}"),
            Error::Io { what, path, source } => write!(f, "cannot {what} {}: {source}", path.display()),
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    /// A program of the host that could not be started.
    pub(crate) fn not_started(error: io::Error, program: &'static str, package: &'static str) -> Error {
        match error.kind() {
            io::ErrorKind::NotFound => Error::NoProgram { program, package },
            _ => Error::Io { what: "start", path: program.into(), source: error },
        }
    }
}

/// Names what was done to which path when it failed.
pub(crate) trait At<T> {
    fn at(self, what: &'static str, path: &Path) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, what: &'static str, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::Io { what, path: path.to_owned(), source: source.into() })
    }
}
