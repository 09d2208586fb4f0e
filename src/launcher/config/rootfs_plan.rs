//! The sandbox's tree and the rights on it: what is mounted where, what Landlock lets it do.

use super::ConfigError;
use super::credentials;
use super::handler::Handler;
use super::links::Follower;
use super::options::{Layer, Options, SnapshotKind};
use super::requirements::Degraded;
use super::service::{Purpose, c_string};
use super::targets;
use super::trust::{self, Trusted, TrustedFile};
use super::values::{StackSpec, TmpfsSpec};
use super::writable_binds::writable_binds;
use crate::kernel::Kernel;
use crate::privilege::Privilege;
use sandbox::launch::stack;
use sandbox::plan::identity::Identity;
use sandbox::plan::landlock::{self, Right, Rule};
use sandbox::plan::rootfs::Bind;
use sandbox::plan::rootfs::Image;
use sandbox::plan::rootfs::{self, Bounds, Snapshot, Source, Tmpfs};
use seccomp::profile::model::Exec;
use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::fmt::Display;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use sys::mount::{RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS};

pub(super) fn source(path: &Path, fd: &OwnedFd) -> Result<Source, ConfigError> {
    let identity = sys::mount::identify(fd.as_fd(), c"")
        .map_err(|errno| ConfigError::sandbox(format!("cannot read {}: {errno}", path.display())))?;
    Ok(Source { path: c_string(path.as_os_str().as_bytes(), "a path")?, identity })
}

pub(super) fn bounds(size: u64, inodes: u64) -> Result<Bounds, ConfigError> {
    Ok(Bounds {
        bytes: c_string(size.to_string(), "a size")?,
        inodes: c_string(inodes.to_string(), "a number of inodes")?,
    })
}

pub(super) fn rootfs_plan(
    options: &Options,
    (template, image): (&TrustedFile, Option<Image>),
    handler: &Handler,
    privilege: Privilege,
    purpose: Purpose,
    exec: Exec,
) -> Result<rootfs::Plan, ConfigError> {
    let mut tmpfs = tmpfs_list(options, template);
    let upper = tmpfs.iter().position(|spec| spec.target == "/").map(|index| tmpfs.remove(index));
    let snapshot = match options.snapshot.unwrap_or(SnapshotKind::Overlay) {
        SnapshotKind::Overlay => Snapshot::Overlay,
        SnapshotKind::Readonly => Snapshot::Readonly,
        SnapshotKind::Btrfs => Snapshot::Btrfs,
    };
    if upper.is_some() && !snapshot.is_overlay() {
        return Err(ConfigError::usage("--tmpfs /: only --snapshot overlay has a writable layer in memory"));
    }
    let (size, inodes) = upper.map_or((TmpfsSpec::SIZE, TmpfsSpec::INODES), |spec| (spec.size, spec.inodes));
    // The layer's own directories: the tmpfs' root, lower, upper, work, root, work/work, work/index.
    let upper = bounds(size.0, inodes.saturating_add(8))?;
    let mut plan = rootfs::Plan {
        template: source(&template.path, image.as_ref().map_or(&template.fd, |image| &image.template))?,
        image,
        snapshot,
        owner: owner(options, snapshot, privilege)?,
        upper,
        in_user_namespace: privilege == Privilege::Rootless,
        writable: writable_binds(options, privilege)?,
        binds: binds(options, privilege)?,
        credentials: credentials::read(options)?,
        tmpfs: tmpfs
            .into_iter()
            .map(|spec| {
                Ok(Tmpfs {
                    target: c_string(spec.target, "--tmpfs")?,
                    bounds: bounds(spec.size.0, spec.inodes)?,
                })
            })
            .collect::<Result<_, ConfigError>>()?,
        proc: options.proc.is_some_and(|switch| switch.0),
        executable: exec == Exec::Tree,
        dev: dev(template, privilege, exec)?,
        cover_canary: !purpose.is_serve(),
        handler: c_string(handler.file.path.as_os_str().as_bytes(), "the handler's path")?,
        handler_identity: source(&handler.file.path, &handler.file.fd)?.identity,
        prebuilt: None,
        snapshots: None,
    };
    follow_links(&mut plan, template, options)?;
    targets::check(options, &plan)?;
    Ok(plan)
}

