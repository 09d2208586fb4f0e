//! The root file system: a plan of mounts as data, and the one function that makes them.
//!
//! Every mount is nosuid, nodev, noexec and noatime: the handler is executed by a descriptor of the old
//! root's mount, which is attached nowhere by then, so nothing in the tree need be executable. (Under a
//! profile that executes the tree, the root is not noexec, and there is [`super::devices`].) No path is
//! resolved in the old root once the new one stands, nothing below /proc is opened, and the kernel drops it
//! all when the last process of the sandbox dies.
//!
//! `run` takes the trees from the host's paths; `serve` has them ready in its base ([`super::base`]).
//!
//! Everything is first attached at one place below the old root, in the sandbox's own mount namespace, and so
//! goes with the old root at one detach: each detach, and each close of a detached tree, waits for an RCU
//! grace period. Overlay layers are attached there before use, since Linux takes detached ones only since
//! 6.15, and named relative to the cwd, because fsconfig(2) strings end at 255 bytes.

use super::Begun;
use super::binds;
use super::credentials;
use super::devices;
use super::operand::{Mount, Operand, place};
use super::step::{AtStep, Failure, Step, verify, verify_on};
use super::subvolume;
use super::supervisor_link::SupervisorLink;
use crate::plan::identity::Identity;
use crate::plan::namespaces::{self, Network};
use crate::plan::rootfs::{Plan, Prebuilt, Snapshot, Tmpfs};
use std::ffi::{CStr, c_int};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use sys::mount::{
    self as sysmount, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY,
    RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS,
};
use sys::{self, Errno, cwd, process};

pub(crate) const WRITABLE: u64 = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
pub(crate) const READ_ONLY: u64 = WRITABLE | MOUNT_ATTR_RDONLY;

/// The place: a directory that every host has, since the launcher needs what is mounted there; covered only
/// in the sandbox's own mount namespace. (Not `/`: what is stacked upon the root would be found before the
/// root at the detach.)
pub(crate) const PLACE: &CStr = c"/proc";

const IN_ROOT: u64 = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;

/// Proof that the process is in its own root and the old one is gone.
#[derive(Debug)]
pub struct Rooted(());

/// Descriptors of the tree that later stages need.
#[derive(Debug)]
pub struct Tree {
    /// `/`, O_PATH.
    pub root: OwnedFd,
    /// The handler's file, O_PATH, by a mount of the old root.
    pub handler: OwnedFd,
}

/// *Removes* the host's file systems from view, whole.
/// *Keeps* root's ids and capabilities: mounting needs them.
pub fn enter(
    _: Begun,
    link: &SupervisorLink<'_>,
    plan: &Plan,
    canary: BorrowedFd<'_>,
    namespaces: namespaces::Plan,
    snapshot: Option<&CStr>,
) -> Result<(Rooted, Tree, Identity), Failure> {
    unshare_and_verify(namespaces.in_child())?;
    // While the host's /proc is still there.
    let names = match namespaces.network {
        Network::Joined => Some(open_namespaces().step(Step::Network)?),
        Network::Inherited | Network::Own => None,
    };
    make_private(plan.in_user_namespace)?;
    let handler = match &plan.prebuilt {
        Some(prebuilt) => sys::dup_above(prebuilt.handler.as_fd(), 0).step(Step::HandlerFile)?,
        None => open_handler(plan)?,
    };
    if plan.cover_canary {
        sysmount::attach_at(canary, cwd(), PLACE).step(Step::Canary)?;
    }
    // No earlier than here: the supervisor may need the child's pid to compute its ids.
    let (identity, userns) = link.receive_identity()?;
    let root = attach_all(link, plan, identity, userns.as_ref(), snapshot)?;
    let root = pivot(root, plan.of_root(FLAGS_WRITABLE))?;
    if let Some(names) = names {
        link.join_network(names.as_fd())?;
    }
    Ok((Rooted(()), Tree { root, handler }, identity))
}

