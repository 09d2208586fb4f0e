//! Mount points that are links: followed once, when a service is resolved, inside the template only.
//!
//! A stock tree has such: /etc/localtime is a link into /usr/share/zoneinfo, /var/run is /run. The plan
//! gets the path that the link leads to. A launch follows no link at that path: one that appears later is
//! refused (CVE-2021-30465).

use super::ConfigError;
use nix::fcntl::readlinkat;
use std::collections::VecDeque;
use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use sys::Errno;
use sys::mount::{self, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS};

/// Limit on links that are followed: the kernel's (path_resolution(7)).
const LINKS_MAX: usize = 40;

/// Follows mount points in the order in which they are mounted. What is below an earlier one is not the
/// template's: it stays as it was written.
#[derive(Debug)]
pub(super) struct Follower<'t> {
    template: BorrowedFd<'t>,
    mounted: Vec<PathBuf>,
}

/// Where a path of the template leads by its links; the path itself, if they lead nowhere.
pub(super) fn followed(template: BorrowedFd<'_>, path: &str) -> PathBuf {
    Follower::new(template).resolve(Path::new(path)).unwrap_or_else(|_loop| PathBuf::from(path))
}

impl<'t> Follower<'t> {
    pub(super) fn new(template: BorrowedFd<'t>) -> Follower<'t> {
        Follower { template, mounted: Vec::new() }
    }

    /// Puts in the place of `target` the path that it leads to.
    pub(super) fn follow(&mut self, target: &mut CString) -> Result<(), ConfigError> {
        let given = Path::new(OsStr::from_bytes(target.as_bytes()));
        let found = self.resolve(given).map_err(|errno| {
            let hint = if errno == Errno::ELOOP { "; its links form a loop" } else { "" };
            ConfigError::sandbox(format!(
                "cannot follow the mount point {} in the template: {errno}{hint}",
                given.display()
            ))
        })?;
        if found == Path::new("/") {
            return Err(ConfigError::sandbox(format!(
                "the mount point {} is a link to the root of the template: name a path below it",
                given.display()
            )));
        }
        self.mounted.push(found.clone());
        *target = CString::new(found.into_os_string().into_vec())
            .map_err(|_nul| ConfigError::sandbox("a link of the template contains a NUL byte".to_owned()))?;
        Ok(())
    }

    /// `..` and absolute links stay below the root. What is missing is kept as text: the launch names it.
    fn resolve(&self, path: &Path) -> Result<PathBuf, Errno> {
        let root = || sys::dup_above(self.template, 0);
        let mut pending = names(path);
        let mut found = PathBuf::from("/");
        let mut links = 0;
        // Directories of the components so far; None: the template has no such directory.
        let mut opened: Vec<Option<OwnedFd>> = vec![Some(root()?)];
        while let Some(name) = pending.pop_front() {
            if name == ".." {
                found.pop();
                opened.truncate(opened.len().max(2) - 1);
                continue;
            }
            let here = found.join(&name);
            let is_covered = self.mounted.contains(&here);
            let directory = opened.last().and_then(Option::as_ref).filter(|_| !is_covered);
            let file = directory.map(|directory| open(directory, &name)).transpose()?.flatten();
            match file.as_ref().map(target_of).transpose()?.flatten() {
                None => {
                    found = here;
                    opened.push(file);
                }
                Some(_) if links == LINKS_MAX => return Err(Errno::ELOOP),
                Some(target) => {
                    links += 1;
                    if target.as_bytes().starts_with(b"/") {
                        found = PathBuf::from("/");
                        opened = vec![Some(root()?)];
                    }
                    for name in names(Path::new(&target)).into_iter().rev() {
                        pending.push_front(name);
                    }
                }
            }
        }
        Ok(found)
    }
}

/// None where there is none of that name.
fn open(directory: &OwnedFd, name: &OsStr) -> Result<Option<OwnedFd>, Errno> {
    let name = CString::new(name.as_bytes()).map_err(|_nul| Errno::EINVAL)?;
    let flags = libc::O_PATH | libc::O_NOFOLLOW;
    match mount::openat2(directory.as_fd(), &name, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS) {
        Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
        opened => opened.map(Some),
    }
}

/// None where it is no link.
fn target_of(file: &OwnedFd) -> Result<Option<OsString>, Errno> {
    match mount::identify(file.as_fd(), c"")?.kind() {
        libc::S_IFLNK => readlinkat(file, c"").map(Some),
        _ => Ok(None),
    }
}

fn names(path: &Path) -> VecDeque<OsString> {
    let name = |component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(name).collect()
}
