//! One sandbox: a process tree with namespaces, a root, an identity and filters of its own around one handler.
//!
//! # Theory of operation
//!
//! A process cannot give up at once what it still needs to give up the rest, so isolation is staged. Each stage is a
//! function that consumes the proof that the one before it is done; only [`exec::execute`] takes the last proof. The
//! whole sequence stands in [`child`], one line a step.
//!
//! | stage | proof | removes | keeps, because |
//! |---|---|---|---|
//! | begin | `Begun` | inherited descriptors at exec, life beyond the supervisor | all privilege: mounts come next |
//! | rootfs | `Rooted` | the host's file systems | CAP_SETPCAP: the bounding set and securebits need it |
//! | bound | `Bounded` | capabilities by exec, uid 0's special treatment | CAP_SETUID, CAP_SETGID: the ids need them |
//! | identity | `Unprivileged` | root, groups, all capabilities | descriptors: rules are added through them |
//! | restrict | `Restricted` | W+X memory, paths without a rule, privilege by exec | system calls: the filters are one |
//! | filter | `Filtered` | system calls | one execveat of one descriptor |
//!
//! Everything that allocates, formats, locks or can wait is done before the clone ([`Plan`], once a service, and
//! [`launch`], once a sandbox). The child only makes system calls; it reports a failure as two numbers and exits.

pub(crate) mod base;
pub(crate) mod binds;
pub(crate) mod capabilities;
pub(crate) mod child;
pub(crate) mod credentials;
pub(crate) mod devices;
pub(crate) mod exec;
pub(crate) mod filters;
pub(crate) mod identity;
mod idmap;
pub(crate) mod image;
mod init;
pub(crate) mod landlock;
pub(crate) mod limits;
pub(crate) mod namespaces;
pub(crate) mod park;
pub(crate) mod profile;
pub(crate) mod rootfs;
pub(crate) mod snapshots;
pub(crate) mod stack;
pub(crate) mod step;
mod subvolume;
mod supervisor_link;
pub(crate) mod wire;

use crate::cgroup::leaves::Delegated;
use identity::Identity;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use park::Park;
use snapshots::{Snapshot, Snapshots};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use step::{AtStep, Failure, Step};
use sys::{self, CStrings, Errno};

/// The whole policy of a service, made once. Immutable; holds no descriptor that a handler could ever see.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) namespaces: namespaces::Plan,
    pub(crate) rootfs: rootfs::Plan,
    pub(crate) identity: identity::Plan,
    pub(crate) ids: IdSource,
    pub(crate) limits: Vec<limits::Limit>,
    /// Paths of what is handed beside the connection, for messages.
    pub(crate) handed: Vec<CString>,
    pub(crate) landlock: landlock::Plan,
    pub(crate) seccomp: filters::Plan,
    /// A stub is PID 1 and the handler PID 2.
    pub(crate) init: bool,
    /// The kernel has session keyrings.
    pub(crate) keyring: bool,
    /// The kernel has memory-deny-write-execute (Linux 6.3).
    pub(crate) mdwe: bool,
    /// False rootless, where the supervisor could not fetch the listener from a process that is not dumpable.
    pub(crate) dumpable_off_early: bool,
    pub(crate) start: child::Start,
    pub(crate) argv: CStrings,
}

/// Where a sandbox's uid and gid come from. pids are unique among live processes, so base plus a pid needs no lock and no
/// file, however many launchers there are in a pid namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdSource {
    /// Known before the clone: `run`, base plus its own pid; rootless, the one id of its user namespace.
    Fixed(Identity),
    /// `serve`: base plus the pid of the sandbox's first process.
    BasePlusPid(u32),
}

/// What one sandbox is given, ready for the child.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) link: supervisor_link::SupervisorLink<'a>,
    pub(crate) input: BorrowedFd<'a>,
    pub(crate) output: BorrowedFd<'a>,
    pub(crate) stderr: BorrowedFd<'a>,
    /// For the numbers from [`exec::HANDED_FD`] up; each above [`exec::EXEC_FD`].
    pub(crate) handed: &'a [OwnedFd],
    pub(crate) environment: &'a CStrings,
    pub(crate) ruleset: BorrowedFd<'a>,
    pub(crate) canary: BorrowedFd<'a>,
    pub(crate) park: Park,
    /// The snapshot to make, by its name among its launcher's.
    pub(crate) snapshot: Option<&'a CStr>,
    /// Where the init stub says how the handler ended.
    pub(crate) status: Option<BorrowedFd<'a>>,
}