/// The root of one sandbox and all that is mounted on it, attached below the old root.
fn attach_all(
    link: &SupervisorLink<'_>,
    plan: &Plan,
    identity: Identity,
    userns: Option<&OwnedFd>,
    snapshot: Option<&CStr>,
) -> Result<OwnedFd, Failure> {
    let root = match (plan.snapshot, &plan.prebuilt) {
        (Snapshot::Overlay, _) => attach_overlay(plan, identity, userns)?,
        (Snapshot::Btrfs, _) => subvolume::attach(plan, snapshot, userns)?,
        (Snapshot::Readonly, Some(prebuilt)) => attach_prebuilt(plan, prebuilt)?,
        (Snapshot::Readonly, None) => attach_template(plan)?,
    };
    for mount in plan.mounts().filter(|mount| !plan.is_part_of_prebuilt_root(*mount)) {
        match mount {
            Mount::Bind(number) => binds::mount_read_only(plan, root.as_fd(), number)?,
            Mount::Dev => mount_dev(plan, root.as_fd())?,
            Mount::Writable(number) => binds::mount_writable(plan, root.as_fd(), number, link, identity)?,
            Mount::Proc => mount_proc(plan, root.as_fd())?,
            Mount::Tmpfs(number) => mount_tmpfs(plan, root.as_fd(), number)?,
            Mount::Credentials => credentials::mount(plan, root.as_fd(), identity)?,
        }
    }
    Ok(root)
}

/// Proof that a process has its zygote's few mounts, which hold the trees of its service and nothing else.
#[derive(Debug)]
pub(crate) struct Reduced(Rooted);

/// *Removes* every mount but the trees that the service's sandboxes are made from: they are copied to where
/// the base has them. *Keeps* all privilege: sandboxes mount.
pub(crate) fn enter_few(_: Begun, plan: &Plan, prebuilt: &Prebuilt) -> Result<(Reduced, OwnedFd), Failure> {
    unshare_and_verify(libc::CLONE_NEWNS)?;
    make_private(false)?;
    let handler = sys::dup_above(prebuilt.handler.as_fd(), 0).step(Step::HandlerFile)?;
    let root = new_tmpfs(c"1048576", c"1024", c"0700", Step::Base, Operand::None)?;
    sysmount::attach_at(root.as_fd(), cwd(), PLACE).step(Step::Base)?;
    for directory in [PLACE, &prebuilt.directory] {
        sysmount::mkdirat(root.as_fd(), relative(directory), 0o700).step(Step::Base)?;
    }
    for path in prebuilt.attached(plan.snapshot) {
        copy_tree(root.as_fd(), path).step(Step::Base)?;
    }
    sysmount::set_attributes(root.as_fd(), READ_ONLY, false).step(Step::Base)?;
    let root = pivot(root, FLAGS_READ_ONLY)?;
    drop(root);
    Ok((Reduced(Rooted(())), handler))
}

/// A path of the base from its root on.
fn relative(path: &CStr) -> &CStr {
    let bytes = path.to_bytes_with_nul();
    bytes.strip_prefix(b"/").and_then(|rest| CStr::from_bytes_with_nul(rest).ok()).unwrap_or(path)
}

/// A file for a file, a directory for a directory.
fn copy_tree(root: BorrowedFd<'_>, path: &CStr) -> Result<(), Errno> {
    let tree = sysmount::clone_tree(cwd(), path, true)?;
    if sysmount::identify(tree.as_fd(), c"")?.kind() == libc::S_IFDIR {
        sysmount::mkdirat(root, relative(path), 0o700)?;
    } else {
        drop(sysmount::create(root, relative(path), 0o600)?);
    }
    sysmount::attach_at(tree.as_fd(), root, relative(path))
}

/// *Removes* the zygote's root from view: the sandbox's own covers it, in a copy of its mount namespace. The
/// kernel walks over no tasks, as for pivot_root(2), and waits for none, as for a detach.
///
/// Every path that leads to the old root is led on to the new one; beneath are only the trees that the new
/// one is made from, without a Landlock rule.
pub(crate) fn enter_over(
    _: Reduced,
    link: &SupervisorLink<'_>,
    plan: &Plan,
    handler: BorrowedFd<'_>,
) -> Result<(Rooted, Tree, Identity), Failure> {
    unshare_and_verify(libc::CLONE_NEWNS)?;
    let handler = sys::dup_above(handler, 0).step(Step::HandlerFile)?;
    let (identity, userns) = link.receive_identity()?;
    let root = attach_all(link, plan, identity, userns.as_ref(), None)?;
    sysmount::fchdir(root.as_fd()).step(Step::CoverRoot)?;
    sysmount::cover_root(root.as_fd()).step(Step::CoverRoot)?;
    sysmount::root_to_cwd().step(Step::CoverRoot)?;
    sysmount::chdir(c"/").step(Step::CoverRoot)?;
    verify_root(&root, plan.of_root(FLAGS_WRITABLE))?;
    Ok((Rooted(()), Tree { root, handler }, identity))
}

