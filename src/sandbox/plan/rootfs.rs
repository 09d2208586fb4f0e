//! The root file system, as data.

use super::credentials::{self, Credentials};
use super::identity::Identity;
use crate::child::devices;
use crate::child::operand::{Mount, place};
use crate::launch::snapshots::Snapshots;
use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;
use sys::mount as sysmount;

/// The kind of `/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snapshot {
    /// The template itself, read-only.
    Readonly,
    /// The template with a writable layer over it that dies with the sandbox.
    Overlay,
    /// A snapshot of the template's subvolume, destroyed after the sandbox.
    Btrfs,
}

/// The questions that the rest of the code asks of a kind. Another kind does not compile until each is answered here.
impl Snapshot {
    /// Whether a handler can write into its root.
    #[must_use]
    pub fn is_writable(self) -> bool {
        match self {
            Snapshot::Readonly => false,
            Snapshot::Overlay | Snapshot::Btrfs => true,
        }
    }

    /// Whether it is an overlay, with a tmpfs for what is written.
    #[must_use]
    pub fn is_overlay(self) -> bool {
        match self {
            Snapshot::Overlay => true,
            Snapshot::Readonly | Snapshot::Btrfs => false,
        }
    }

    /// Whether it is a subvolume on the template's disk, which somebody destroys in the end.
    #[must_use]
    pub fn is_subvolume(self) -> bool {
        match self {
            Snapshot::Btrfs => true,
            Snapshot::Readonly | Snapshot::Overlay => false,
        }
    }
}

/// A path of the host, with the identity that was checked at start: the child resolves it again in its own
/// mount namespace, where descriptors of another namespace cannot be cloned, and compares.
#[derive(Debug)]
pub struct Source {
    pub path: CString,
    pub identity: sysmount::Identity,
}

/// Sizes of a tmpfs as text, ready for fsconfig(2).
#[derive(Debug)]
pub struct Bounds {
    pub bytes: CString,
    pub inodes: CString,
}

#[derive(Debug)]
pub struct Tmpfs {
    pub target: CString,
    pub bounds: Bounds,
}

#[derive(Debug)]
pub struct Plan {
    pub template: Source,
    /// Where the template is a file system in a file: its path is the file's, its identity the root's.
    pub image: Option<Image>,
    pub snapshot: Snapshot,
    /// Owner of the template files that appear as the handler's own, if the snapshot is idmapped.
    pub owner: Identity,
    /// Bounds of the overlay's writable layer.
    pub upper: Bounds,
    /// Without root there is no id map, and the overlay keeps its marks in user.* attributes. The host
    /// mounts' atime flags are locked (mount_namespaces(7)), but a read-only mount changes no atime anyway.
    pub in_user_namespace: bool,
    pub binds: Vec<Bind>,
    pub writable: Vec<WritableBind>,
    pub credentials: Option<Credentials>,
    pub tmpfs: Vec<Tmpfs>,
    pub proc: bool,
    /// A profile that executes what the template holds: its mount is not noexec.
    pub executable: bool,
    pub dev: bool,
    /// The canary's tmpfs is this one sandbox's: it goes with the old root.
    pub cover_canary: bool,
    /// The handler's file below the template.
    pub handler: CString,
    pub handler_identity: sysmount::Identity,
    /// `serve`: template and binds as they stand in the base.
    pub prebuilt: Option<Prebuilt>,
    /// `btrfs`: where this launcher makes them.
    pub snapshots: Option<Snapshots>,
}

/// A read-only bind of a host path, with all that is mounted below it, or of several that are stacked.
#[derive(Debug)]
pub struct Bind {
    pub source: Source,
    /// The mount of the stack; the source's path is then what the operator wrote.
    pub stack: Option<OwnedFd>,
    pub target: CString,
}

impl Bind {
    /// The option that asks for it.
    pub fn option(&self) -> &'static str {
        if self.stack.is_some() { "--overlay-ro" } else { "--bind-ro" }
    }
}

/// A bind of a host path that may be written, without what is mounted below it.
#[derive(Debug)]
pub struct WritableBind {
    pub source: Source,
    pub target: CString,
    /// The owner of the sandbox's writes on the host. Never root.
    pub owner: Identity,
}

/// The file system of an image, from its magic bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageKind {
    Erofs,
    Squashfs,
}

/// The mounts of an image.
#[derive(Debug)]
pub struct Image {
    pub kind: ImageKind,
    /// The mount that becomes the template.
    pub template: OwnedFd,
    /// The mount that the handler is executed from. Never attached.
    pub handler: OwnedFd,
}

