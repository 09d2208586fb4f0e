//! The base: the supervisor's own small mount namespace, which holds the ready trees of its services.
//!
//! A sandbox's mount namespace is a copy of its launcher's, so its cost grows with the launcher's mounts.
//! The base contains /proc and, for each service, its template and binds, cloned and restricted once, at
//! start and at SIGHUP. A sandbox finds its root there by path and adds only its own mounts: an overlay,
//! tmpfs, proc.
//!
//! Only the supervisor can return to the host's namespace. At SIGHUP it enters it, clones what the service
//! files name now, and comes back. (Mounts can be cloned only in the namespace of their source, and attached
//! only in one's own.)

use crate::child::binds;
use crate::child::devices;
use crate::child::operand::{Mount, Operand, place};
use crate::child::rootfs;
use crate::child::step::{AtStep, Failure, Step};
use crate::plan::rootfs::{Bind, Plan, Prebuilt, Snapshot, WritableBind};
use std::cell::Cell;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use sys::mount as sysmount;
use sys::{Errno, Ignoring, cwd, process};

/// The namespaces of the host, apart from its mounts, that the supervisor is in before it leaves them.
#[derive(Debug)]
pub struct HostNamespaces {
    network: OwnedFd,
    ipc: OwnedFd,
    uts: OwnedFd,
    cgroup: OwnedFd,
}

impl HostNamespaces {
    /// Those that the launcher is in.
    pub fn open() -> Result<HostNamespaces, Errno> {
        Ok(HostNamespaces {
            network: namespace(c"/proc/self/ns/net")?,
            ipc: namespace(c"/proc/self/ns/ipc")?,
            uts: namespace(c"/proc/self/ns/uts")?,
            cgroup: namespace(c"/proc/self/ns/cgroup")?,
        })
    }

    /// Enters all of them.
    fn enter(&self) -> Result<(), Errno> {
        process::setns(self.network.as_fd(), libc::CLONE_NEWNET)?;
        process::setns(self.ipc.as_fd(), libc::CLONE_NEWIPC)?;
        process::setns(self.uts.as_fd(), libc::CLONE_NEWUTS)?;
        process::setns(self.cgroup.as_fd(), libc::CLONE_NEWCGROUP)
    }
}

/// Where the small namespace has what the launcher and its children read by path.
const PROC: &CStr = c"proc";

#[derive(Debug)]
pub struct Base {
    /// The host's mount namespace, and the directory in it that relative paths of the command line begin at.
    host: OwnedFd,
    host_cwd: OwnedFd,
    /// The root there.
    host_root: OwnedFd,
    /// The own one.
    own: OwnedFd,
    /// The host's other namespaces. The network's is for sockets that a reload asks for. No sandbox ever has
    /// any of these, nor the supervisor's own network.
    others: HostNamespaces,
    own_network: OwnedFd,
    /// Each tree gets a directory by its number.
    next: Cell<u32>,
}

impl Base {
    /// Leaves the host's mounts for a tmpfs with /proc. The network namespace is the one that sandboxes share
    /// by now; `others` are the ones before.
    pub fn enter(others: HostNamespaces, in_user_namespace: bool) -> Result<Base, Failure> {
        let step = Step::Base;
        let host = namespace(c"/proc/self/ns/mnt").step(step)?;
        let own_network = namespace(c"/proc/self/ns/net").step(step)?;
        let host_cwd = sysmount::openat2(cwd(), c".", libc::O_PATH | libc::O_DIRECTORY, 0).step(step)?;
        let host_root = sysmount::openat2(cwd(), c"/", libc::O_PATH | libc::O_DIRECTORY, 0).step(step)?;
        rootfs::unshare_and_verify(libc::CLONE_NEWNS)?;
        rootfs::make_private(in_user_namespace)?;
        let proc = sysmount::clone_tree(cwd(), c"/proc", true).step(step)?;
        let root = rootfs::new_tmpfs(c"1048576", c"1024", c"0700", step, Operand::None)?;
        sysmount::attach_at(root.as_fd(), cwd(), rootfs::PLACE).step(step)?;
        sysmount::mkdirat(root.as_fd(), PROC, 0o555).step(step)?;
        sysmount::attach_at(proc.as_fd(), root.as_fd(), PROC).step(step)?;
        rootfs::pivot(root, rootfs::FLAGS_WRITABLE)?;
        let own = namespace(c"/proc/self/ns/mnt").step(step)?;
        Ok(Base { host, host_cwd, host_root, own, others, own_network, next: Cell::new(0) })
    }