/// Makes the namespaces and proves it before anything is mounted: with a call that only said so, what follows
/// would be done to the launcher's own. A mount's id is its namespace's.
pub(crate) fn unshare_and_verify(namespaces: c_int) -> Result<(), Failure> {
    let step = Step::MountNamespace;
    let before = sysmount::identify(cwd(), c"/").step(step)?.mount;
    let others = [(libc::CLONE_NEWNET, c"/proc/self/ns/net"), (libc::CLONE_NEWIPC, c"/proc/self/ns/ipc")];
    let mut ids = [None; 2];
    for (id, (flag, path)) in ids.iter_mut().zip(others) {
        if namespaces & flag != 0 {
            *id = Some(namespace_id(cwd(), path).step(step)?);
        }
    }
    process::unshare(namespaces).step(step)?;
    verify(step, sysmount::identify(cwd(), c"/").step(step)?.mount != before)?;
    for (id, (_, path)) in ids.into_iter().zip(others) {
        if let Some(before) = id {
            verify(step, namespace_id(cwd(), path).step(step)? != before)?;
        }
    }
    Ok(())
}

/// Makes all mounts private, and verifies it before anything is mounted. Otherwise the first mount would
/// appear in the launcher's namespace too. Between user namespaces the kernel does this itself
/// (mount_namespaces(7)); its mounts are locked there and cannot be checked.
pub(crate) fn make_private(in_user_namespace: bool) -> Result<(), Failure> {
    let step = Step::Private;
    sysmount::make_all_private().step(step)?;
    verify(step, in_user_namespace || sysmount::is_private(PLACE).step(step)?)
}

/// The names of our own namespaces.
fn open_namespaces() -> Result<OwnedFd, Errno> {
    sysmount::openat2(cwd(), c"/proc/self/ns", libc::O_PATH | libc::O_DIRECTORY, 0)
}

/// The number of a namespace (namespaces(7)): that of the file behind its link in /proc.
pub(crate) fn namespace_id(directory: BorrowedFd<'_>, path: &CStr) -> Result<u64, Errno> {
    let file = sysmount::openat2(directory, path, libc::O_PATH, 0)?;
    Ok(sysmount::identify(file.as_fd(), c"")?.ino)
}

/// Restricts the clone of the template and proves it by the flags that statfs(2) shows.
pub(crate) fn restrict_template(plan: &Plan, tree: BorrowedFd<'_>, step: Step) -> Result<(), Failure> {
    let attributes = if plan.executable { READ_ONLY & !MOUNT_ATTR_NOEXEC } else { READ_ONLY };
    sysmount::set_attributes(tree, plan.attributes(attributes), false).step(step)?;
    verify_flags(tree, plan.of_root(FLAGS_READ_ONLY), step, Operand::None)
}

/// Restricts a clone of a host mount and proves it by the flags that statfs(2) shows.
pub(crate) fn restrict(
    plan: &Plan,
    tree: BorrowedFd<'_>,
    recursive: bool,
    step: Step,
    operand: Operand,
) -> Result<(), Failure> {
    sysmount::set_attributes(tree, plan.attributes(READ_ONLY), recursive).step_on(step, operand)?;
    verify_flags(tree, FLAGS_READ_ONLY, step, operand)
}

pub(crate) fn verify_flags(
    tree: BorrowedFd<'_>,
    expected: u64,
    step: Step,
    operand: Operand,
) -> Result<(), Failure> {
    let flags = sysmount::flags(tree).step_on(step, operand)?;
    if flags & expected == expected { Ok(()) } else { Err(Errno::EBADE).step_on(step, operand) }
}

/// Mount flags that statfs(2) must show for every mount of the tree.
pub(crate) const FLAGS_WRITABLE: u64 = libc::ST_NOSUID | libc::ST_NODEV | libc::ST_NOEXEC;
pub(crate) const FLAGS_READ_ONLY: u64 = FLAGS_WRITABLE | libc::ST_RDONLY;

