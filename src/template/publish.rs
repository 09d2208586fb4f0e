//! Puts the finished tree into its place: never a moment without a template, never over what is not ours.

use crate::error::{At, Error};
use crate::options::{Build, ImageKind};
use crate::progress::Progress;
use rustix::fs::{CWD, RenameFlags};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Marks a directory that may be replaced.
const MARK: &str = ".made-by-dayfly-template";
/// The mark that dayfly 0.1's script left.
const OLD_MARK: &str = ".made-by-build-template";

#[derive(Debug)]
pub(crate) enum Outcome {
    Made,
    Unchanged,
}

/// A directory beside the target, removed when it is dropped.
#[derive(Debug)]
pub(crate) struct NewTree(PathBuf);

impl NewTree {
    pub(crate) fn create(out: &Path) -> Result<NewTree, Error> {
        let parent = Build::parent(out);
        fs::create_dir_all(parent).at("make the directory", parent)?;
        let path = beside(out, "new");
        fs::create_dir(&path).at("make the directory", &path)?;
        Ok(NewTree(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for NewTree {
    fn drop(&mut self) {
        // A directory that cannot be removed has the process id in its name, and is nobody's template.
        let _best_effort = fs::remove_dir_all(&self.0);
    }
}

/// OUT.WHAT.PID
fn beside(out: &Path, what: &str) -> PathBuf {
    let mut name = out.file_name().map_or_else(|| OsString::from("template"), OsString::from);
    name.push(format!(".{what}.{}", std::process::id()));
    Build::parent(out).join(name)
}

/// Checks, before any work, that OUT is free, or made by this program, or an image that an image is to
/// replace.
pub(crate) fn check_target(options: &Build) -> Result<(), Error> {
    let out = &options.out;
    let Ok(metadata) = fs::symlink_metadata(out) else { return Ok(()) };
    match options.image {
        Some(_) if !metadata.is_file() => Err(Error::WrongKind { out: out.clone(), wanted: "a file" }),
        Some(kind) if !is_image(out, kind) => Err(Error::NotOurs(out.clone())),
        Some(_) => Ok(()),
        None if !metadata.is_dir() => Err(Error::WrongKind { out: out.clone(), wanted: "a directory" }),
        None => {
            let is_empty = fs::read_dir(out).at("read the directory", out)?.next().is_none();
            if is_empty || [MARK, OLD_MARK].iter().any(|mark| out.join(mark).exists()) {
                Ok(())
            } else {
                Err(Error::NotOurs(out.clone()))
            }
        }
    }
}

/// Whether a file begins as an image does: nothing else is overwritten. An empty file may be, for mktemp(1)
/// makes one.
fn is_image(path: &Path, kind: ImageKind) -> bool {
    let Ok(content) = read_start(path, 1028) else { return false };
    match kind {
        // The superblocks' magic numbers: erofs_fs.h, squashfs_fs.h.
        ImageKind::Erofs => content.is_empty() || content.get(1024..1028) == Some(&[0xe2, 0xe1, 0xf5, 0xe0]),
        ImageKind::Squashfs => content.is_empty() || content.starts_with(b"hsqs"),
    }
}

fn read_start(path: &Path, count: u64) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut start = Vec::new();
    fs::File::open(path)?.take(count).read_to_end(&mut start)?;
    Ok(start)
}

pub(crate) fn publish(options: &Build, new: NewTree, progress: &mut Progress) -> Result<Outcome, Error> {
    match options.image {
        Some(kind) => publish_image(options, kind, &new, progress),
        None => publish_directory(&options.out, &new, progress),
    }
}

fn publish_directory(out: &Path, new: &NewTree, progress: &mut Progress) -> Result<Outcome, Error> {
    let mark = new.path().join(MARK);
    fs::write(&mark, "").at("write", &mark)?;
    fs::set_permissions(&mark, fs::Permissions::from_mode(0o644)).at("set the mode of", &mark)?;
    fs::set_permissions(new.path(), fs::Permissions::from_mode(0o755)).at("set the mode of", new.path())?;
    progress.step("comparing with what is there");
    if fs::symlink_metadata(out).is_err() {
        fs::rename(new.path(), out).at("put the template at", out)?;
    } else if is_same(new.path(), out)? {
        return Ok(Outcome::Unchanged);
    } else {
        // The old tree then has the new one's name, and goes with it (renameat2(2), Linux 3.15).
        let exchanged = rustix::fs::renameat_with(CWD, new.path(), CWD, out, RenameFlags::EXCHANGE);
        exchanged.at("exchange the old template with the new one at", out)?;
    }
    Ok(Outcome::Made)
}

fn publish_image(
    options: &Build,
    kind: ImageKind,
    new: &NewTree,
    progress: &mut Progress,
) -> Result<Outcome, Error> {
    let (out, image) = (&options.out, beside(&options.out, "image"));
    progress.step("making the image");
    let made = make_image(kind, new.path(), &image).and_then(|()| {
        fs::set_permissions(&image, fs::Permissions::from_mode(0o644)).at("set the mode of", &image)?;
        if fs::read(out).is_ok_and(|old| fs::read(&image).is_ok_and(|new| old == new)) {
            return Ok(Outcome::Unchanged);
        }
        fs::rename(&image, out).at("put the image at", out)?;
        Ok(Outcome::Made)
    });
    // After success it is the template or superfluous, after a failure it is nothing.
    let _may_be_gone = fs::remove_file(&image);
    made
}

/// All files are root's and of the same time, so that the same content gives the same bytes.
fn make_image(kind: ImageKind, tree: &Path, image: &Path) -> Result<(), Error> {
    let (program, package) = match kind {
        ImageKind::Erofs => ("mkfs.erofs", "erofs-utils"),
        ImageKind::Squashfs => ("mksquashfs", "squashfs-tools"),
    };
    let mut command = Command::new(program);
    match kind {
        ImageKind::Erofs => {
            command.args(["--quiet", "--all-root", "-T0", "-U", "00000000-0000-0000-0000-000000000000"]);
            command.arg(image).arg(tree);
        }
        ImageKind::Squashfs => {
            command.arg(tree).arg(image);
            command.args([
                "-quiet",
                "-no-progress",
                "-noappend",
                "-all-root",
                "-all-time",
                "0",
                "-mkfs-time",
                "0",
            ]);
        }
    }
    let output = command.stdin(Stdio::null()).env_remove("SOURCE_DATE_EPOCH").output();
    let output = output.map_err(|error| Error::not_started(error, program, package))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::Program { program, said: said.lines().last().unwrap_or_default().to_owned() })
}

/// Every file below a directory, relative to it and in order.
fn files(tree: &Path) -> Result<Vec<PathBuf>, Error> {
    let (mut found, mut queue) = (Vec::new(), vec![tree.to_owned()]);
    while let Some(directory) = queue.pop() {
        for entry in fs::read_dir(&directory).at("read the directory", &directory)? {
            let path = entry.at("read the directory", &directory)?.path();
            if fs::symlink_metadata(&path).at("look at", &path)?.is_dir() {
                queue.push(path.clone());
            }
            found.push(path.strip_prefix(tree).unwrap_or(&path).to_owned());
        }
    }
    found.sort();
    Ok(found)
}

/// Whether two trees have the same paths, kinds, modes, owners, link targets and content.
fn is_same(a: &Path, b: &Path) -> Result<bool, Error> {
    let names = files(a)?;
    if names != files(b)? {
        return Ok(false);
    }
    for name in names.iter().map(PathBuf::as_path).chain([Path::new("")]) {
        let (one, other) = (a.join(name), b.join(name));
        let (of_one, of_other) = (
            fs::symlink_metadata(&one).at("look at", &one)?,
            fs::symlink_metadata(&other).at("look at", &other)?,
        );
        let print = |metadata: &fs::Metadata| (metadata.mode(), metadata.uid(), metadata.gid());
        if print(&of_one) != print(&of_other) {
            return Ok(false);
        }
        let same = if of_one.is_symlink() {
            fs::read_link(&one).at("read the link", &one)?
                == fs::read_link(&other).at("read the link", &other)?
        } else if of_one.is_file() {
            of_one.len() == of_other.len()
                && fs::read(&one).at("read", &one)? == fs::read(&other).at("read", &other)?
        } else {
            true
        };
        if !same {
            return Ok(false);
        }
    }
    Ok(true)
}
