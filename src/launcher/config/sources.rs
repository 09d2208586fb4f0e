//! The files of the host that a service is made of, and whether its paths still lead to them.
//!
//! A supervisor holds its template and binds as mounts. Where their directory or file is removed, the kernel
//! refuses to clone such a mount, and each new sandbox with it. So the supervisor looks at the paths, and
//! reloads the service when one of them leads to another file.

use super::ConfigError;
use super::options::Options;
use super::trust;
use nix::sys::statfs::{FUSE_SUPER_MAGIC, FsType, NFS_SUPER_MAGIC, fstatfs};
use std::ffi::{CStr, CString};
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use sys::Errno;
use sys::mount::{RESOLVE_CACHED, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, Version, openat2, version};

/// All files that a service was resolved from.
#[derive(Debug, Default)]
pub(crate) struct Sources(Vec<Source>);

const TEMPLATE: &str = "template";

#[derive(Debug)]
struct Source {
    what: &'static str,
    /// The path on the host.
    path: CString,
    /// Where it lies in the template that is at `path`.
    inside: Option<CString>,
    /// None: it was not there.
    version: Option<Version>,
    /// Its content is read at the start, so a change of that is a change of the service.
    by_content: bool,
    /// Its file system may take any time to answer.
    may_block: bool,
}

/// A path that does not lead where it did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Changed {
    what: &'static str,
    path: String,
    removed: bool,
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.removed { "was removed" } else { "was replaced" };
        write!(f, "the {} {} {how}", self.what, self.path)
    }
}

impl Sources {
    /// Looks at the paths of the options. Before they are resolved, so that a change from then on is seen.
    pub(super) fn new(options: &Options) -> Result<Sources, ConfigError> {
        let root = trust::host_root().map_err(|error| ConfigError::sandbox(error.to_string()))?;
        let root = root.as_fd();
        let mut sources = Vec::new();
        let mut add = |what, path: &Path, by_content| {
            sources.extend(c_path(path).map(|path| Source::new(root, what, path, by_content)));
        };
        if let Some(template) = &options.template {
            // Only an image has a content of its own: entries of a directory are seen as they are.
            add(TEMPLATE, template, template.is_file());
        }
        for bind in options.bind_ro.iter().flatten() {
            add("bind source", Path::new(&bind.source), false);
        }
        for layer in options.overlay_ro.iter().flatten().flat_map(|stack| &stack.layers) {
            add("overlay layer", Path::new(layer), false);
        }
        for bind in options.bind.iter().flatten() {
            add("bind source", Path::new(&bind.source), false);
        }
        for credential in options.credential.iter().flatten() {
            add("credential", Path::new(&credential.path), true);
        }
        Ok(Sources(sources))
    }

    /// Adds the handler's files, as they were found in the template. Those of an image change with the image.
    pub(super) fn with_handler(mut self, looked_at: Vec<(PathBuf, Version)>, in_image: bool) -> Sources {
        let template = self.0.iter().find(|source| source.what == TEMPLATE && !in_image);
        let Some(template) = template.map(|source| source.path.clone()) else { return self };
        for (path, version) in looked_at {
            self.0.extend(c_path(&path).map(|inside| Source {
                what: "handler",
                path: template.clone(),
                inside: Some(inside),
                version: Some(version),
                by_content: true,
                may_block: false,
            }));
        }
        self
    }

    /// The first path that does not lead where it did. `root` is the host's root.
    pub(crate) fn changed(&self, root: BorrowedFd<'_>) -> Option<Changed> {
        self.0.iter().find_map(|source| source.changed(root))
    }
}

impl Source {
    fn new(root: BorrowedFd<'_>, what: &'static str, path: CString, by_content: bool) -> Source {
        let file = open(root, &path, 0).ok();
        let version = file.as_ref().and_then(|file| version(file.as_fd()).ok());
        let may_block = file.is_some_and(|file| may_block(&file));
        Source { what, path, inside: None, version, by_content, may_block }
    }

    fn changed(&self, root: BorrowedFd<'_>) -> Option<Changed> {
        let found = match self.look(root) {
            Ok(found) => Some(found),
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => None,
            // An unknown state is no reason to change anything.
            Err(_) => return None,
        };
        let same = match (found, self.version) {
            (Some(found), Some(before)) if self.by_content => found == before,
            (Some(found), Some(before)) => (found.dev, found.ino) == (before.dev, before.ino),
            (found, before) => found.is_none() && before.is_none(),
        };
        (!same).then(|| Changed {
            what: self.what,
            path: self.inside.as_ref().unwrap_or(&self.path).to_string_lossy().into_owned(),
            removed: found.is_none(),
        })
    }

    fn look(&self, root: BorrowedFd<'_>) -> Result<Version, Errno> {
        let mut file = self.open(root, &self.path)?;
        if let Some(inside) = &self.inside {
            file = self.open(file.as_fd(), inside)?;
        }
        version(file.as_fd())
    }

    /// Opens the source from the kernel's caches where possible: users' file systems must not hold up the
    /// supervisor.
    fn open(&self, root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
        match open(root, path, RESOLVE_CACHED) {
            Err(Errno::EAGAIN) if !self.may_block => open(root, path, 0),
            opened => opened,
        }
    }
}

fn open(root: BorrowedFd<'_>, path: &CStr, resolve: u64) -> Result<OwnedFd, Errno> {
    openat2(root, path, libc::O_PATH, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve)
}

/// Network file systems, and those that a program of a user's answers for. What cannot be asked is not waited
/// for either.
fn may_block(file: &OwnedFd) -> bool {
    const CEPH: FsType = FsType(0x00c3_6400);
    const CIFS: FsType = FsType(0xff53_4d42);
    const SMB2: FsType = FsType(0xfe53_4d42);
    const V9FS: FsType = FsType(0x0102_1997);
    let blocking = [FUSE_SUPER_MAGIC, NFS_SUPER_MAGIC, CEPH, CIFS, SMB2, V9FS];
    fstatfs(file).map_or(true, |found| blocking.contains(&found.filesystem_type()))
}

fn c_path(path: &Path) -> Option<CString> {
    CString::new(path.as_os_str().as_bytes()).ok()
}
