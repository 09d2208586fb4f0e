//! Checks of the host: kernel, Landlock, privileges, sysctls, cgroups, ids.

use super::{Finding, Level, finding};
use crate::cgroup;
use crate::config::options::SnapshotKind;
use crate::config::service::{Purpose, Service};
use crate::kernel::{self, Kernel};
use crate::privilege::{self, IdMap, Privilege, Wants};
use nix::sys::resource::{Resource, getrlimit};
use sandbox::IdSource;
use sandbox::plan::landlock::ABI_CRATE;
use std::fs;

/// Kernel and privileges, whatever the service.
pub(super) fn findings(kernel: &Kernel, snapshot: Option<SnapshotKind>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lacks = kernel.lacks();
    if lacks.is_empty() {
        let abi = kernel.landlock.unwrap_or(0);
        let text = format!("Linux {}: Landlock ABI {abi}, seccomp user notification", kernel.release);
        findings.push(finding(Level::Ok, "kernel", text));
    }
    findings.extend(lacks.into_iter().map(|lack| finding(Level::Fail, "kernel", format!("it lacks {lack}"))));
    findings.extend(kernel.missing_walls().into_iter().map(|missing| {
        let text = format!("it lacks {}; {} (--strict refuses this)", missing.wall, missing.instead);
        finding(Level::Note, "kernel", text).allowed_by(format!("--allow-degraded {}", missing.layer))
    }));
    findings.extend(landlock(kernel));
    findings.extend(privileges(snapshot));
    findings.extend(own_filters());
    findings.extend(descriptors());
    findings
}

fn landlock(kernel: &Kernel) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Ok(abi) = kernel.landlock else { return findings };
    if abi > ABI_CRATE {
        let text = format!("the kernel has ABI {abi}, this dayfly uses {ABI_CRATE} of it");
        findings.push(finding(Level::Note, "landlock", text));
    }
    match sys::landlock::errata() {
        // linux/landlock.h: 1 TCP socket identification, 2 scoped signal handling, 3 disconnected
        // directories.
        Ok(errata) => {
            let bits = (1..=u32::BITS).filter(|bit| errata >> (bit - 1) & 1 == 1);
            let mended = bits.map(|bit| bit.to_string()).collect::<Vec<_>>().join(" ");
            let mended = if mended.is_empty() { "none".to_owned() } else { mended };
            findings.push(finding(
                Level::Ok,
                "landlock",
                format!("errata that the kernel has fixed: {mended}"),
            ));
        }
        Err(_) => {
            let text =
                "the kernel does not list the errata that it has fixed (Linux 6.15 and stable kernels do)";
            findings.push(finding(Level::Note, "landlock", text));
        }
    }
    findings
}

fn privileges(snapshot: Option<SnapshotKind>) -> Vec<Finding> {
    let mut findings = Vec::new();
    match Privilege::of_this_process() {
        Privilege::Root => {
            let overlay = snapshot == Some(SnapshotKind::Overlay);
            let missing = Wants { overlay, ..Wants::default() }.missing();
            if missing.is_empty() {
                findings.push(finding(Level::Ok, "privileges", "all capabilities that a launch needs"));
            }
            let lack = |missing| finding(Level::Fail, "privileges", format!("the launcher lacks {missing}"));
            findings.extend(missing.into_iter().map(lack));
        }
        Privilege::Rootless => {
            let ordinary = "without root, sandboxes have no separate uids, and they keep your groups";
            let text = IdMap::of_this_process().why_no_ids().unwrap_or_else(|| ordinary.to_owned());
            let option = "--allow-degraded uid,groups";
            findings.push(finding(Level::Note, "privileges", text).allowed_by(option));
            let why = kernel::why_no_user_namespace().into_iter();
            findings.extend(why.map(|why| finding(Level::Fail, "user namespace", why)));
        }
    }
    findings
}

