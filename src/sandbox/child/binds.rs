//! Binds of host paths, read-only or writable.
//!
//! A read-only bind includes the mounts below its source and keeps all owners. A writable bind is the
//! source's mount alone. It is idmapped: the sandbox's uid is the owner, and files of other users have no
//! valid owner. The kernel denies writes to such files, whatever their mode.

use super::operand::{Mount, Operand};
use super::rootfs::{FLAGS_WRITABLE, WRITABLE, attach_and_verify, changed, restrict, verify_flags};
use super::step::{AtStep, Failure, Step};
use super::supervisor_link::SupervisorLink;
use crate::plan::identity::Identity;
use crate::plan::rootfs::{Bind, Plan, Source, WritableBind};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use sys::mount as sysmount;
use sys::{self, Errno, cwd};

pub(crate) fn mount_read_only(plan: &Plan, root: BorrowedFd<'_>, number: u16) -> Result<(), Failure> {
    let Some(bind) = plan.binds.get(usize::from(number)) else { return Ok(()) };
    let ready = plan.prebuilt.as_ref().and_then(|prebuilt| prebuilt.binds.get(usize::from(number)));
    let tree = match ready {
        Some(path) => clone_path(plan, path, &bind.source, Mount::Bind(number))?,
        None => clone_read_only(plan, bind, number)?,
    };
    attach_and_verify(plan, root, tree.as_fd(), Mount::Bind(number), FLAGS_WRITABLE)
}

pub(crate) fn clone_read_only(plan: &Plan, bind: &Bind, number: u16) -> Result<OwnedFd, Failure> {
    let mount = Mount::Bind(number);
    let Some(stack) = &bind.stack else { return clone_path(plan, &bind.source.path, &bind.source, mount) };
    // The overlay is attached once, in the sandbox of `run` or in the base: no clone is needed, nor could one
    // be made before.
    let tree = sys::dup_above(stack.as_fd(), 0).step_on(Step::BindSource, Operand::Mount(mount))?;
    restrict(plan, tree.as_fd(), true, Step::BindSource, Operand::Mount(mount))?;
    Ok(tree)
}

/// A detached, restricted clone of the source at `path`, which must still be the one that was checked.
fn clone_path(plan: &Plan, path: &CStr, source: &Source, mount: Mount) -> Result<OwnedFd, Failure> {
    let tree = clone_checked(path, source, true, mount)?;
    restrict(plan, tree.as_fd(), true, Step::BindSource, Operand::Mount(mount))?;
    Ok(tree)
}

fn clone_checked(path: &CStr, source: &Source, recursive: bool, mount: Mount) -> Result<OwnedFd, Failure> {
    let (step, operand) = (Step::BindSource, Operand::Mount(mount));
    let tree = sysmount::clone_tree(cwd(), path, recursive).step_on(step, operand)?;
    let found = sysmount::identify(tree.as_fd(), c"").step_on(step, operand)?;
    changed(Step::BindChanged, operand, found.is_same_file(&source.identity))?;
    Ok(tree)
}

pub(crate) fn clone_writable(
    plan: &Plan,
    path: &CStr,
    bind: &WritableBind,
    number: u16,
) -> Result<OwnedFd, Failure> {
    let mount = Mount::Writable(number);
    let (step, operand) = (Step::BindSource, Operand::Mount(mount));
    let tree = clone_checked(path, &bind.source, false, mount)?;
    sysmount::set_attributes(tree.as_fd(), plan.attributes(WRITABLE), false).step_on(step, operand)?;
    verify_flags(tree.as_fd(), FLAGS_WRITABLE, step, operand)?;
    if sysmount::flags(tree.as_fd()).step_on(step, operand)? & libc::ST_RDONLY != 0 {
        return Err(Errno::EROFS).step_on(step, operand);
    }
    Ok(tree)
}

/// Each sandbox has its own uid, so each has its own idmap: it comes over the link, one a bind.
pub(crate) fn mount_writable(
    plan: &Plan,
    root: BorrowedFd<'_>,
    number: u16,
    link: &SupervisorLink<'_>,
    identity: Identity,
) -> Result<(), Failure> {
    let Some(bind) = plan.writable.get(usize::from(number)) else { return Ok(()) };
    let operand = Operand::Mount(Mount::Writable(number));
    let ready = plan.prebuilt.as_ref().and_then(|prebuilt| prebuilt.writable.get(usize::from(number)));
    let tree = clone_writable(plan, ready.unwrap_or(&bind.source.path), bind, number)?;
    if !plan.in_user_namespace {
        let userns = link.receive_user_namespace()?;
        map_owner(tree.as_fd(), userns.as_fd(), bind.owner, identity).step_on(Step::BindMap, operand)?;
    }
    attach_and_verify(plan, root, tree.as_fd(), Mount::Writable(number), FLAGS_WRITABLE)
}

/// Maps the owner, and verifies it: a source that belonged to the owner must now belong to the sandbox, any
/// other to nobody.
fn map_owner(
    tree: BorrowedFd<'_>,
    userns: BorrowedFd<'_>,
    owner: Identity,
    identity: Identity,
) -> Result<(), Errno> {
    let before = sysmount::owner(tree)?;
    sysmount::set_idmap(tree, userns)?;
    let after = sysmount::owner(tree)?;
    let mapped = |before: u32, after: u32, owner: u32, own: u32| {
        if before == owner { after == own } else { after != own && (after != before || before == NOBODY) }
    };
    let holds = mapped(before.0, after.0, owner.uid, identity.uid)
        && mapped(before.1, after.1, owner.gid, identity.gid);
    if holds { Ok(()) } else { Err(Errno::EBADE) }
}

/// The kernel's id for owners without a mapping (user_namespaces(7)).
const NOBODY: u32 = 65_534;