/// A detached clone of the template at `path`, which must still be the one that was checked.
pub(crate) fn clone_template(plan: &Plan, path: &CStr) -> Result<OwnedFd, Failure> {
    let tree = match (&plan.image, &plan.prebuilt) {
        // The image is attached once, in the sandbox of `run` or in the base: no clone is needed, nor could
        // one be made before.
        (Some(image), None) => sys::dup_above(image.template.as_fd(), 0),
        _ => sysmount::clone_tree(cwd(), path, false),
    };
    let tree = tree.step(Step::Template)?;
    let found = sysmount::identify(tree.as_fd(), c"").step(Step::Template)?;
    changed(Step::TemplateChanged, Operand::None, found.is_same_file(&plan.template.identity))?;
    Ok(tree)
}

pub(crate) fn changed(step: Step, operand: Operand, same: bool) -> Result<(), Failure> {
    if same { Ok(()) } else { Err(Errno::ESTALE).step_on(step, operand) }
}

fn open_handler(plan: &Plan) -> Result<OwnedFd, Failure> {
    if let Some(image) = &plan.image {
        return open_handler_in(plan, image.handler.as_fd());
    }
    let flags = libc::O_PATH | libc::O_DIRECTORY;
    let template = sysmount::openat2(cwd(), &plan.template.path, flags, 0).step(Step::Template)?;
    open_handler_in(plan, template.as_fd())
}

/// The handler's file below the template, which must still be the one that was checked.
pub(crate) fn open_handler_in(plan: &Plan, template: BorrowedFd<'_>) -> Result<OwnedFd, Failure> {
    let handler =
        sysmount::openat2(template, &plan.handler, libc::O_PATH, IN_ROOT).step(Step::HandlerFile)?;
    let found = sysmount::identify(handler.as_fd(), c"").step(Step::HandlerFile)?;
    changed(Step::HandlerChanged, Operand::None, found.is_same_file(&plan.handler_identity))?;
    Ok(handler)
}

/// The template, read-only.
fn attach_template(plan: &Plan) -> Result<OwnedFd, Failure> {
    let root = clone_template(plan, &plan.template.path)?;
    restrict_template(plan, root.as_fd(), Step::AttachRoot)?;
    sysmount::attach_at(root.as_fd(), cwd(), PLACE).step(Step::AttachRoot)?;
    Ok(root)
}

/// An overlay: the template below, a tmpfs above. The template's owner root becomes this sandbox's
/// uid, so that the handler may change whatever it sees; all changes are in the tmpfs.
fn attach_overlay(plan: &Plan, identity: Identity, userns: Option<&OwnedFd>) -> Result<OwnedFd, Failure> {
    let stage = new_tmpfs(&plan.upper.bytes, &plan.upper.inodes, c"0755", Step::Stage, Operand::None)?;
    sysmount::attach_at(stage.as_fd(), cwd(), PLACE).step(Step::Stage)?;
    make_layers(plan, stage.as_fd(), identity, userns)?;
    sysmount::fchdir(stage.as_fd()).step(Step::Overlay)?;
    let root = mount_overlay(plan).step(Step::Overlay)?;
    sysmount::attach_at(root.as_fd(), stage.as_fd(), c"root").step(Step::AttachRoot)?;
    Ok(root)
}

fn make_layers(
    plan: &Plan,
    stage: BorrowedFd<'_>,
    identity: Identity,
    userns: Option<&OwnedFd>,
) -> Result<(), Failure> {
    for name in [c"lower", c"upper", c"work", c"root"] {
        sysmount::mkdirat(stage, name, 0o755).step(Step::Layers)?;
    }
    let lower =
        clone_template(plan, plan.prebuilt.as_ref().map_or(&plan.template.path, |ready| &ready.root))?;
    if let Some(userns) = userns {
        sysmount::set_idmap(lower.as_fd(), userns.as_fd()).step(Step::Layers)?;
    }
    restrict_template(plan, lower.as_fd(), Step::Layers)?;
    sysmount::attach_at(lower.as_fd(), stage, c"lower").step(Step::Layers)?;
    // The merged root takes owner and mode from the upper directory.
    let root = if plan.owner.uid == 0 { identity } else { Identity::ROOT };
    sysmount::chown(stage, c"upper", root.uid, root.gid).step(Step::Layers)?;
    let mode = u32::from(plan.template.identity.mode) & 0o1777;
    sysmount::chmod(stage, c"upper", mode).step(Step::Layers)
}

