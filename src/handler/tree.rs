//! The content tree, and the only place where a path is opened.
//!
//! Everything is opened by openat2(2) below a descriptor of the root, so no symlink, `..` or magic link leads
//! out of it, whatever happens to the tree meanwhile. What was opened is looked at before it is used.
//! Symlinks that stay inside are followed, absolute ones too: they are how authors arrange a tree.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2, readlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::path::TreePath;
use crate::problem::Problem;

/// openat2(2) answers EAGAIN when a rename raced with it and it cannot tell whether the path was left.
const ATTEMPTS: usize = 8;

/// How many symlinks a path may have, as in Linux (path_resolution(7)).
const SYMLINKS_MAX: usize = 40;

#[derive(Debug)]
pub(crate) struct Tree {
    root: OwnedFd,
    /// The path of the root, for absolute symlinks that lead into it.
    at: PathBuf,
    /// This process may read everything, so closed directories are kept closed here and not by the kernel.
    privileged: bool,
}

/// A file or directory of the tree, open and checked.
#[derive(Debug)]
pub(crate) enum Node {
    File(Document),
    Directory(Directory),
}

#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) file: File,
    pub(crate) bytes: u64,
    /// Seconds since 1970.
    pub(crate) changed: i64,
    /// Anybody may execute it: for a map this says that it is a program that prints one.
    pub(crate) executable: bool,
}

#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) fd: OwnedFd,
    pub(crate) changed: i64,
}

