//! Where the content of a template comes from: Debian packages, then a directory copied over them.

use crate::error::{At, Error};
use crate::options::Build;
use crate::progress::Progress;
use crate::tree;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Fills the new tree. Answers what of --from no template can hold: devices, FIFOs and sockets mean something
/// to the host alone.
pub(crate) fn fill(options: &Build, tree: &Path, progress: &mut Progress) -> Result<Vec<PathBuf>, Error> {
    let mut left_out = Vec::new();
    if !options.debian.is_empty() {
        progress.step("installing Debian packages");
        debian(&options.debian, options.release.as_deref(), tree, progress)?;
    }
    if let Some(from) = &options.from {
        progress.step("copying");
        copy_directory(from, tree, Path::new("/"), &mut left_out)?;
    }
    Ok(left_out)
}

/// Paths that no handler needs: documentation in all languages, and files that identify the machine that
/// built the tree.
const LEFT_OUT: [&str; 5] = [
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/lintian/*",
];
const OF_THIS_MACHINE: [&str; 6] =
    ["etc/hostname", "etc/resolv.conf", "etc/machine-id", "var/cache", "var/log", "var/lib/apt"];

/// A minimal tree with these packages and what they depend on. mmdebstrap(1) is started in a mount namespace
/// of its own: what it mounts below the tree never shows on the host, and goes with it.
fn debian(packages: &[String], release: Option<&str>, tree: &Path, progress: &Progress) -> Result<(), Error> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NeedsRoot("--debian"));
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "mmdebstrap", "--mode=root", "--variant=essential"]);
    command.arg(format!("--include={}", packages.join(",")));
    command.args(LEFT_OUT.map(|path| format!("--dpkgopt=path-exclude={path}")));
    // The licences stay.
    command.arg("--dpkgopt=path-include=/usr/share/doc/*/copyright");
    command.arg(release.map_or_else(this_release, str::to_owned));
    command.arg(tree).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| Error::not_started(error, "unshare", "util-linux"))?;
    let mut said = String::new();
    for line in BufReader::new(child.stderr.take().ok_or_else(no_mmdebstrap)?).split(b'\n') {
        let line = line.at("read from", Path::new("mmdebstrap"))?;
        let line = String::from_utf8_lossy(&line).into_owned();
        progress.tick(line.trim_start_matches("I: "));
        // The first error is apt's; the last only says that mmdebstrap has failed.
        if line.starts_with("E: ") && said.is_empty() {
            said = line;
        }
    }
    let status = child.wait().at("wait for", Path::new("mmdebstrap"))?;
    match status.code() {
        Some(0) => {}
        // unshare(1) says so when it does not find its command.
        Some(127) => return Err(no_mmdebstrap()),
        _ => return Err(Error::Program { program: "mmdebstrap", said }),
    }
    for name in OF_THIS_MACHINE {
        empty(&tree.join(name))?;
    }
    Ok(())
}

fn no_mmdebstrap() -> Error {
    Error::NoProgram { program: "mmdebstrap", package: "mmdebstrap" }
}

/// os-release(5); another system gets Debian's stable release.
fn this_release() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let value = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .map(|value| value.trim_matches('"'))
    };
    match (value("ID"), value("VERSION_CODENAME")) {
        (Some("debian"), Some(name)) => name.to_owned(),
        _ => "stable".to_owned(),
    }
}

/// Removes a file, or what is in a directory.
fn empty(path: &Path) -> Result<(), Error> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.is_dir() {
        return fs::remove_file(path).at("remove", path);
    }
    fs::remove_dir_all(path).at("remove", path)?;
    fs::create_dir(path).at("make the directory", path)
}

/// Copies files, directories and symbolic links with their times, into the place `inside` of the tree. Links
/// of `from` are copied, not followed. A directory goes where a link of the tree leads (/bin to usr/bin),
/// which must be in the tree.
fn copy_directory(from: &Path, tree: &Path, inside: &Path, left_out: &mut Vec<PathBuf>) -> Result<(), Error> {
    let to = tree::make_directory(tree, inside)?;
    for entry in fs::read_dir(from).at("read the directory", from)? {
        let entry = entry.at("read the directory", from)?;
        if is_for_git_alone(&entry.file_name()) {
            continue;
        }
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let metadata = entry.metadata().at("look at", &source)?;
        let kind = metadata.file_type();
        if kind.is_dir() {
            copy_directory(&source, tree, &inside.join(entry.file_name()), left_out)?;
            continue;
        } else if kind.is_symlink() {
            let aim = fs::read_link(&source).at("read the link", &source)?;
            remove_file_if_there(&target)?;
            symlink(&aim, &target).at("make the link", &target)?;
        } else if kind.is_file() {
            remove_file_if_there(&target)?;
            fs::copy(&source, &target).at("copy", &source)?;
        } else {
            left_out.push(source);
            continue;
        }
        keep_times(&target, &metadata)?;
    }
    keep_times(&to, &fs::metadata(from).at("look at", from)?)
}

/// Files that keep an empty directory in a repository.
fn is_for_git_alone(name: &OsString) -> bool {
    name == ".gitkeep" || name == ".gitignore"
}

fn remove_file_if_there(path: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(path) {
        // A directory in the way makes the removal fail, and names the path.
        Ok(_) => fs::remove_file(path).at("replace", path),
        Err(_) => Ok(()),
    }
}

fn keep_times(path: &Path, metadata: &Metadata) -> Result<(), Error> {
    let times = Timestamps {
        last_access: Timespec { tv_sec: metadata.atime(), tv_nsec: metadata.atime_nsec() },
        last_modification: Timespec { tv_sec: metadata.mtime(), tv_nsec: metadata.mtime_nsec() },
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).at("set the time of", path)
}