fn mount_overlay(plan: &Plan) -> Result<OwnedFd, Errno> {
    let fs = sysmount::fsopen(c"overlay")?;
    let options = [
        (c"source", c"dayfly"),
        (c"lowerdir", c"lower"),
        (c"upperdir", c"upper"),
        (c"workdir", c"work"),
        // Said, because the kernel's defaults are a build option and a module parameter.
        (c"redirect_dir", c"nofollow"),
        (c"metacopy", c"off"),
        (c"index", c"off"),
    ];
    for (key, value) in options {
        sysmount::fsconfig_string(fs.as_fd(), key, value)?;
    }
    if plan.in_user_namespace {
        sysmount::fsconfig_flag(fs.as_fd(), c"userxattr")?;
    }
    let attributes = if plan.executable { WRITABLE & !MOUNT_ATTR_NOEXEC } else { WRITABLE };
    sysmount::fsmount(fs.as_fd(), attributes | sysmount::MOUNT_ATTR_NOATIME)
}

pub(crate) fn new_tmpfs(
    bytes: &CStr,
    inodes: &CStr,
    mode: &CStr,
    step: Step,
    operand: Operand,
) -> Result<OwnedFd, Failure> {
    let fs = sysmount::fsopen(c"tmpfs").step_on(step, operand)?;
    for (key, value) in [(c"size", bytes), (c"nr_inodes", inodes), (c"mode", mode)] {
        sysmount::fsconfig_string(fs.as_fd(), key, value).step_on(step, operand)?;
    }
    let attributes = WRITABLE | sysmount::MOUNT_ATTR_NOATIME;
    let tree = sysmount::fsmount(fs.as_fd(), attributes).step_on(step, operand)?;
    // The kernel counts whole pages. With a call that only said so it would be half of the memory.
    let (size, files) = sysmount::size(tree.as_fd()).step_on(step, operand)?;
    let bounded = size / PAGE == number(bytes).div_ceil(PAGE) && files == number(inodes);
    if bounded { Ok(tree) } else { Err(Errno::EBADE).step_on(step, operand) }
}

const PAGE: u64 = 4096;

/// The value of decimal digits.
fn number(text: &CStr) -> u64 {
    text.to_bytes().iter().fold(0, |value, digit| value * 10 + u64::from(digit.wrapping_sub(b'0')))
}

/// The devices, from the base if they are ready there.
fn mount_dev(plan: &Plan, root: BorrowedFd<'_>) -> Result<(), Failure> {
    let dev = match plan.prebuilt.as_ref().and_then(|prebuilt| prebuilt.dev.as_ref()) {
        Some(path) => sysmount::clone_tree(cwd(), path, false).step(Step::Dev)?,
        None => devices::make()?,
    };
    attach_and_verify(plan, root, dev.as_fd(), Mount::Dev, devices::FLAGS)
}

fn mount_proc(plan: &Plan, root: BorrowedFd<'_>) -> Result<(), Failure> {
    let proc = new_proc().step(Step::Proc)?;
    attach_and_verify(plan, root, proc.as_fd(), Mount::Proc, FLAGS_WRITABLE)
}

fn mount_tmpfs(plan: &Plan, root: BorrowedFd<'_>, number: u16) -> Result<(), Failure> {
    let Some(Tmpfs { bounds, .. }) = plan.tmpfs.get(usize::from(number)) else { return Ok(()) };
    let mount = Mount::Tmpfs(number);
    let tree = new_tmpfs(&bounds.bytes, &bounds.inodes, c"1777", Step::Tmpfs, Operand::Mount(mount))?;
    attach_and_verify(plan, root, tree.as_fd(), mount, FLAGS_WRITABLE)
}

