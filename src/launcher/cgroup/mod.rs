//! The cgroup the launcher is in: for `run` under systemd the unit instance's, one a connection; for `serve`,
//! where systemd has delegated it (`Delegate=`), the place for a group of each sandbox ([`leaves`]).

pub(crate) mod leaves;

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use sys::mount;

/// The group that systemd has delegated to this service, if any. systemd marks it with an attribute
/// (systemd.resource-control(5), Delegate=). A successful mkdir(2) would prove nothing, because root may make
/// groups anywhere.
///
/// Looked up once, because group paths are meaningless in the supervisor's own cgroup namespace.
pub(crate) fn delegated() -> Option<&'static Path> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOUND.get_or_init(find_delegated).as_deref()
}

fn find_delegated() -> Option<PathBuf> {
    let own = own_group()?;
    // Under DelegateSubgroup= (systemd 254) the launcher is in a group below the delegated one.
    // A successor begins in its predecessor's group, which may be one step further down.
    let above = own.ancestors().take(2);
    let above = above.chain(leaves::root_of_successor(&own));
    let group = above.into_iter().find(|group| is_delegated(group))?;
    let controllers = fs::read_to_string(group.join("cgroup.controllers")).ok()?;
    let has = |name: &str| controllers.split_whitespace().any(|known| known == name);
    (has("memory") && has("pids")).then(|| group.to_owned())
}

/// Whether a share of CPU time can be limited there.
pub(crate) fn delegates_cpu() -> bool {
    let Some(group) = delegated() else { return false };
    fs::read_to_string(group.join("cgroup.controllers"))
        .is_ok_and(|controllers| controllers.split_whitespace().any(|name| name == "cpu"))
}

fn is_delegated(group: &Path) -> bool {
    let path = CString::new(group.as_os_str().as_bytes());
    path.is_ok_and(|path| mount::has_attribute(&path, c"user.delegate"))
}

/// The own group, and whether it was delegated.
pub(crate) fn own_group_is_delegated() -> Option<(PathBuf, bool)> {
    Some((own_group()?, delegated().is_some()))
}

/// Whether the own cgroup v2 group limits memory and tasks; else what it lacks.
pub(crate) fn own_limits() -> Result<(), String> {
    let group = own_group().ok_or("there is no cgroup v2 group")?;
    for file in ["memory.max", "pids.max"] {
        let value = fs::read_to_string(group.join(file)).unwrap_or_default();
        if value.is_empty() || value.trim() == "max" {
            return Err(format!("{} has no {file}", group.display()));
        }
    }
    Ok(())
}

/// Whether a share of CPU time is set for the own group.
pub(crate) fn own_has_cpu_share() -> bool {
    let value = own_group().and_then(|group| fs::read_to_string(group.join("cpu.max")).ok());
    value.is_some_and(|value| !value.starts_with("max"))
}

/// The directory of the own group: the line `0::PATH` of /proc/self/cgroup below the cgroup2 mount.
fn own_group() -> Option<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mount = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let (_, directory, kind) = (fields.next()?, fields.next()?, fields.next()?);
        (kind == "cgroup2").then_some(directory)
    })?;
    Some(Path::new(mount).join(path.trim_start_matches('/')))
}
