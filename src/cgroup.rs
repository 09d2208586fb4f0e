//! The cgroup the launcher is in: for `run` under systemd the unit instance's, one a connection.

use crate::sys::mount;
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Whether the own cgroup v2 group limits memory and tasks; else what it lacks.
pub(crate) fn own_limits() -> Result<(), String> {
    let group = own_group().ok_or("there is no cgroup v2 group to limit it")?;
    for file in ["memory.max", "pids.max"] {
        let value = fs::read_to_string(group.join(file)).unwrap_or_default();
        if value.is_empty() || value.trim() == "max" {
            return Err(format!("{} has no {file}", group.display()));
        }
    }
    Ok(())
}

/// The own group, and whether systemd has delegated it (`Delegate=yes`): that mkdir(2) works there proves nothing.
pub(crate) fn own_group_is_delegated() -> Option<(PathBuf, bool)> {
    let group = own_group()?;
    let path = CString::new(group.as_os_str().as_bytes()).ok()?;
    let delegated =
        mount::has_attribute(&path, c"user.delegate") || mount::has_attribute(&path, c"trusted.delegate");
    Some((group, delegated))
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
