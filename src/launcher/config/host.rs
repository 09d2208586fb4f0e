//! Refuses a template that is the host's own tree: a writable snapshot shows root's files as the handler's
//! own, so it could read files that only root may read.
//!
//! The witness is /etc/shadow. The template must not contain that very file, at its own path below the file
//! system's root or at any end of it (a template may be a directory above it, /etc itself, or a subvolume
//! that holds the root). Through an overlay or a snapshot of btrfs the device differs, but number and change
//! time do not: nobody can set a change time (utimensat(2)). A copy, or an image, has nothing of these. It is
//! refused if it holds the same passwords.

use super::ConfigError;
use super::handler::Template;
use super::options::Options;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{FileStat, Mode, fstat, stat};
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use sys::mount::{self, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS};

const SHADOW: &str = "/etc/shadow";
/// Limit on the bytes that are read of it.
const SHADOW_MAX: u64 = 1 << 20;

/// Why a directory of the host, or an image, cannot be a template. A look that fails is a refusal as well.
pub(super) fn refuse(template: &Template) -> Result<(), ConfigError> {
    let shown = template.root.path.display();
    let advice = "make a template of its own with dayfly template build";
    let refused = |why: String| {
        ConfigError::sandbox(format!(
            "cannot use the template {shown}: {why}, which a handler could read; {advice}"
        ))
    };
    let unknown = |error: std::io::Error| {
        ConfigError::sandbox(format!(
            "cannot tell whether the template {shown} holds the host's {SHADOW}, which a handler could read: {error}"
        ))
    };
    let root = stat("/").map_err(|errno| unknown(errno.into()))?;
    if is_same(&root, &template.root.stat) {
        return Err(refused("it is the host's own root directory".to_owned()));
    }
    let own = match stat(SHADOW) {
        Ok(own) => own,
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(()),
        Err(errno) => return Err(unknown(errno.into())),
    };
    let path = fs::canonicalize(SHADOW).map_err(unknown)?;
    let secrets = passwords(known(fs::read(SHADOW)).map_err(unknown)?);
    let in_file_system = in_file_system(&path).map_err(unknown)?;
    for end in ends_of(&path).chain(ends_of(&in_file_system)) {
        let Some(found) = open_below(&template.root.fd, &end).map_err(unknown)? else { continue };
        let stat = fstat(&found).map_err(|errno| unknown(errno.into()))?;
        if is_same(&stat, &own) {
            return Err(refused(format!("{} in it is the host's own {SHADOW}", end.display())));
        }
        if !secrets.is_empty() && passwords(read(&found).map_err(unknown)?) == secrets {
            return Err(refused(format!(
                "{} in it holds the passwords of the host's {SHADOW}",
                end.display()
            )));
        }
    }
    Ok(())
}