/// What the supervisor lends to each launch: descriptors it opened once.
#[derive(Debug)]
pub(crate) struct Workshop {
    /// The supervisor's own pidfd: readable once it is dead.
    pub(crate) supervisor: OwnedFd,
    /// The directory of the canary file.
    pub(crate) canary: OwnedFd,
    /// /dev/null, which each sandbox without a connection opens anew.
    null: OwnedFd,
    /// `serve`, where one was delegated and a service wants it.
    pub(crate) groups: Option<Rc<Delegated>>,
}

impl Workshop {
    /// After the supervisor has left the host's namespaces; rootless, in its own user and mount namespace.
    pub(crate) fn open(groups: Option<Rc<Delegated>>) -> Result<Workshop, Failure> {
        let supervisor = sys::process::pidfd_open(std::process::id()).step(Step::SupervisorAlive)?;
        let null = sys::mount::openat2(sys::cwd(), c"/dev/null", libc::O_RDWR, 0).step(Step::Stdio)?;
        Ok(Workshop { supervisor, canary: landlock::make_canary().step(Step::Canary)?, null, groups })
    }

    /// Descriptors 0 and 1 of a sandbox without a connection. Never the same open file for two: its flags (F_SETFL) are
    /// the file's, and what one has set there the next would find.
    pub(crate) fn placeholder(&self) -> Result<OwnedFd, Failure> {
        let path = format!("/proc/self/fd/{}", self.null.as_raw_fd());
        nix::fcntl::open(path.as_str(), OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()).step(Step::Stdio)
    }
}

/// A sandbox from the outside: descriptors to watch, and who it is.
#[derive(Debug)]
pub(crate) struct Sandbox {
    pub(crate) pid: u32,
    pub(crate) pidfd: OwnedFd,
    pub(crate) identity: Identity,
    /// Reports come from it; its end says that exec has succeeded or the child is dead.
    pub(crate) channel: OwnedFd,
    /// The handler's stderr.
    pub(crate) stderr: OwnedFd,
    /// With an init stub: the handler's wait status, before the stub exits.
    pub(crate) status: Option<OwnedFd>,
    /// Goes with it.
    _snapshot: Option<Snapshot>,
}

/// Builds a sandbox around a connection, up to the clone; the child goes on by itself and reports on the channel. With
/// `park`, the two descriptors stand in for a connection that is not there yet. `group` is the cgroup it is born in.
pub(crate) fn launch(
    plan: &Plan,
    workshop: &Workshop,
    group: Option<BorrowedFd<'_>>,
    (input, output): (BorrowedFd<'_>, BorrowedFd<'_>),
    handed: &[OwnedFd],
    environment: &CStrings,
    park: Park,
) -> Result<Sandbox, Failure> {
    let (channel, child_channel) = sys::socket::message_pair().step(Step::Channel)?;
    let (stderr, child_stderr) = pipe().step(Step::StderrPipe)?;
    sys::set_nonblocking(stderr.as_fd()).step(Step::StderrPipe)?;
    let status = if plan.init { Some(pipe().step(Step::Channel)?) } else { None };
    let ruleset = plan.landlock.ruleset().map_err(|error| ruleset_errno(&error)).step(Step::Ruleset)?;
    let snapshot = plan.rootfs.snapshots.as_ref().map(Snapshots::next);
    let context = Context {
        plan,
        link: supervisor_link::SupervisorLink {
            pidfd: workshop.supervisor.as_fd(),
            channel: child_channel.as_fd(),
        },
        input,
        output,
        stderr: child_stderr.as_fd(),
        handed,
        environment,
        ruleset: ruleset.as_fd(),
        canary: workshop.canary.as_fd(),
        park,
        snapshot: snapshot.as_ref().map(|snapshot| snapshot.name.as_c_str()),
        status: status.as_ref().map(|(_, write)| write.as_fd()),
    };
    let child = sys::process::spawn(namespaces::AT_CLONE, group, child::main, &context).step(Step::Clone)?;
    let sandbox = Sandbox {
        identity: plan.ids.identity(child.pid),
        pid: child.pid,
        pidfd: child.pidfd,
        channel,
        stderr,
        status: status.map(|(read, _)| read),
        _snapshot: snapshot,
    };
    match release(plan, workshop, &sandbox) {
        Ok(()) => Ok(sandbox),
        Err(failure) => {
            sandbox.destroy();
            Err(failure)
        }
    }
}

