//! The plan of a service's sandboxes: data, made once, before the first clone.

pub mod credentials;
pub mod filters;
pub mod identity;
pub mod landlock;
pub mod limits;
pub mod namespaces;
pub mod park;
pub mod profile;
pub mod rootfs;

use crate::child::step::{Failure, Step};
use identity::Identity;
use std::ffi::CString;
use sys::{CStrings, process};

/// The whole policy of a service, made once. Immutable; holds no descriptor that a handler could ever see.
#[derive(Debug)]
pub struct Plan {
    pub namespaces: namespaces::Plan,
    pub rootfs: rootfs::Plan,
    pub identity: identity::Plan,
    pub ids: IdSource,
    pub limits: Vec<limits::Limit>,
    /// Paths of what is handed beside the connection, for messages.
    pub handed: Vec<CString>,
    pub landlock: landlock::Plan,
    pub seccomp: filters::Plan,
    /// A stub is PID 1 and the handler PID 2.
    pub init: bool,
    /// The kernel has session keyrings.
    pub keyring: bool,
    /// The kernel has memory-deny-write-execute (Linux 6.3).
    pub mdwe: bool,
    /// False without root: the supervisor could not fetch the listener from a non-dumpable process.
    pub dumpable_off_early: bool,
    pub start: Start,
    pub argv: CStrings,
}

/// Where a sandbox's uid and gid come from. pids are unique among live processes, so base plus a pid needs no lock and no
/// file, however many launchers there are in a pid namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdSource {
    /// Known before the clone: `run`, base plus its own pid; rootless, the one id of its user namespace.
    Fixed(Identity),
    /// `serve`: base plus the pid of the sandbox's first process.
    BasePlusPid(u32),
}

/// How the handler's process begins.
#[derive(Debug)]
pub struct Start {
    /// Content for /proc/PID/oom_score_adj.
    pub oom_score: CString,
    /// None: the launcher's own.
    pub cpus: Option<process::CpuSet>,
    /// Where it starts; None: in /.
    pub directory: Option<CString>,
}

impl IdSource {
    pub(crate) fn identity(self, pid: u32) -> Identity {
        match self {
            IdSource::Fixed(identity) => identity,
            IdSource::BasePlusPid(base) => Identity { uid: base + pid, gid: base + pid },
        }
    }
}

impl Plan {
    /// The operand of a failed step, for the message.
    pub fn operand(&self, failure: &Failure) -> Option<String> {
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
