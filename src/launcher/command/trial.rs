//! One sandbox of a service for a trial, as `check` makes it.

use super::{Prepared, loop_failed, prepare};
use crate::config::options::{CgroupMode, Options, SnapshotKind};
use crate::config::service::{Purpose, Service};
use crate::config::{ConfigError, Settings};
use crate::supervisor::{self, Supervisor};
use sandbox::Sandbox;
use sandbox::launch::snapshots::SHELF;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use sys::{Errno, Ignoring};

/// Builds one sandbox of a service as `run` or `serve` would, executes no instruction of its handler, and
/// takes it down. This process has left the host's namespaces after it.
pub(crate) fn try_out(
    mut settings: Settings,
    purpose: Purpose,
    look: impl FnOnce(&Service, &Sandbox),
) -> Result<(), ConfigError> {
    // A group of its own would stay beside those of the supervisor that they belong to.
    settings.options.cgroup = Some(CgroupMode::None);
    let shelf = absent_shelf(&settings.options);
    let Prepared { mut services, workshop, base, groups: _ } = prepare(vec![settings], purpose)?;
    let failed = |errno| ConfigError::sandbox(loop_failed(errno));
    let Some(service) = services.pop().map(Rc::new) else { return Err(failed(Errno::ENOENT)) };
    let tried = supervisor::signal_descriptor()
        .and_then(|signals| Supervisor::of_one(&service, &workshop, signals))
        .map_err(failed)?
        .try_out(|sandbox| look(&service, sandbox));
    // In this order: snapshots go with the service.
    drop((service, base));
    if let Some(above) = shelf {
        sys::mount::rmdirat(above.as_fd(), SHELF).ignoring("another launcher has come to use it");
    }
    tried.map_err(|refusal| ConfigError::sandbox(refusal.message))
}

/// Where the template's snapshots go, if there is no shelf for them yet: the directory above.
fn absent_shelf(options: &Options) -> Option<OwnedFd> {
    let template = options.template.as_ref().filter(|_| options.snapshot == Some(SnapshotKind::Btrfs))?;
    let above = File::open(template.join("..")).ok()?;
    let is_absent = sys::mount::identify(above.as_fd(), SHELF) == Err(Errno::ENOENT);
    is_absent.then(|| above.into())
}
