//! The supervisor's side: it builds a sandbox up to the clone, releases its first process, and can kill it.

pub mod base;
pub mod denied;
pub mod image;
pub mod mounting;
pub mod namespaces;
pub mod park;
pub mod snapshots;
pub mod stack;
pub mod zygote;

mod canary;
mod idmap;

use crate::child::operand::{Mount, Operand, place};
use crate::child::step::{AtStep, Failure, Step};
use crate::child::{self, Context, supervisor_link, wire};
use crate::plan::identity::Identity;
use crate::plan::namespaces::{AT_CLONE, Network};
use crate::plan::park::Park;
use crate::plan::{Plan, rootfs};
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, fchmod};
use snapshots::{Snapshot, Snapshots};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use sys::{self, CStrings, Errno};

/// Descriptors that the supervisor opens once and shares with each launch.
#[derive(Debug)]
pub struct Workshop {
    /// The supervisor's own pidfd: readable once it is dead.
    pub supervisor: OwnedFd,
    /// The directory of the canary file.
    pub canary: OwnedFd,
    /// /dev/null, which each sandbox without a connection opens anew.
    null: OwnedFd,
}

impl Workshop {
    /// Opens the workshop, after the supervisor has left the host's namespaces; rootless, in its own user and
    /// mount namespace.
    pub fn open() -> Result<Workshop, Failure> {
        let supervisor = sys::process::pidfd_open(std::process::id()).step(Step::SupervisorAlive)?;
        let null = sys::mount::openat2(sys::cwd(), c"/dev/null", libc::O_RDWR, 0).step(Step::Stdio)?;
        Ok(Workshop { supervisor, canary: canary::make_canary().step(Step::Canary)?, null })
    }

    /// Descriptors 0 and 1 of a sandbox without a connection. Never the same open file for two: its flags
    /// (F_SETFL) are the file's, and what one has set there the next would find.
    pub fn placeholder(&self) -> Result<OwnedFd, Failure> {
        let path = format!("/proc/self/fd/{}", self.null.as_raw_fd());
        nix::fcntl::open(path.as_str(), OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()).step(Step::Stdio)
    }
}

/// A sandbox from the outside: descriptors to watch, and who it is.
#[derive(Debug)]
pub struct Sandbox {
    pub pid: u32,
    pub pidfd: OwnedFd,
    pub identity: Identity,
    /// Reports come from it; its end says that exec has succeeded or the child is dead. None of a zygote's.
    pub channel: Option<OwnedFd>,
    /// The handler's stderr.
    pub stderr: OwnedFd,
    /// Pipe on which an init stub writes the handler's wait status before it exits.
    pub status: Option<OwnedFd>,
    /// Destroyed with the sandbox.
    _snapshot: Option<Snapshot>,
}

/// Builds a sandbox around a connection, up to the clone; the child goes on by itself and reports on the
/// channel. With `park`, the two descriptors stand in for a connection that is not there yet. `group` is the
/// cgroup it is born in.
pub fn launch(
    plan: &Plan,
    workshop: &Workshop,
    group: Option<BorrowedFd<'_>>,
    (input, output): (BorrowedFd<'_>, BorrowedFd<'_>),
    passed_fds: &[OwnedFd],
    environment: &CStrings,
    park: Park,
) -> Result<Sandbox, Failure> {
    let ends = Ends::new(plan)?;
    let snapshot = plan.rootfs.snapshots.as_ref().map(Snapshots::next);
    let context = Context {
        plan,
        link: supervisor_link::SupervisorLink {
            pidfd: workshop.supervisor.as_fd(),
            channel: ends.child_channel.as_fd(),
        },
        input,
        output,
        stderr: ends.child_stderr.as_fd(),
        passed_fds,
        environment,
        ruleset: ends.ruleset.as_fd(),
        canary: workshop.canary.as_fd(),
        park,
        snapshot: snapshot.as_ref().map(|snapshot| snapshot.name.as_c_str()),
        status: ends.child_status.as_ref().map(AsFd::as_fd),
    };
    let child = sys::process::spawn(AT_CLONE, group, child::main, &context).step(Step::Clone)?;
    let Ends { channel, stderr, status, .. } = ends;
    let sandbox = Sandbox {
        identity: plan.ids.identity(child.pid),
        pid: child.pid,
        pidfd: child.pidfd,
        channel: None,
        stderr,
        status,
        _snapshot: snapshot,
    };
    sandbox.released(plan, workshop, channel)
}

