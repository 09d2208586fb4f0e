//! The content tree, and the only place where a path is opened.
//!
//! Everything is opened by openat2(2) below a descriptor of the root, so no symlink, `..` or magic link leads out of it
//! whatever happens to the tree meanwhile, and what was opened is looked at before it is used. Symlinks that stay inside
//! are followed: they are how authors arrange a tree.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::path::TreePath;
use crate::problem::Problem;

/// openat2(2) answers EAGAIN when a rename raced with it and it cannot tell whether the path was left.
const ATTEMPTS: usize = 8;

#[derive(Debug)]
pub(crate) struct Tree {
    root: OwnedFd,
    /// This process may read everything, so closed directories are kept closed here and not by the kernel.
    privileged: bool,
}

/// Something of the tree, open and checked.
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
            Ok(root) => Ok(Tree { root, privileged: geteuid().is_root() }),
            Err(Errno::NOSYS) => Err(Problem::NoOpenat2),
            Err(_) => Err(Problem::NoRoot),
        }
    }

    /// The tree of a user: `rest` in what is `base`/`name`.
    ///
    /// What is above is the operator's and may be a symlink. What is below is the user's, and no symlink there leads out
    /// of it: else a user could publish the files of another.
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
        Ok(Tree { root: root.into(), privileged: geteuid().is_root() })
    }

    /// Opens what the path names, if it is there for everybody to read: a regular file or a directory. Not to block on a
    /// FIFO is what `O_NONBLOCK` is for; it changes nothing for the other two.
    ///
    /// The mode decides, not only whether this process could read it: a file of mode 600 is not published, whichever user
    /// the handler happens to run as.
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

    fn below(&self, path: &TreePath, flags: OFlags) -> Result<OwnedFd, Problem> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..ATTEMPTS {
            match openat2(&self.root, path.relative(), flags, Mode::empty(), resolve) {
                Ok(fd) => return Ok(fd),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => return Err(Problem::Absent),
                Err(Errno::NXIO) => return Err(Problem::Special),
                Err(Errno::NOSYS) => return Err(Problem::NoOpenat2),
                Err(_) => return Err(Problem::Unreadable),
            }
        }
        Err(Problem::Unreadable)
    }
}
