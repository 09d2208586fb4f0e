//! Makes a tree what a sandbox expects of its template, and what `dayfly check` finds nothing wrong with.

use crate::error::{At, Error};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

/// A file of DIR that lists its mount points; not part of the template.
const LIST: &str = ".mountpoints";
const USUAL: [&str; 4] = ["/dev", "/proc", "/run/dayfly", "/tmp"];

/// Mode of the handler: it keeps the process undumpable after exec (prctl(2), PR_SET_DUMPABLE).
const HANDLER_MODE: u32 = 0o711;
/// Every template has one: systemd and people look into it.
const OS_RELEASE: &str = "NAME=\"dayfly template\"\nID=dayfly-template\n";

/// The mount points that the content asks for, or the usual ones.
pub(crate) fn mount_points(tree: &Path) -> Result<Vec<PathBuf>, Error> {
    let list = tree.join(LIST);
    let Ok(text) = fs::read_to_string(&list) else { return Ok(USUAL.map(PathBuf::from).to_vec()) };
    fs::remove_file(&list).at("remove", &list)?;
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines
        .filter(|line| !line.is_empty())
        .map(|line| {
            let path = Path::new("/").join(line);
            let plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
            if path.components().all(plain) {
                Ok(path)
            } else {
                Err(Error::MountPoint { line: line.to_owned() })
            }
        })
        .collect()
}

/// Makes the mount points as empty directories, and the files that every template has.
pub(crate) fn make_mount_points(tree: &Path, mount_points: &[PathBuf]) -> Result<(), Error> {
    for path in mount_points {
        make_directory(tree, path)?;
    }
    let etc = make_directory(tree, Path::new("/etc"))?;
    let os_release = etc.join("os-release");
    if fs::symlink_metadata(&os_release).is_err() {
        fs::write(&os_release, OS_RELEASE).at("write", &os_release)?;
    }
    Ok(())
}

/// Makes a directory below the tree and answers its path on the host. A link on the way must lead to a place
/// in the tree.
pub(crate) fn make_directory(tree: &Path, inside: &Path) -> Result<PathBuf, Error> {
    let mut path = tree.to_owned();
    for part in inside.components() {
        let Component::Normal(name) = part else { continue };
        let next = path.join(name);
        match fs::symlink_metadata(&next) {
            Ok(metadata) if metadata.is_symlink() => {
                path = follow(tree, &next).ok_or_else(|| Error::LeadsOut(inside.to_owned()))?;
                continue;
            }
            Ok(_) => {}
            Err(_) => fs::create_dir(&next).at("make the directory", &next)?,
        }
        path = next;
    }
    Ok(path)
}

/// Where a link leads if the tree is the root; None if that is nowhere.
fn follow(tree: &Path, link: &Path) -> Option<PathBuf> {
    let inside = link.strip_prefix(tree).ok()?;
    let root =
        rustix::fs::open(tree, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let directory = rustix::fs::openat2(root, inside, flags, Mode::empty(), resolve).ok()?;
    fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&directory))).ok()
}

/// Whether the tree, as a root, has something at this path.
pub(crate) fn holds(tree: &Path, path: &Path) -> bool {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let Ok(root) = rustix::fs::open(tree, flags | OFlags::DIRECTORY, Mode::empty()) else { return false };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(root, path, flags, Mode::empty(), resolve).is_ok()
}

/// Gives everything to root, readable by all, writable by nobody else, without set-id bits. Removes the
/// devices that packages bring: dayfly mounts its own.
pub(crate) fn normalise(tree: &Path, handler: Option<&Path>) -> Result<(), Error> {
    let is_root = rustix::process::geteuid().is_root();
    let handler = handler.map(|handler| real_place(tree, handler));
    let mut queue = vec![tree.to_owned()];
    while let Some(path) = queue.pop() {
        let metadata = fs::symlink_metadata(&path).at("look at", &path)?;
        let kind = metadata.file_type();
        if !kind.is_dir() && !kind.is_file() && !kind.is_symlink() {
            fs::remove_file(&path).at("remove", &path)?;
            continue;
        }
        if is_root {
            // Before the mode: chown(2) may clear bits of it.
            let root = (Some(rustix::fs::Uid::ROOT), Some(rustix::fs::Gid::ROOT));
            rustix::fs::chownat(CWD, &path, root.0, root.1, AtFlags::SYMLINK_NOFOLLOW)
                .at("give to root", &path)?;
        }
        if kind.is_symlink() {
            continue;
        }
        if kind.is_dir() {
            for entry in fs::read_dir(&path).at("read the directory", &path)? {
                queue.push(entry.at("read the directory", &path)?.path());
            }
        }
        let is_program = kind.is_dir() || metadata.permissions().mode() & 0o111 != 0;
        let mode = match &handler {
            Some(handler) if *handler == path => HANDLER_MODE,
            _ if is_program => 0o755,
            _ => 0o644,
        };
        fs::set_permissions(&path, Permissions::from_mode(mode)).at("set the mode of", &path)?;
    }
    Ok(())
}

/// The host's path of a file in the tree, links of its directories followed.
fn real_place(tree: &Path, inside: &Path) -> PathBuf {
    let parent = inside.parent().unwrap_or(Path::new("/"));
    let directory = make_directory(tree, parent).unwrap_or_else(|_| tree.to_owned());
    directory.join(inside.file_name().unwrap_or_default())
}