    /// The root of the host, for who only looks.
    pub fn host_root(&self) -> BorrowedFd<'_> {
        self.host_root.as_fd()
    }

    /// Runs `work` in the host's mount namespace, where the operator's paths are.
    ///
    /// Needs CAP_SYS_CHROOT (setns(2)). A supervisor that could not return would serve from the wrong tree,
    /// so it ends.
    pub fn in_host<T>(&self, work: impl FnOnce() -> T) -> Result<T, Errno> {
        process::setns(self.host.as_fd(), libc::CLONE_NEWNS)?;
        let result = sysmount::fchdir(self.host_cwd.as_fd()).map(|()| work());
        if process::setns(self.own.as_fd(), libc::CLONE_NEWNS).is_err() {
            std::process::abort();
        }
        result
    }

    /// Goes back to all of the host's namespaces, for good: for a child that becomes another program.
    pub fn leave(&self) -> Result<(), Errno> {
        self.others.enter()?;
        process::setns(self.host.as_fd(), libc::CLONE_NEWNS)?;
        sysmount::fchdir(self.host_cwd.as_fd())
    }

    /// Does something in the host's network namespace: a socket belongs to the one it is made in.
    pub fn in_host_network<T>(&self, work: impl FnOnce() -> T) -> Result<T, Errno> {
        process::setns(self.others.network.as_fd(), libc::CLONE_NEWNET)?;
        let result = work();
        if process::setns(self.own_network.as_fd(), libc::CLONE_NEWNET).is_err() {
            std::process::abort();
        }
        Ok(result)
    }

    /// Whether the supervisor has left the host's network namespace. If not, no sandbox may share
    /// the supervisor's.
    pub fn has_left_host_network(&self) -> Result<bool, Errno> {
        let number = |fd: &OwnedFd| Ok::<_, Errno>(nix::sys::stat::fstat(fd)?.st_ino);
        Ok(number(&self.others.network)? != number(&self.own_network)?)
    }

    /// Makes the trees of a service stand ready.
    pub fn attach(&self, clones: Clones, plan: &Plan) -> Result<Prebuilt, Failure> {
        let step = Step::AttachRoot;
        let number = self.next.get();
        self.next.set(number + 1);
        let mut prebuilt = Prebuilt {
            mounted: Vec::new(),
            directory: directory(number)?,
            root: path(number, "root")?,
            binds: paths(number, "bind", plan.binds.len())?,
            writable: paths(number, "writable", plan.writable.len())?,
            dev: if plan.dev { Some(path(number, "dev")?) } else { None },
            handler: clones.handler,
        };
        sysmount::mkdirat(cwd(), &prebuilt.directory, 0o700).step(step)?;
        sysmount::mkdirat(cwd(), &prebuilt.root, 0o700).step(step)?;
        sysmount::attach_at(clones.root.as_fd(), cwd(), &prebuilt.root).step(step)?;
        for (index, tree) in clones.binds.iter().enumerate() {
            let mount = Mount::Bind(place(index));
            let operand = Operand::Mount(mount);
            match plan.snapshot {
                // The sandbox's root is this very mount.
                Snapshot::Readonly => {
                    let root = clones.root.as_fd();
                    rootfs::attach_and_verify(plan, root, tree.as_fd(), mount, rootfs::FLAGS_WRITABLE)?;
                    prebuilt.mounted.push(mounted_at(&prebuilt.root, plan.target(mount), tree, operand)?);
                }
                // The root is made for each sandbox; the binds are cloned onto it.
                Snapshot::Overlay | Snapshot::Btrfs => {
                    let Some(path) = prebuilt.binds.get(index) else { continue };
                    make_mount_point(tree, path).step_on(Step::Bind, operand)?;
                    sysmount::attach_at(tree.as_fd(), cwd(), path).step_on(Step::Bind, operand)?;
                }
            }
        }
        for (index, (tree, path)) in clones.writable.iter().zip(&prebuilt.writable).enumerate() {
            let operand = Operand::Mount(Mount::Writable(place(index)));
            make_mount_point(tree, path).step_on(Step::Bind, operand)?;
            sysmount::attach_at(tree.as_fd(), cwd(), path).step_on(Step::Bind, operand)?;
        }
        if let Some(path) = &prebuilt.dev {
            attach_dev(plan, path, clones.root.as_fd())?;
        }
        Ok(prebuilt)
    }
}

/// A bind on the root, by its path in the base and the number of its mount.
fn mounted_at(
    root: &CStr,
    target: &CStr,
    tree: &OwnedFd,
    operand: Operand,
) -> Result<(CString, u64), Failure> {
    let path = c_string(format!("{}{}", root.to_string_lossy(), target.to_string_lossy()))?;
    Ok((path, sysmount::identify(tree.as_fd(), c"").step_on(Step::Bind, operand)?.mount))
}

