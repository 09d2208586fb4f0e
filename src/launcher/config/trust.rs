//! Trusted paths: only root (without root: the caller) may be able to change what sandboxes are made of.
//!
//! Each component is opened without following links, and checked. Symlinks are followed by hand and checked
//! too. `..` and absolute links stay below the root where the walk began.

use crate::privilege::IdMap;
use nix::fcntl::{OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, fstat};
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use sys::{self, Errno};

/// The user who may own and write the components of a path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trusted {
    uid: u32,
    gid: u32,
    /// Only symlinks must be trusted: content may belong to anybody, but nobody else may redirect the path.
    links_only: bool,
    /// The file at the end may be anybody's: it is opened as it is, and only its place must be safe.
    any_file: bool,
}

impl Trusted {
    /// root; and, rootless, the caller.
    pub(crate) fn for_caller() -> Trusted {
        let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        Trusted { uid, gid, links_only: false, any_file: false }
    }

    /// The trust for content that is bound into a sandbox.
    pub(crate) fn for_content() -> Trusted {
        Trusted { links_only: true, ..Trusted::for_caller() }
    }

    /// The trust for a file that may belong to any user, at a trusted path.
    pub(crate) fn for_file_of_anybody() -> Trusted {
        Trusted { any_file: true, ..Trusted::for_caller() }
    }

    fn objection(self, file: &OwnedFd, stat: &FileStat, is_last: bool) -> Result<Option<Objection>, Errno> {
        if (self.links_only || (self.any_file && is_last)) && !is_kind(stat, libc::S_IFLNK) {
            return Ok(None);
        }
        if stat.st_uid != 0 && stat.st_uid != self.uid {
            return Ok(Some(Objection::Owner(stat.st_uid)));
        }
        if is_kind(stat, libc::S_IFLNK) {
            return Ok(None);
        }
        // In a sticky directory (/tmp) others may make files, but not replace one of root's.
        let sticky_above = is_kind(stat, libc::S_IFDIR) && stat.st_mode & libc::S_ISVTX != 0 && !is_last;
        if sticky_above {
            return Ok(None);
        }
        if stat.st_mode & libc::S_IWOTH != 0 {
            return Ok(Some(Objection::WritableByOthers));
        }
        if stat.st_mode & libc::S_IWGRP == 0 {
            return Ok(None);
        }
        let own_group = stat.st_gid == 0 || (self.uid != 0 && stat.st_gid == self.gid);
        if !own_group {
            return Ok(Some(Objection::WritableByGroup(stat.st_gid)));
        }
        // If the file has an ACL, these bits are its mask, the maximum of all its named entries (acl(5)).
        let has_acl = sys::alloc::files::file_has_attribute(file.as_fd(), c"system.posix_acl_access")?;
        Ok(has_acl.then_some(Objection::WritableByAcl))
    }
}

fn is_kind(stat: &FileStat, kind: u32) -> bool {
    stat.st_mode & libc::S_IFMT == kind
}

/// The id that the kernel shows for one without a mapping in this user namespace (user_namespaces(7)).
const OVERFLOW_UID: u32 = 65_534;

#[derive(Debug)]
enum Objection {
    Owner(u32),
    WritableByOthers,
    WritableByGroup(u32),
    WritableByAcl,
}

/// Why a path cannot be used.
#[derive(Debug)]
pub(crate) enum TrustError {
    Missing(PathBuf),
    Unsafe { component: PathBuf, why: String },
    Failed { component: PathBuf, errno: nix::Error },
}

impl fmt::Display for TrustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrustError::Missing(path) => write!(f, "{} does not exist", path.display()),
            TrustError::Unsafe { component, why } => write!(f, "{} {why}", component.display()),
            TrustError::Failed { component, errno } => {
                write!(f, "cannot open {}: {errno}", component.display())
            }
        }
    }
}