/// A unit's filters are the launcher's and the handler's as well.
/// The hard limit: a launch raises the other one.
fn descriptors() -> Option<Finding> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    let text = format!(
        "at most {hard} descriptors are allowed, a launch takes at least {}: raise the hard limit (ulimit -Hn, \
         LimitNOFILE= of the unit)",
        privilege::DESCRIPTORS_MIN
    );
    (hard < privilege::DESCRIPTORS_MIN).then(|| finding(Level::Fail, "descriptors", text))
}

fn own_filters() -> Option<Finding> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let count = status.lines().find_map(|line| line.strip_prefix("Seccomp_filters:"))?.trim();
    let text = format!(
        "the launcher has {count} seccomp filters already; handlers inherit them, and one with a listener makes \
         --park entry impossible"
    );
    (count != "0").then(|| finding(Level::Note, "filters", text))
}

/// Requirements of this service.
pub(super) fn of_service(service: &Service, purpose: Purpose) -> Vec<Finding> {
    let mut findings = Vec::new();
    let rootfs = &service.plan.rootfs;
    if rootfs.is_idmapped() && kernel::sysctl("user/max_user_namespaces") == Some(0) {
        let text = "user.max_user_namespaces is 0, but the snapshot's id map needs one";
        findings.push(finding(Level::Fail, "sysctl", text).allowed_by("--snapshot readonly"));
    }
    if service.net == crate::config::options::Net::Private
        && kernel::sysctl("user/max_net_namespaces") == Some(0)
    {
        let text = "user.max_net_namespaces is 0, but each sandbox needs one";
        findings.push(finding(Level::Fail, "sysctl", text).allowed_by("--net shared"));
    }
    findings.push(cgroup(purpose));
    findings.extend(ids(service.plan.ids));
    findings
}

/// Limits that are missing without a cgroup.
const ONLY_RLIMITS: &str =
    "only rlimits limit a sandbox: --memory applies to each of its processes, not to all together";

fn cgroup(purpose: Purpose) -> Finding {
    let what = "cgroup";
    match (purpose, cgroup::own_group_is_delegated()) {
        (_, None) => finding(Level::Note, what, format!("there is no cgroup v2 group here: {ONLY_RLIMITS}")),
        (Purpose::Run, Some(_)) => match cgroup::own_limits() {
            Ok(()) => finding(Level::Ok, what, "the launcher's own cgroup limits memory and tasks"),
            Err(lacks) => finding(
                Level::Note,
                what,
                format!("{lacks}: {ONLY_RLIMITS} (--cgroup required refuses this)"),
            ),
        },
        (Purpose::Serve, Some((group, true))) => {
            finding(Level::Ok, what, format!("{} is delegated", group.display()))
        }
        (Purpose::Serve, Some((group, false))) => {
            let text = format!("{} is not delegated (Delegate=yes): {ONLY_RLIMITS}", group.display());
            finding(Level::Note, what, text)
        }
    }
}

/// Ids that somebody else gives away too.
fn ids(source: IdSource) -> Vec<Finding> {
    let IdSource::ByPid(ids) = source else { return Vec::new() };
    let base = u64::from(ids.base());
    let end = base + u64::from(ids.size());
    let mut findings = Vec::new();
    for file in ["/etc/subuid", "/etc/subgid"] {
        let text = fs::read_to_string(file).unwrap_or_default();
        for line in text.lines().filter(|line| overlaps(line, base, end)) {
            let text = format!("{file} assigns ids of --user-range: {line}");
            findings.push(finding(Level::Note, "ids", text).allowed_by("--user-range"));
        }
    }
    findings
}

/// `name:first:count`, as in subuid(5).
fn overlaps(line: &str, base: u64, end: u64) -> bool {
    let mut fields = line.split(':').skip(1).map(str::parse::<u64>);
    match (fields.next(), fields.next()) {
        (Some(Ok(first)), Some(Ok(count))) => first < end && first.saturating_add(count) > base,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_touch_do_not_overlap() {
        assert!(overlaps("u:100:10", 109, 200));
        assert!(!overlaps("u:100:10", 110, 200));
        assert!(!overlaps("u:200:10", 110, 200));
        assert!(!overlaps("what is this", 0, 200));
    }
}