/// The descriptors that the supervisor and a sandbox's first process share, and the ruleset that this adds its rules to.
#[derive(Debug)]
struct Ends {
    channel: OwnedFd,
    child_channel: OwnedFd,
    stderr: OwnedFd,
    child_stderr: OwnedFd,
    status: Option<OwnedFd>,
    child_status: Option<OwnedFd>,
    ruleset: OwnedFd,
}

impl Ends {
    fn new(plan: &Plan) -> Result<Ends, Failure> {
        let (channel, child_channel) = sys::socket::message_pair().step(Step::Channel)?;
        let (stderr, child_stderr) = pipe().step(Step::StderrPipe)?;
        sys::set_nonblocking(stderr.as_fd()).step(Step::StderrPipe)?;
        if plan.rootfs.dev {
            let_stderr_be_opened(child_stderr.as_fd()).step(Step::StderrPipe)?;
        }
        let (status, child_status) = if plan.init { Some(pipe().step(Step::Channel)?) } else { None }.unzip();
        let ruleset = plan.landlock.ruleset().map_err(|error| ruleset_errno(&error)).step(Step::Ruleset)?;
        Ok(Ends { channel, child_channel, stderr, child_stderr, status, child_status, ruleset })
    }
}

/// Tells the child who it is; for an idmapped snapshot and for writable binds, with the maps. While it
/// mounts, the network namespace is made that it joins then.
fn release(
    plan: &Plan,
    workshop: &Workshop,
    sandbox: &Sandbox,
    channel: BorrowedFd<'_>,
) -> Result<(), Failure> {
    let (rootfs, identity) = (&plan.rootfs, sandbox.identity);
    let supervisor = workshop.supervisor.as_fd();
    let userns = if rootfs.is_idmapped() {
        let map = idmap::Map::All { owner: rootfs.owner, sandbox: identity };
        Some(idmap::user_namespace(map, supervisor).step(Step::IdMap)?)
    } else {
        None
    };
    let message = wire::encode_identity(identity);
    sys::socket::send_with_fd(channel, &message, userns.as_ref().map(AsFd::as_fd)).step(Step::Release)?;
    if !rootfs.in_user_namespace {
        send_maps(rootfs, identity, supervisor, channel)?;
    }
    if plan.namespaces.network == Network::Joined {
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
        let operand = Operand::Mount(Mount::Writable(place(index)));
        let userns = idmap::user_namespace(map, supervisor).step_on(Step::BindMap, operand)?;
        sys::socket::send_with_fd(channel, &wire::GO_ON, Some(userns.as_fd())).step(Step::Release)?;
    }
    Ok(())
}

impl Sandbox {
    /// Lets its first process go on, which waits for that; destroys it where that fails.
    fn released(mut self, plan: &Plan, workshop: &Workshop, channel: OwnedFd) -> Result<Sandbox, Failure> {
        match release(plan, workshop, &self, channel.as_fd()) {
            Ok(()) => {
                self.channel = Some(channel);
                Ok(self)
            }
            Err(failure) => {
                self.destroy();
                Err(failure)
            }
        }
    }

    /// Kills the sandbox whole: its first process is PID 1 of the pid namespace.
    pub fn kill(&self) -> Result<(), Errno> {
        sys::process::kill_child(self.pidfd.as_fd(), self.pid)
    }

    /// Kills and reaps a sandbox that was never handed out. Nothing is left to report to, so a failed kill is
    /// left to the child, which gives up when its channel ends.
    pub fn destroy(&self) {
        if self.kill().is_ok() {
            sys::process::wait_for_end(self.pidfd.as_fd());
        }
    }
}

/// The pipe is root's. Whoever opens /dev/stderr opens it anew, to write, as the sandbox's uid.
fn let_stderr_be_opened(pipe: BorrowedFd<'_>) -> Result<(), Errno> {
    fchmod(pipe, Mode::from_bits_truncate(0o622))
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