/// A file that an ordinary user cannot read is unreadable for a handler that this user starts.
fn known<T>(looked: std::io::Result<T>) -> std::io::Result<Option<T>> {
    match looked {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::PermissionDenied && !nix::unistd::geteuid().is_root() => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Remarks on binds that show that file: its mode still keeps it from handlers, but all that is beside it
/// is shown.
pub(super) fn remarks(options: &Options) -> Vec<String> {
    let read = options.bind_ro.iter().flatten().map(|bind| ("--bind-ro", bind.source.as_str()));
    let written = options.bind.iter().flatten().map(|bind| ("--bind", bind.source.as_str()));
    let layers = options.overlay_ro.iter().flatten().flat_map(|stack| &stack.layers);
    let layers = layers.map(|layer| ("--overlay-ro", layer.as_str()));
    let shown = read.chain(written).chain(layers).filter(|(_, source)| holds_shadow(source));
    let say = |(option, source)| {
        format!(
            "{option} {source}: it holds the host's own {SHADOW}; handlers see every file there that any user of the \
             host may read: bind only what they need"
        )
    };
    shown.map(say).collect()
}

fn holds_shadow(source: &str) -> bool {
    let (Ok(own), Ok(path)) = (stat(SHADOW), fs::canonicalize(SHADOW)) else { return false };
    let Ok(source) = open(source, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()) else { return false };
    let is_own = |file: OwnedFd| fstat(&file).is_ok_and(|found| is_same(&found, &own));
    let below = |end: PathBuf| open_below(&source, &end).ok().flatten().is_some_and(is_own);
    ends_of(&path).any(below) || source.try_clone().is_ok_and(is_own)
}

/// Whether two files are one, whatever mount, overlay or snapshot shows them.
fn is_same(one: &FileStat, other: &FileStat) -> bool {
    let changed = |stat: &FileStat| (stat.st_ctime, stat.st_ctime_nsec, stat.st_size);
    one.st_ino == other.st_ino && (one.st_dev == other.st_dev || changed(one) == changed(other))
}

/// The path of a file below the root of its file system: a mount may show a part of that.
fn in_file_system(path: &Path) -> std::io::Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    // proc_pid_mountinfo(5): fields 4 and 5 are the root in the file system and the mount point. The last one
    // of the longest point is in force.
    let fields = mounts.lines().map(|line| line.split(' ').skip(3));
    let points = fields.filter_map(|mut fields| Some((fields.next()?, Path::new(fields.next()?))));
    let over = points.filter(|(_, point)| path.starts_with(point));
    Ok(match over.max_by_key(|(_, point)| point.components().count()) {
        Some((root, point)) => Path::new(root).join(path.strip_prefix(point).unwrap_or(path)),
        None => path.to_owned(),
    })
}

/// `/a/b/c` has the ends `a/b/c`, `b/c` and `c`.
fn ends_of(path: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let names: Vec<_> = path.components().skip(1).map(|name| name.as_os_str().to_owned()).collect();
    (0..names.len()).map(move |start| names.iter().skip(start).collect())
}

/// O_PATH, whatever is there; None where nothing is.
fn open_below(directory: &OwnedFd, path: &Path) -> std::io::Result<Option<OwnedFd>> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let flags = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    match mount::openat2(directory.as_fd(), &path, libc::O_PATH, flags) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
        Err(errno) => Ok(known::<Option<OwnedFd>>(Err(errno.into()))?.flatten()),
    }
}

/// A regular file's content; None of anything else.
fn read(file: &OwnedFd) -> std::io::Result<Option<Vec<u8>>> {
    if fstat(file)?.st_mode & libc::S_IFMT != libc::S_IFREG {
        return Ok(None);
    }
    let again = format!("/proc/self/fd/{}", file.as_raw_fd());
    let opened = open(again.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty());
    let Some(opened) = known(opened.map_err(Into::into))? else { return Ok(None) };
    let mut content = Vec::new();
    File::from(opened).take(SHADOW_MAX).read_to_end(&mut content)?;
    Ok(Some(content))
}

/// The lines that hold a hash (shadow(5)): `*` and `!` are none.
fn passwords(content: Option<Vec<u8>>) -> Vec<Vec<u8>> {
    let content = content.unwrap_or_default();
    let has_hash = |line: &&[u8]| {
        let field = line.split(|byte| *byte == b':').nth(1).unwrap_or_default();
        field.len() >= 13 && !field.starts_with(b"*") && !field.starts_with(b"!")
    };
    content.split(|byte| *byte == b'\n').filter(has_hash).map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_with_a_hash_are_passwords() {
        let text =
            b"root:$y$j9T$abcdefgh$ijk:1::::::\nbin:*:1::::::\nold:!$6$abcdefghijklmn:1::::::\nno::1:\n";
        assert_eq!(passwords(Some(text.to_vec())), [b"root:$y$j9T$abcdefgh$ijk:1::::::".to_vec()]);
        assert!(passwords(None).is_empty());
    }

    #[test]
    fn a_path_has_as_many_ends_as_components() {
        let ends: Vec<_> = ends_of(Path::new("/@root/etc/shadow")).collect();
        assert_eq!(ends, ["@root/etc/shadow", "etc/shadow", "shadow"].map(PathBuf::from));
    }
}