/// A file whose whole path is trusted.
#[derive(Debug)]
pub(crate) struct TrustedFile {
    /// O_PATH.
    pub(crate) fd: OwnedFd,
    /// Where it is below the walk's root, links resolved; begins with `/`.
    pub(crate) path: PathBuf,
    pub(crate) stat: FileStat,
}

const LINKS_MAX: usize = 40;

/// Walks `path` from the directory `root`, which is not itself checked.
pub(crate) fn walk(root: OwnedFd, path: &Path, trusted: Trusted) -> Result<TrustedFile, TrustError> {
    let mut pending: VecDeque<OsString> = components(path);
    let mut links = 0;
    let root_stat = fstat(&root).map_err(|errno| failed(path, errno))?;
    let mut stack: Vec<(OwnedFd, OsString, FileStat)> = vec![(root, OsString::new(), root_stat)];
    while let Some(name) = pending.pop_front() {
        if name == ".." {
            stack.truncate(stack.len().max(2) - 1);
            continue;
        }
        let component = joined(&stack, &name);
        let Some((directory, ..)) = stack.last() else { return Err(TrustError::Missing(component)) };
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = openat(directory, name.as_os_str(), flags, Mode::empty()).map_err(|errno| match errno {
            nix::Error::ENOENT | nix::Error::ENOTDIR => TrustError::Missing(component.clone()),
            errno => failed(&component, errno),
        })?;
        let stat = fstat(&fd).map_err(|errno| failed(&component, errno))?;
        let objection = trusted.objection(&fd, &stat, pending.is_empty());
        if let Some(objection) = objection.map_err(|errno| failed(&component, errno))? {
            return Err(TrustError::Unsafe { component, why: objection.to_string() });
        }
        if !is_kind(&stat, libc::S_IFLNK) {
            stack.push((fd, name, stat));
            continue;
        }
        links += 1;
        if links > LINKS_MAX {
            return Err(failed(&component, nix::Error::ELOOP));
        }
        let target = readlinkat(&fd, c"").map_err(|errno| failed(&component, errno))?;
        if target.as_bytes().first() == Some(&b'/') {
            stack.truncate(1);
        }
        for part in components(Path::new(&target)).into_iter().rev() {
            pending.push_front(part);
        }
    }
    let path = joined(&stack, OsStr::new(""));
    match stack.pop() {
        Some((fd, _, stat)) => Ok(TrustedFile { fd, path, stat }),
        None => Err(TrustError::Missing(path)),
    }
}

/// The root of the host's tree, to begin at.
pub(crate) fn host_root() -> Result<OwnedFd, TrustError> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    nix::fcntl::open("/", flags, Mode::empty()).map_err(|errno| failed(Path::new("/"), errno))
}

fn failed(component: &Path, errno: nix::Error) -> TrustError {
    TrustError::Failed { component: component.to_owned(), errno }
}

fn components(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsString::from("..")),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

fn joined(stack: &[(OwnedFd, OsString, FileStat)], name: &OsStr) -> PathBuf {
    let mut path = PathBuf::from("/");
    path.extend(stack.iter().map(|(_, name, _)| name.as_os_str()).filter(|name| !name.is_empty()));
    if !name.is_empty() {
        path.push(name);
    }
    path
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Objection::Owner(OVERFLOW_UID) if !IdMap::of_this_process().is_whole() => f.write_str(
                "belongs to an id that this user namespace does not map: move it to a path that belongs to root here",
            ),
            Objection::Owner(uid) => {
                write!(f, "belongs to uid {uid}, who could change the sandboxes: run chown root on it")
            }
            Objection::WritableByOthers => write!(f, "is writable by everyone: chmod o-w it"),
            Objection::WritableByAcl => {
                write!(
                    f,
                    "is writable through its ACL: run chmod g-w on it, which masks the entries, or setfacl -b"
                )
            }
            Objection::WritableByGroup(gid) => write!(f, "is writable by group {gid}: chmod g-w it"),
        }
    }
}