/// The devices, made once: part of the root of a readonly snapshot, else a source to clone.
fn attach_dev(plan: &Plan, path: &CStr, root: BorrowedFd<'_>) -> Result<(), Failure> {
    let dev = devices::make()?;
    match plan.snapshot {
        Snapshot::Readonly => rootfs::attach_and_verify(plan, root, dev.as_fd(), Mount::Dev, devices::FLAGS),
        Snapshot::Overlay | Snapshot::Btrfs => {
            sysmount::mkdirat(cwd(), path, 0o700).step(Step::Dev)?;
            sysmount::attach_at(dev.as_fd(), cwd(), path).step(Step::Dev)
        }
    }
}

/// A file for a file, a directory for a directory.
fn make_mount_point(tree: &OwnedFd, path: &CStr) -> Result<(), Errno> {
    if sysmount::identify(tree.as_fd(), c"")?.kind() == libc::S_IFDIR {
        sysmount::mkdirat(cwd(), path, 0o700)
    } else {
        sysmount::create(cwd(), path, 0o600).map(drop)
    }
}

fn namespace(path: &CStr) -> Result<OwnedFd, Errno> {
    sysmount::openat2(cwd(), path, libc::O_RDONLY, 0)
}

fn directory(number: u32) -> Result<CString, Failure> {
    c_string(format!("/{number}"))
}

fn path(number: u32, name: &str) -> Result<CString, Failure> {
    c_string(format!("/{number}/{name}"))
}

fn paths(number: u32, kind: &str, count: usize) -> Result<Vec<CString>, Failure> {
    (0..count).map(|index| path(number, &format!("{kind}-{index}"))).collect()
}

fn c_string(text: String) -> Result<CString, Failure> {
    CString::new(text).map_err(|_nul| Errno::EINVAL).step(Step::Base)
}

/// Detached, restricted clones of what a service shows, and its handler: made in the host's namespace.
#[derive(Debug)]
pub struct Clones {
    /// The parts of sandboxes' roots.
    root: OwnedFd,
    binds: Vec<OwnedFd>,
    writable: Vec<OwnedFd>,
    handler: OwnedFd,
}

impl Clones {
    pub fn take(plan: &Plan) -> Result<Clones, Failure> {
        let handler = open_handler(plan)?;
        let root = match &plan.snapshots {
            Some(snapshots) => snapshots.clone_directory(plan)?,
            None => {
                let template = rootfs::clone_template(plan, &plan.template.path)?;
                rootfs::restrict_template(plan, template.as_fd(), Step::Template)?;
                template
            }
        };
        let clone = |(index, bind): (usize, &Bind)| binds::clone_read_only(plan, bind, place(index));
        let read_only = plan.binds.iter().enumerate().map(clone).collect::<Result<_, _>>()?;
        let clone = |(index, bind): (usize, &WritableBind)| {
            binds::clone_writable(plan, &bind.source.path, bind, place(index))
        };
        let writable = plan.writable.iter().enumerate().map(clone).collect::<Result<_, _>>()?;
        Ok(Clones { root, binds: read_only, writable, handler })
    }
}

/// The handler's file by a clone of the template that is attached nowhere and gone at once: the mounts of the
/// tree are noexec, this one is not, and no path leads to it.
fn open_handler(plan: &Plan) -> Result<OwnedFd, Failure> {
    if let Some(image) = &plan.image {
        return rootfs::open_handler_in(plan, image.handler.as_fd());
    }
    let tree = rootfs::clone_template(plan, &plan.template.path)?;
    let attributes = sysmount::MOUNT_ATTR_RDONLY | sysmount::MOUNT_ATTR_NOSUID | sysmount::MOUNT_ATTR_NODEV;
    sysmount::set_attributes(tree.as_fd(), attributes, false).step(Step::HandlerFile)?;
    rootfs::verify_flags(
        tree.as_fd(),
        rootfs::FLAGS_READ_ONLY & !libc::ST_NOEXEC,
        Step::HandlerFile,
        Operand::None,
    )?;
    rootfs::open_handler_in(plan, tree.as_fd())
}

impl Prebuilt {
    /// Whether all binds still stand on the root. Where somebody removes a mount point from the template, the
    /// kernel detaches what is mounted there, in every namespace.
    pub fn is_whole(&self) -> bool {
        let stands = |(path, mount): &(CString, u64)| {
            sysmount::identify(cwd(), path).is_ok_and(|found| found.mount == *mount)
        };
        self.mounted.iter().all(stands)
    }
}

impl Drop for Prebuilt {
    fn drop(&mut self) {
        let why = "what stays is the base's, which goes with the supervisor";
        for path in [&self.root].into_iter().chain(&self.binds).chain(&self.writable).chain(&self.dev) {
            sysmount::detach(path).ignoring(why);
            sysmount::remove(path).ignoring(why);
        }
        sysmount::remove(&self.directory).ignoring(why);
    }
}
