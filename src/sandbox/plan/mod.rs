//! The plan of a service's sandboxes: data, made once, before the first clone.

pub mod credentials;
pub mod filters;
pub mod identity;
pub mod ids;
pub mod landlock;
pub mod limits;
pub mod namespaces;
pub mod park;
pub mod profile;
pub mod rootfs;
pub mod zygote;

use crate::child::operand::Operand;
use crate::child::step::{Failure, Step};
use identity::Identity;
use ids::UserIds;
use std::ffi::{CStr, CString};
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
    pub passed_fds: Vec<CString>,
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

/// Where a sandbox's uid and gid come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdSource {
    /// Known before the clone: `run`, by its own pid; rootless, the one id of its user namespace.
    Fixed(Identity),
    /// `serve`: by the pid of the sandbox's first process.
    ByPid(UserIds),
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
            IdSource::ByPid(ids) => {
                let own = ids.of(pid);
                Identity { uid: own, gid: own }
            }
        }
    }
}

impl Plan {
    /// The operand of a failed step, for the message.
    pub fn operand(&self, failure: &Failure) -> Option<String> {
        let text = |path: &CStr| Some(path.to_string_lossy().into_owned());
        let path = |path: &CString| text(path.as_c_str());
        let rootfs = &self.rootfs;
        match failure.operand {
            Operand::None => match failure.step {
                Step::Template
                | Step::TemplateChanged
                | Step::Overlay
                | Step::Layers
                | Step::Snapshots
                | Step::Snapshot => path(&rootfs.template.path),
                Step::HandlerFile | Step::HandlerChanged | Step::Exec => path(&rootfs.handler),
                Step::Directory => path(self.start.directory.as_ref()?),
                _ => None,
            },
            Operand::Mount(mount) => match (failure.step, rootfs.source(mount)) {
                (Step::BindSource | Step::BindChanged | Step::BindMap, Some(source)) => path(&source.path),
                // Their phrases name the place.
                (Step::Proc | Step::Dev, _) => None,
                (_, _) => text(rootfs.target(mount)),
            },
            Operand::Credential(number) => {
                let credential = rootfs.credentials.as_ref()?.list.get(usize::from(number))?;
                path(&credential.name)
            }
            Operand::Passed(number) => path(self.passed_fds.get(usize::from(number))?),
            Operand::Limit(number) => Some(self.limits.get(usize::from(number))?.name.to_owned()),
            Operand::Rule(number) => match self.landlock.rules().get(usize::from(number)) {
                Some(rule) => path(&rule.path),
                None => path(&rootfs.handler),
            },
            Operand::Capability(number) => Some(number.to_string()),
            Operand::Descriptor(number) => Some(format!("(descriptor {number})")),
        }
    }
}