/// Tells the child who it is; for an idmapped snapshot and for writable binds, with the maps. While it mounts, the network
/// namespace is made that it joins then.
fn release(plan: &Plan, workshop: &Workshop, sandbox: &Sandbox) -> Result<(), Failure> {
    let (rootfs, identity) = (&plan.rootfs, sandbox.identity);
    let supervisor = workshop.supervisor.as_fd();
    let userns = if rootfs.is_idmapped() {
        let map = idmap::Map::All { owner: rootfs.owner, sandbox: identity };
        Some(idmap::user_namespace(map, supervisor).step(Step::IdMap)?)
    } else {
        None
    };
    let message = wire::encode_identity(identity);
    let channel = sandbox.channel.as_fd();
    sys::socket::send_with_fd(channel, &message, userns.as_ref().map(AsFd::as_fd)).step(Step::Release)?;
    if !rootfs.in_user_namespace {
        send_maps(rootfs, identity, supervisor, channel)?;
    }
    if plan.namespaces.network == namespaces::Network::Joined {
        let number = namespaces::leave_network().step(Step::Network)?;
        sys::write(channel, &number.to_ne_bytes()).step(Step::Release)?;
    }
    Ok(())
}

/// A map for each writable bind, in their order.
fn send_maps(
    rootfs: &rootfs::Plan,
    identity: Identity,
    supervisor: BorrowedFd<'_>,
    channel: BorrowedFd<'_>,
) -> Result<(), Failure> {
    for (index, bind) in rootfs.writable.iter().enumerate() {
        let map = idmap::Map::Only { owner: bind.owner, sandbox: identity };
        let operand = rootfs.binds.len() + index;
        let userns = idmap::user_namespace(map, supervisor).step_on(Step::BindMap, operand)?;
        sys::socket::send_with_fd(channel, &wire::GO_ON, Some(userns.as_fd())).step(Step::Release)?;
    }
    Ok(())
}

impl Sandbox {
    /// Kills the sandbox whole: its first process is PID 1 of the pid namespace.
    pub(crate) fn kill(&self) -> Result<(), Errno> {
        sys::process::kill_child(self.pidfd.as_fd(), self.pid)
    }

    /// Kills and reaps a sandbox that was never handed out. Nothing is left to report to, so a failed kill is left to
    /// the child, which gives up when its channel ends.
    pub(crate) fn destroy(&self) {
        if self.kill().is_ok() {
            sys::process::wait_for_end(self.pidfd.as_fd());
        }
    }
}

impl IdSource {
    fn identity(self, pid: u32) -> Identity {
        match self {
            IdSource::Fixed(identity) => identity,
            IdSource::BasePlusPid(base) => Identity { uid: base + pid, gid: base + pid },
        }
    }
}

fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    nix::unistd::pipe2(OFlag::O_CLOEXEC)
}

/// The errno behind the landlock crate's error.
fn ruleset_errno(error: &::landlock::RulesetError) -> Errno {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        let number = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
        if let Some(number) = number {
            return Errno::from_raw(number);
        }
        cause = error.source();
    }
    Errno::EINVAL
}

impl Plan {
    /// What a failed step was about, for the message.
    pub(crate) fn operand(&self, failure: &Failure) -> Option<String> {
        let index = usize::from(failure.operand);
        let text = |path: &CString| Some(path.to_string_lossy().into_owned());
        let rootfs = &self.rootfs;
        match failure.step {
            Step::Template
            | Step::TemplateChanged
            | Step::Overlay
            | Step::Layers
            | Step::Snapshots
            | Step::Snapshot => text(&rootfs.template.path),
            Step::HandlerFile | Step::HandlerChanged | Step::Exec => text(&rootfs.handler),
            Step::BindSource | Step::BindChanged | Step::BindMap => text(rootfs.bind(index)?.0),
            Step::Bind => text(rootfs.bind(index)?.1),
            Step::Tmpfs => text(&rootfs.tmpfs.get(index)?.target),
            Step::Credentials => {
                let credential = rootfs.credentials.as_ref()?.list.get(index);
                credential.and_then(|credential| text(&credential.name))
            }
            Step::MountPoint => rootfs.mount_point(index),
            Step::Directory => text(self.start.directory.as_ref()?),
            Step::Open | Step::Handed => text(self.handed.get(index)?),
            Step::Bounding => Some(index.to_string()),
            Step::Limit => Some(self.limits.get(index)?.name.to_owned()),
            Step::LandlockRule => self
                .landlock
                .rules()
                .get(index)
                .map_or_else(|| text(&rootfs.handler), |rule| text(&rule.path)),
            Step::VerifyDescriptors => Some(format!("(descriptor {index})")),
            _ => None,
        }
    }
}