/// Mount points as they are in the template, in the order of [`rootfs::enter`]. Of one place the last of a
/// kind wins.
fn follow_links(
    plan: &mut rootfs::Plan,
    template: &TrustedFile,
    options: &Options,
) -> Result<(), ConfigError> {
    let is_asked_for = |tmpfs: &Tmpfs| {
        options.tmpfs.iter().flatten().any(|spec| spec.target.as_bytes() == tmpfs.target.to_bytes())
    };
    let default = plan.tmpfs.iter().position(|tmpfs| !is_asked_for(tmpfs));
    let mut follower = Follower::new(template.fd.as_fd());
    plan.binds.iter_mut().try_for_each(|bind| follower.follow(&mut bind.target))?;
    plan.writable.iter_mut().try_for_each(|bind| follower.follow(&mut bind.target))?;
    plan.tmpfs.iter_mut().try_for_each(|tmpfs| follower.follow(&mut tmpfs.target))?;
    // The default one gives way to what is asked for at the same place.
    let bound = plan.binds.iter().map(|bind| &bind.target);
    let mut bound = bound.chain(plan.writable.iter().map(|bind| &bind.target));
    if let Some(index) = default.filter(|index| bound.any(|target| *target == plan.tmpfs[*index].target)) {
        plan.tmpfs.remove(index);
    }
    keep_last(&mut plan.binds, |bind| &bind.target);
    keep_last(&mut plan.writable, |bind| &bind.target);
    keep_last(&mut plan.tmpfs, |tmpfs| &tmpfs.target);
    Ok(())
}

fn keep_last<T>(list: &mut Vec<T>, target: fn(&T) -> &CString) {
    let mut later = HashSet::new();
    let mut kept: Vec<T> = list.drain(..).rev().filter(|item| later.insert(target(item).clone())).collect();
    kept.reverse();
    *list = kept;
}

/// Only a mount with an id map can make another's files the handler's.
fn owner(options: &Options, snapshot: Snapshot, privilege: Privilege) -> Result<Identity, ConfigError> {
    match options.owner {
        Some(_) if !snapshot.is_writable() => {
            Err(ConfigError::usage("--owner needs --snapshot overlay or btrfs"))
        }
        Some(_) if privilege == Privilege::Rootless => {
            Err(ConfigError::sandbox("--owner needs root: an ordinary user cannot idmap mounts"))
        }
        given => Ok(given.map_or(Identity::ROOT, |owner| owner.0)),
    }
}

/// Programs in a template expect a few devices, if it has /dev. A user namespace cannot make devices.
fn dev(template: &TrustedFile, privilege: Privilege, exec: Exec) -> Result<bool, ConfigError> {
    let wanted = exec == Exec::Tree && privilege == Privilege::Root && is_directory(template, c"dev");
    if wanted && !crate::privilege::can_make_devices() {
        return Err(ConfigError::sandbox(
            "the launcher lacks CAP_MKNOD (the devices of /dev); see CapabilityBoundingSet= and PrivateDevices= in the unit",
        ));
    }
    Ok(wanted)
}

fn is_directory(template: &TrustedFile, name: &CStr) -> bool {
    let flags = libc::O_PATH | libc::O_DIRECTORY;
    sys::mount::openat2(template.fd.as_fd(), name, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS).is_ok()
}

/// The last entry of a path wins. /tmp is the default, if the template has it and no bind replaces it.
fn tmpfs_list(options: &Options, template: &TrustedFile) -> Vec<TmpfsSpec> {
    let mut list: Vec<TmpfsSpec> = Vec::new();
    let bound = options.bind.iter().flatten().map(|bind| &bind.target);
    let bound = bound.chain(options.bind_ro.iter().flatten().map(|bind| &bind.target));
    let mut bound = bound.chain(options.overlay_ro.iter().flatten().map(|stack| &stack.target));
    if is_directory(template, c"tmp") && !bound.any(|target| target == "/tmp") {
        let (size, inodes) = (TmpfsSpec::SIZE, TmpfsSpec::INODES);
        list.push(TmpfsSpec { target: "/tmp".to_owned(), size, inodes });
    }
    for spec in options.tmpfs.iter().flatten() {
        list.retain(|known| known.target != spec.target);
        list.push(spec.clone());
    }
    list
}