impl Tree {
    pub(crate) fn open_root(root: &Path) -> Result<Tree, Problem> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat2(CWD, root, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS) {
            Ok(fd) => Ok(Tree { root: fd, at: root.to_owned(), privileged: geteuid().is_root() }),
            Err(Errno::NOSYS) => Err(Problem::NoOpenat2),
            Err(_) => Err(Problem::NoRoot),
        }
    }

    /// The tree of a user: `rest` in what is `base`/`name`.
    ///
    /// Directories above belong to the operator and may be symlinks. Those below belong to the user, and no
    /// symlink there leads out of it: else a user could publish the files of another.
    pub(crate) fn open_user(base: &Path, name: &str, rest: &Path) -> Result<Tree, Problem> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let absent = |_: Errno| Problem::Absent;
        let home = openat2(CWD, base.join(name), flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS);
        let home = File::from(home.map_err(absent)?);
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let rest = if rest.as_os_str().is_empty() { Path::new(".") } else { rest };
        let root = File::from(openat2(&home, rest, flags, Mode::empty(), resolve).map_err(absent)?);
        for (directory, bit) in [(&home, 0o001), (&root, 0o004)] {
            match directory.metadata() {
                Ok(metadata) if metadata.mode() & bit != 0 => {}
                _ => return Err(Problem::Unreadable),
            }
        }
        let at = base.join(name).join(rest);
        Ok(Tree { root: root.into(), at, privileged: geteuid().is_root() })
    }

    /// Opens what the path names, if it is there for everybody to read: a regular file or a directory. Not to
    /// block on a FIFO is what `O_NONBLOCK` is for; it changes nothing for the other two.
    ///
    /// The mode decides, not only whether this process could read it: a file of mode 600 is not published,
    /// whichever user the handler happens to run as.
    pub(crate) fn open(&self, path: &TreePath) -> Result<Node, Problem> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = File::from(self.below(path, flags)?);
        let Ok(metadata) = file.metadata() else { return Err(Problem::Unreadable) };
        let regular = metadata.is_file();
        if !regular && !metadata.is_dir() {
            return Err(Problem::Special);
        }
        if metadata.mode() & 0o004 == 0 && !path.is_root() {
            return Err(Problem::Unreadable);
        }
        if self.privileged && !self.is_open_to_all(path) {
            return Err(Problem::Unreadable);
        }
        let changed = metadata.mtime();
        if regular {
            let executable = metadata.mode() & 0o001 != 0;
            Ok(Node::File(Document { file, bytes: metadata.len(), changed, executable }))
        } else {
            Ok(Node::Directory(Directory { fd: file.into(), changed }))
        }
    }

    /// Whether every directory above the path may be searched by everybody.
    fn is_open_to_all(&self, path: &TreePath) -> bool {
        let above = std::iter::successors(path.parent(), TreePath::parent);
        above.take_while(|directory| !directory.is_root()).all(|directory| {
            let fd = self.below(&directory, OFlags::PATH | OFlags::CLOEXEC).map(File::from);
            fd.is_ok_and(|fd| fd.metadata().is_ok_and(|metadata| metadata.mode() & 0o001 != 0))
        })
    }

    /// A regular file, or `None` for anything else.
    pub(crate) fn document(&self, path: &TreePath) -> Option<Document> {
        match self.open(path) {
            Ok(Node::File(document)) => Some(document),
            Ok(Node::Directory(_)) | Err(_) => None,
        }
    }

    /// Whether the path names anything at all, readable or not.
    pub(crate) fn holds(&self, path: &TreePath) -> bool {
        self.below(path, OFlags::PATH | OFlags::CLOEXEC).is_ok()
    }

    /// When the path was changed, in seconds since 1970; 0 where that cannot be known.
    pub(crate) fn changed(&self, path: &TreePath) -> i64 {
        let fd = self.below(path, OFlags::PATH | OFlags::CLOEXEC).map(File::from);
        fd.ok().and_then(|file| file.metadata().ok()).map_or(0, |metadata| metadata.mtime())
    }

    /// The part of an absolute path of the host that is below the root.
    pub(crate) fn inside<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        let below = |root: &Path| {
            let rest = path.strip_prefix(root.as_os_str().as_bytes())?;
            (rest.is_empty() || rest.starts_with(b"/") || root.as_os_str() == "/").then_some(rest)
        };
        below(&self.at).or_else(|| below(&std::fs::canonicalize(&self.at).ok()?))
    }

    fn below(&self, path: &TreePath, flags: OFlags) -> Result<OwnedFd, Problem> {
        match self.open_below(path, flags) {
            // Beneath a directory the kernel follows no absolute symlink, wherever it leads.
            Err(Errno::XDEV) => {
                let resolved = self.resolved(path).ok_or(Problem::Unreadable)?;
                self.open_below(&resolved, flags).map_err(problem)
            }
            opened => opened.map_err(problem),
        }
    }

    fn open_below(&self, path: &TreePath, flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..ATTEMPTS {
            match openat2(&self.root, path.relative(), flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                opened => return opened,
            }
        }
        Err(Errno::AGAIN)
    }

    /// The path without symlinks, each of them read from left to right. `None` leads out of the tree. The
    /// result is only a name: it is opened beneath the root like any other.
    fn resolved(&self, path: &TreePath) -> Option<TreePath> {
        let mut rest: Vec<Vec<u8>> = components(path.relative()).rev().collect();
        let mut done: Vec<Vec<u8>> = Vec::new();
        let mut symlinks = 0;
        while let Some(component) = rest.pop() {
            if component == b".." {
                done.pop()?;
                continue;
            }
            done.push(component);
            let Some(target) = self.symlink(&done.join(&b'/'))? else { continue };
            symlinks += 1;
            if symlinks > SYMLINKS_MAX {
                return None;
            }
            done.pop();
            let target = match target.starts_with(b"/") {
                true => {
                    done.clear();
                    self.inside(&target)?.to_vec()
                }
                false => target,
            };
            rest.extend(components(&target).rev());
        }
        TreePath::of_author(&done.join(&b'/'))
    }

    /// The target of a symlink. `Some(None)` is no symlink; `None` means that the path does not exist.
    fn symlink(&self, path: &[u8]) -> Option<Option<Vec<u8>>> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = self.open_below(&TreePath::of_author(path)?, flags).ok()?;
        // An empty path asks about the descriptor itself (readlink(2)).
        match readlinkat(&fd, c"", Vec::new()) {
            Ok(target) => Some(Some(target.into_bytes())),
            Err(_) => Some(None),
        }
    }
}

fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> {
    path.split(|&byte| byte == b'/').filter(|name| !matches!(name, [] | [b'.'])).map(<[u8]>::to_vec)
}

fn problem(errno: Errno) -> Problem {
    match errno {
        Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG => Problem::Absent,
        Errno::NXIO => Problem::Special,
        Errno::NOSYS => Problem::NoOpenat2,
        _ => Problem::Unreadable,
    }
}
