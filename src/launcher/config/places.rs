//! Whether the template has what a launch opens in it: mount points, the directory that the handler starts
//! in, the paths of Landlock's rules. Where it has not, the step is the one that would be refused.

use super::service::Service;
use super::targets::is_at_or_below;
use sandbox::child::devices;
use sandbox::plan::credentials;
use sandbox::plan::rootfs;
use sandbox::step::{Failure, Step};
use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use sys::Errno;
use sys::mount::{self, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS};
use sys::{self, cwd};

/// A mount at a path: its step, and whether it is a directory.
struct Mount<'a> {
    step: Step,
    path: &'a CStr,
    directory: bool,
}

/// Missing mount points. Paths at or below another mount are not in the template and are not checked.
pub(crate) fn missing(service: &Service) -> Vec<(Failure, String)> {
    let Ok(root) = root(&service.plan.rootfs) else { return Vec::new() };
    let mounts = mounts(&service.plan.rootfs);
    let text = |path: &CStr| path.to_string_lossy().into_owned();
    let covered = |path: &CStr| mounts.iter().any(|over| is_at_or_below(&text(path), &text(over.path)));
    let below_another = |mount: &Mount<'_>| {
        let others = mounts.iter().filter(|other| other.path != mount.path);
        others.into_iter().any(|over| is_at_or_below(&text(mount.path), &text(over.path)))
    };
    let points = mounts.iter().filter(|mount| !below_another(mount)).map(|mount| at(&root, mount));
    let start = service.plan.start.directory.iter().map(|path| (path, Step::Directory, libc::O_DIRECTORY));
    let rules = service.plan.landlock.rules().iter().map(|rule| (&rule.path, Step::LandlockRule, 0));
    let paths = start.chain(rules).filter(|(path, ..)| !covered(path)).map(|(path, step, flags)| {
        open(&root, path, flags).map(drop).map_err(|errno| (step, path.as_c_str(), errno))
    });
    let failed = points.chain(paths).filter_map(Result::err);
    failed.map(|(step, path, errno)| (Failure { step, operand: 0, errno }, text(path))).collect()
}

fn root(plan: &rootfs::Plan) -> Result<OwnedFd, Errno> {
    match &plan.image {
        Some(image) => sys::dup_above(image.template.as_fd(), 0),
        None => mount::openat2(cwd(), &plan.template.path, libc::O_PATH | libc::O_DIRECTORY, 0),
    }
}

fn mounts(plan: &rootfs::Plan) -> Vec<Mount<'_>> {
    let directory = |step, path| Mount { step, path, directory: true };
    let is_directory = |source: &rootfs::Source| source.identity.kind() == libc::S_IFDIR;
    let mut mounts = Vec::new();
    mounts.extend(plan.binds.iter().map(|bind| {
        let directory = bind.stack.is_some() || is_directory(&bind.source);
        Mount { step: Step::Bind, path: &bind.target, directory }
    }));
    mounts.extend(plan.writable.iter().map(|bind| Mount {
        step: Step::Bind,
        path: &bind.target,
        directory: is_directory(&bind.source),
    }));
    mounts.extend(plan.tmpfs.iter().map(|tmpfs| directory(Step::Tmpfs, &tmpfs.target)));
    mounts.extend(plan.proc.then(|| directory(Step::Proc, c"/proc")));
    mounts.extend(plan.dev.then(|| directory(Step::Dev, devices::DEV)));
    mounts.extend(plan.credentials.iter().map(|_| directory(Step::Credentials, credentials::DIRECTORY)));
    mounts
}

/// A link cannot be a mount point. Directories mount on directories and files on files (move_mount(2),
/// EINVAL).
fn at<'a>(root: &OwnedFd, mount: &Mount<'a>) -> Result<(), (Step, &'a CStr, Errno)> {
    let kind = open(root, mount.path, libc::O_NOFOLLOW)
        .and_then(|point| mount::identify(point.as_fd(), c""))
        .map_err(|errno| (Step::MountPoint, mount.path, errno))?
        .kind();
    match (kind == libc::S_IFLNK, mount.directory == (kind == libc::S_IFDIR)) {
        (true, _) => Err((Step::MountPoint, mount.path, Errno::ELOOP)),
        (false, false) => Err((mount.step, mount.path, Errno::EINVAL)),
        (false, true) => Ok(()),
    }
}

fn open(root: &OwnedFd, path: &CStr, flags: i32) -> Result<OwnedFd, Errno> {
    mount::openat2(root.as_fd(), path, libc::O_PATH | flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
}
