//! The template and the handler in it: found, trusted, and of a kind that can run.

use super::options::Options;
use super::program::{self, Program};
use super::service::{PATH, c_string};
use super::trust::{self, TrustError, Trusted, TrustedFile};
use super::{ConfigError, ErrorKind};
use crate::privilege::Privilege;
use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

/// The template and its path, checked component by component.
pub(super) fn open_template(options: &Options, trusted: Trusted) -> Result<TrustedFile, ConfigError> {
    let Some(path) = &options.template else {
        return Err(ConfigError::usage("no template: give --template DIR or --service NAME"));
    };
    let template = trust::host_root().and_then(|root| trust::walk(root, path, trusted)).map_err(|error| {
        ConfigError::sandbox(format!("cannot use the template {}: {error}", path.display()))
    })?;
    if template.stat.st_mode & libc::S_IFMT != libc::S_IFDIR {
        return Err(ConfigError::sandbox(format!("the template {} is no directory", path.display())));
    }
    Ok(template)
}

/// The file to execute, and the argument vector it gets.
#[derive(Debug)]
pub(super) struct Handler {
    pub(super) file: TrustedFile,
    pub(super) argv: Vec<CString>,
}

pub(super) fn find_handler(
    template: &TrustedFile,
    command: &[String],
    trusted: Trusted,
    privilege: Privilege,
) -> Result<Handler, ConfigError> {
    let Some((name, arguments)) = command.split_first() else {
        return Err(ConfigError::usage("no handler: give -- CMD, or handler in the service file"));
    };
    let file = lookup(template, name, trusted)?;
    let mut argv = vec![OsString::from(name)];
    let mut handler = file;
    if let Program::Script(interpreter, argument) = inspect(template, &handler, name, privilege)? {
        // One level, as for the kernel; the script's own path becomes an argument.
        argv = vec![interpreter.clone()];
        argv.extend(argument);
        argv.push(handler.path.clone().into_os_string());
        let shown = format!("{} (interpreter of {name})", interpreter.to_string_lossy());
        handler = resolve(template, Path::new(&interpreter), &shown, trusted)?;
        if let Program::Script(..) = inspect(template, &handler, &shown, privilege)? {
            return Err(not_executable(&shown, "a script itself: only one level of #! is followed"));
        }
    }
    argv.extend(arguments.iter().map(OsString::from));
    let argv = argv
        .into_iter()
        .map(|a| c_string(a.into_vec(), "the handler's arguments"))
        .collect::<Result<_, _>>()?;
    Ok(Handler { file: handler, argv })
}

/// A CMD without `/` is looked up in PATH, inside the template.
fn lookup(template: &TrustedFile, name: &str, trusted: Trusted) -> Result<TrustedFile, ConfigError> {
    if name.contains('/') {
        return resolve(template, Path::new(name), name, trusted);
    }
    for directory in PATH.split(':') {
        match resolve(template, &Path::new(directory).join(name), name, trusted) {
            Err(error) if error.kind == ErrorKind::NotFound => {}
            found => return found,
        }
    }
    let message = format!("there is no handler '{name}' in PATH ({PATH}) of the template");
    Err(ConfigError { kind: ErrorKind::NotFound, message })
}

fn resolve(
    template: &TrustedFile,
    path: &Path,
    shown: &str,
    trusted: Trusted,
) -> Result<TrustedFile, ConfigError> {
    let root = template.fd.try_clone().map_err(|error| ConfigError::sandbox(error.to_string()))?;
    trust::walk(root, path, trusted).map_err(|error| match error {
        TrustError::Missing(_) => ConfigError {
            kind: ErrorKind::NotFound,
            message: format!("there is no handler {shown} in the template {}", template.path.display()),
        },
        error => ConfigError::sandbox(format!("cannot use the handler {shown} in the template: {error}")),
    })
}

fn not_executable(name: &str, why: &str) -> ConfigError {
    let message = format!("cannot execute the handler {name}: it is {why}");
    ConfigError { kind: ErrorKind::NotExecutable, message }
}

/// What kind of program a handler is; refuses what cannot run.
fn inspect(
    template: &TrustedFile,
    handler: &TrustedFile,
    name: &str,
    privilege: Privilege,
) -> Result<Program, ConfigError> {
    let mode = handler.stat.st_mode;
    if mode & libc::S_IFMT != libc::S_IFREG {
        return Err(not_executable(name, "no regular file"));
    }
    // As another uid than its owner, which every sandbox is; rootless it may be the owner.
    let needed = if privilege == Privilege::Root { libc::S_IXOTH } else { libc::S_IXOTH | libc::S_IXUSR };
    if mode & needed == 0 {
        return Err(not_executable(name, "not executable for others: chmod 0711 it"));
    }
    // Through /proc, because the descriptor is O_PATH; before any namespace is entered.
    let mut head = Vec::with_capacity(program::HEAD);
    let opened = File::open(format!("/proc/self/fd/{}", handler.fd.as_raw_fd()));
    let read = opened.and_then(|file| file.take(program::HEAD as u64).read_to_end(&mut head));
    match read {
        Ok(_) => {}
        // Rootless, a file of mode 0711 cannot be read; exec will tell.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Ok(Program::Static),
        Err(error) => return Err(ConfigError::sandbox(format!("cannot read the handler {name}: {error}"))),
    }
    match program::classify(&head) {
        Program::Dynamic(loader) => {
            let loader = loader.to_string_lossy();
            let there = template.path.join(loader.trim_start_matches('/')).exists();
            let there = if there { "is in the template, but" } else { "is not in the template, and" };
            let why = format!(
                "dynamically linked: its loader {loader} {there} profile static runs static programs only; \
                 see docs/static-musl.md"
            );
            Err(not_executable(name, &why))
        }
        Program::Foreign(what) => Err(not_executable(name, what)),
        program => Ok(program),
    }
}