/// Attaches a mount and proves that it is what its path leads to now.
pub(crate) fn attach_and_verify(
    plan: &Plan,
    root: BorrowedFd<'_>,
    tree: BorrowedFd<'_>,
    mount: Mount,
    flags: u64,
) -> Result<(), Failure> {
    let (step, operand) = (mount.step(), Operand::Mount(mount));
    let point = mount_point(plan, root, mount)?;
    sysmount::attach(tree, point.as_fd()).step_on(step, operand)?;
    let attached = sysmount::identify(tree, c"").step_on(step, operand)?.mount;
    let found = mount_point(plan, root, mount)?;
    let found = sysmount::identify(found.as_fd(), c"").step_on(step, operand)?.mount;
    verify_flags(tree, flags, step, operand)?;
    verify_on(step, operand, found == attached)
}

/// Opens a mount point below the root; a symlink at its place is refused (CVE-2021-30465, CVE-2026-41579).
fn mount_point(plan: &Plan, root: BorrowedFd<'_>, mount: Mount) -> Result<OwnedFd, Failure> {
    let (step, operand) = (Step::MountPoint, Operand::Mount(mount));
    let path = plan.target(mount);
    let point =
        sysmount::openat2(root, path, libc::O_PATH | libc::O_NOFOLLOW, IN_ROOT).step_on(step, operand)?;
    let kind = sysmount::identify(point.as_fd(), c"").step_on(step, operand)?.kind();
    if kind == libc::S_IFLNK {
        return Err(Errno::ELOOP).step_on(step, operand);
    }
    Ok(point)
}

/// /proc of the sandbox's own pid namespace, processes only, other users' processes invisible (proc(5)).
fn new_proc() -> Result<OwnedFd, Errno> {
    let fs = sysmount::fsopen(c"proc")?;
    sysmount::fsconfig_string(fs.as_fd(), c"subset", c"pid")?;
    sysmount::fsconfig_string(fs.as_fd(), c"hidepid", c"invisible")?;
    // The host's own mount of proc may say something else about atime, which is then locked for us
    // (rootless).
    sysmount::fsmount(fs.as_fd(), READ_ONLY)
}

/// Makes `root` the root and detaches the old one with all below it, then proves it: `/` and its parent are
/// the mount we made. Had the detach no effect, the old root would be stacked upon the new one, where `..` of
/// the root finds it.
pub(crate) fn pivot(root: OwnedFd, flags: u64) -> Result<OwnedFd, Failure> {
    sysmount::fchdir(root.as_fd()).step(Step::Pivot)?;
    sysmount::pivot_to_cwd().step(Step::Pivot)?;
    sysmount::detach_cwd().step(Step::DetachOldRoot)?;
    sysmount::chdir(c"/").step(Step::DetachOldRoot)?;
    verify_root(&root, flags)?;
    Ok(root)
}

/// Proves that `/` and its parent are the mount we made.
fn verify_root(root: &OwnedFd, flags: u64) -> Result<(), Failure> {
    let made = sysmount::identify(root.as_fd(), c"").step(Step::VerifyRoot)?;
    for path in [c"/", c"/..", c"."] {
        let found = sysmount::identify(cwd(), path).step(Step::VerifyRoot)?;
        verify(Step::VerifyRoot, found == made)?;
    }
    verify_flags(root.as_fd(), flags, Step::VerifyRoot, Operand::None)
}

/// The sandbox's copy of the prebuilt root.
fn attach_prebuilt(plan: &Plan, prebuilt: &Prebuilt) -> Result<OwnedFd, Failure> {
    let step = Step::AttachRoot;
    let root = sysmount::openat2(cwd(), &prebuilt.root, libc::O_PATH | libc::O_DIRECTORY, 0).step(step)?;
    let found = sysmount::identify(root.as_fd(), c"").step(step)?;
    verify(step, found.is_same_file(&plan.template.identity))?;
    verify(step, found.mount != sysmount::identify(cwd(), c"/").step(step)?.mount)?;
    verify_flags(root.as_fd(), plan.of_root(FLAGS_READ_ONLY), step, Operand::None)?;
    // The kernel has detached those whose mount points were removed from the template.
    for (index, bind) in plan.binds.iter().enumerate() {
        let mount = Mount::Bind(place(index));
        let (step, operand) = (Step::BindChanged, Operand::Mount(mount));
        let shown = mount_point(plan, root.as_fd(), mount)?;
        let shown = sysmount::identify(shown.as_fd(), c"").step_on(step, operand)?;
        changed(step, operand, shown.is_same_file(&bind.source.identity))?;
    }
    Ok(root)
}