/// A service's trees in the base. Gone with the service.
#[derive(Debug)]
pub struct Prebuilt {
    /// Where all of it is.
    pub(crate) directory: CString,
    /// Mounts on the root: path and number of each.
    pub(crate) mounted: Vec<(CString, u64)>,
    /// The template, under `readonly` with the binds on it; under `btrfs` the directory that snapshots are
    /// made in.
    pub root: CString,
    /// The source of each bind (not under `readonly`).
    pub binds: Vec<CString>,
    /// The source of each writable bind; each sandbox clones it with its own id map.
    pub writable: Vec<CString>,
    /// The source of /dev (not under `readonly`).
    pub dev: Option<CString>,
    pub handler: OwnedFd,
}

impl Prebuilt {
    /// The paths at which trees are attached.
    pub(crate) fn attached(&self, snapshot: Snapshot) -> impl Iterator<Item = &CString> {
        // Under `readonly` they are part of the root.
        let apart = snapshot.is_writable();
        let binds = self.binds.iter().chain(&self.dev).filter(move |_| apart);
        [&self.root].into_iter().chain(binds).chain(&self.writable)
    }
}

impl Plan {
    /// Whether its template is shown with the owner's files as the sandbox's.
    pub fn is_idmapped(&self) -> bool {
        self.snapshot.is_writable() && !self.in_user_namespace
    }

    /// Attributes of a clone of a host mount.
    pub(crate) fn attributes(&self, attributes: u64) -> u64 {
        if self.in_user_namespace { attributes } else { attributes | sysmount::MOUNT_ATTR_NOATIME }
    }

    /// The flags of a mount that the root has too.
    pub(crate) fn of_root(&self, flags: u64) -> u64 {
        if self.executable { flags & !libc::ST_NOEXEC } else { flags }
    }

    /// Every mount below the root, in the order in which they are attached. (Only the entries of lists have
    /// numbers, and no list is longer than those.)
    pub fn mounts(&self) -> impl Iterator<Item = Mount> {
        let binds = (0..place(self.binds.len())).map(Mount::Bind);
        let writable = (0..place(self.writable.len())).map(Mount::Writable);
        let tmpfs = (0..place(self.tmpfs.len())).map(Mount::Tmpfs);
        binds
            .chain(self.dev.then_some(Mount::Dev))
            .chain(writable)
            .chain(self.proc.then_some(Mount::Proc))
            .chain(tmpfs)
            .chain(self.credentials.is_some().then_some(Mount::Credentials))
    }

    /// Whether a mount is part of the root that the base has ready.
    pub(crate) fn is_part_of_prebuilt_root(&self, mount: Mount) -> bool {
        let whole = self.prebuilt.is_some() && !self.snapshot.is_writable();
        whole && matches!(mount, Mount::Bind(_) | Mount::Dev)
    }

    /// Where a mount is below the root.
    pub fn target(&self, mount: Mount) -> &CStr {
        let target = match mount {
            Mount::Bind(number) => self.binds.get(usize::from(number)).map(|bind| &bind.target),
            Mount::Writable(number) => self.writable.get(usize::from(number)).map(|bind| &bind.target),
            Mount::Tmpfs(number) => self.tmpfs.get(usize::from(number)).map(|tmpfs| &tmpfs.target),
            Mount::Proc => return c"/proc",
            Mount::Dev => return devices::DEV,
            Mount::Credentials => return credentials::DIRECTORY,
        };
        target.map_or(c"", CString::as_c_str)
    }

    /// The path of the host that a bind shows.
    pub fn source(&self, mount: Mount) -> Option<&Source> {
        match mount {
            Mount::Bind(number) => self.binds.get(usize::from(number)).map(|bind| &bind.source),
            Mount::Writable(number) => self.writable.get(usize::from(number)).map(|bind| &bind.source),
            Mount::Dev | Mount::Proc | Mount::Tmpfs(_) | Mount::Credentials => None,
        }
    }

    /// Whether a mount is one of a directory, and so wants a directory as its mount point.
    pub fn is_directory(&self, mount: Mount) -> bool {
        match mount {
            Mount::Bind(number)
                if self.binds.get(usize::from(number)).is_some_and(|bind| bind.stack.is_some()) =>
            {
                true
            }
            mount => self.source(mount).is_none_or(|source| source.identity.kind() == libc::S_IFDIR),
        }
    }
}
