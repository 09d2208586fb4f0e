//! Whether the template has what a launch opens in it: mount points, the directory that the handler starts
//! in, the paths of Landlock's rules. Where it has not, the step is the one that would be refused.

use super::service::Service;
use super::targets::is_at_or_below;
use sandbox::operand::{Mount, Operand};
use sandbox::plan::rootfs;
use sandbox::step::{Failure, Step};
use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use sys::Errno;
use sys::mount::{self, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS};
use sys::{self, cwd};

/// Missing mount points. Paths at or below another mount are not in the template and are not checked.
pub(crate) fn missing(service: &Service) -> Vec<(Failure, String)> {
    let Ok(root) = root(&service.plan.rootfs) else { return Vec::new() };
    let rootfs = &service.plan.rootfs;
    let mounts: Vec<_> = rootfs.mounts().map(|mount| (mount, rootfs.target(mount))).collect();
    let text = |path: &CStr| path.to_string_lossy().into_owned();
    let covered = |path: &CStr| mounts.iter().any(|(_, over)| is_at_or_below(&text(path), &text(over)));
    let below_another = |path: &CStr| {
        let others = mounts.iter().filter(|(_, other)| *other != path);
        others.into_iter().any(|(_, over)| is_at_or_below(&text(path), &text(over)))
    };
    let in_template = mounts.iter().filter(|(_, path)| !below_another(path));
    let points = in_template.map(|(mount, path)| at(&root, rootfs, *mount, path));
    let start = service.plan.start.directory.iter().map(|path| (path, Step::Directory, libc::O_DIRECTORY));
    let rules = service.plan.landlock.rules().iter().map(|rule| (&rule.path, Step::LandlockRule, 0));
    let paths = start.chain(rules).filter(|(path, ..)| !covered(path)).map(|(path, step, flags)| {
        open(&root, path, flags).map(drop).map_err(|errno| (step, path.as_c_str(), errno))
    });
    let failed = points.chain(paths).filter_map(Result::err);
    failed.map(|(step, path, errno)| (Failure { step, operand: Operand::None, errno }, text(path))).collect()
}

fn root(plan: &rootfs::Plan) -> Result<OwnedFd, Errno> {
    match &plan.image {
        Some(image) => sys::dup_above(image.template.as_fd(), 0),
        None => mount::openat2(cwd(), &plan.template.path, libc::O_PATH | libc::O_DIRECTORY, 0),
    }
}

/// A link cannot be a mount point. Directories mount on directories and files on files (move_mount(2),
/// EINVAL).
fn at<'a>(
    root: &OwnedFd,
    plan: &rootfs::Plan,
    mount: Mount,
    path: &'a CStr,
) -> Result<(), (Step, &'a CStr, Errno)> {
    let kind = open(root, path, libc::O_NOFOLLOW)
        .and_then(|point| mount::identify(point.as_fd(), c""))
        .map_err(|errno| (Step::MountPoint, path, errno))?
        .kind();
    match (kind == libc::S_IFLNK, plan.is_directory(mount) == (kind == libc::S_IFDIR)) {
        (true, _) => Err((Step::MountPoint, path, Errno::ELOOP)),
        (false, false) => Err((mount.step(), path, Errno::EINVAL)),
        (false, true) => Ok(()),
    }
}

fn open(root: &OwnedFd, path: &CStr, flags: i32) -> Result<OwnedFd, Errno> {
    mount::openat2(root.as_fd(), path, libc::O_PATH | flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
}