/// Sources are content, which may be users': only symlinks on the way must be root's. The last of a target
/// wins.
fn binds(options: &Options, privilege: Privilege) -> Result<Vec<Bind>, ConfigError> {
    let mut binds: Vec<Bind> = Vec::new();
    for spec in options.bind_ro.iter().flatten() {
        let path = PathBuf::from(&spec.source);
        let file = trust::host_root()
            .and_then(|root| trust::walk(root, &path, Trusted::for_content()))
            .map_err(|error| ConfigError::sandbox(format!("cannot bind {}: {error}", path.display())))?;
        let target = c_string(spec.target.as_bytes(), "--bind-ro")?;
        binds.retain(|known| known.target != target);
        binds.push(Bind { source: source(&file.path, &file.fd)?, stack: None, target });
    }
    for spec in options.overlay_ro.iter().flatten() {
        let target = c_string(spec.target.as_bytes(), "--overlay-ro")?;
        binds.retain(|known| known.target != target);
        binds.push(stacked(spec, target, privilege)?);
    }
    Ok(binds)
}

fn stacked(spec: &StackSpec, target: CString, privilege: Privilege) -> Result<Bind, ConfigError> {
    let shown = spec.layers.join(":");
    let failed = |why: &dyn Display| ConfigError::sandbox(format!("--overlay-ro {shown}: {why}"));
    if privilege == Privilege::Rootless {
        return Err(failed(&"it needs root; an ordinary user can bind one directory (--bind-ro)"));
    }
    let open = |layer: &String| {
        let layer = trust::walk(trust::host_root()?, Path::new(layer), Trusted::for_content());
        layer.map(|layer| layer.fd)
    };
    let layers: Vec<_> =
        spec.layers.iter().map(open).collect::<Result<_, _>>().map_err(|error| failed(&error))?;
    let mount = stack::mount(&layers).map_err(|errno| {
        failed(&format!("cannot mount the overlay: {errno}; each PATH must be a directory"))
    })?;
    Ok(Bind { source: source(Path::new(&shown), &mount)?, stack: Some(mount), target })
}

/// Defaults: read all; write all of a snapshot that can be written, else each tmpfs and writable bind. A list
/// given replaces its default.
pub(super) fn landlock_plan(
    options: &Options,
    rootfs: &rootfs::Plan,
    kernel: &Kernel,
    degraded: &Degraded,
) -> Result<landlock::Plan, ConfigError> {
    let rule = |path: &[u8], right| Ok(Rule { path: c_string(path, "a Landlock path")?, right });
    let mut rules = Vec::new();
    match &options.landlock_ro {
        Some(paths) => {
            for path in paths {
                rules.push(rule(path.as_bytes(), Right::Read)?);
            }
        }
        None => rules.push(rule(b"/", Right::Read)?),
    }
    if rootfs.credentials.is_some() {
        rules.push(rule(credentials::directory().as_bytes(), Right::Read)?);
    }
    match (&options.landlock_rw, rootfs.snapshot) {
        (Some(paths), _) => {
            for path in paths {
                rules.push(rule(path.as_bytes(), Right::ReadWrite)?);
            }
        }
        (None, Snapshot::Overlay | Snapshot::Btrfs) => rules.push(rule(b"/", Right::ReadWrite)?),
        (None, Snapshot::Readonly) => {
            for tmpfs in &rootfs.tmpfs {
                rules.push(Rule { path: tmpfs.target.clone(), right: Right::ReadWrite });
            }
            for bind in &rootfs.writable {
                rules.push(Rule { path: bind.target.clone(), right: Right::ReadWrite });
            }
            if rootfs.dev {
                rules.push(rule(b"/dev", Right::ReadWrite)?);
            }
        }
    }
    if let Some(relative) = rules.iter().find(|rule| !rule.path.to_bytes().starts_with(b"/")) {
        let path = relative.path.to_string_lossy();
        return Err(ConfigError::usage(format!("invalid path '{path}': it must begin with /")));
    }
    let abi = kernel.landlock.unwrap_or(0);
    let (network, scopes) = (!degraded.has(Layer::LandlockNet), !degraded.has(Layer::LandlockScope));
    Ok(landlock::Plan::new(abi, network, scopes, rootfs.executable, rules))
}
