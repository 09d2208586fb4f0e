//! Lines of the service's installed unit that break a launcher. Drop-ins are not checked.

use super::{Finding, Level, finding};
use crate::config::service::Service;
use crate::privilege::Wants;
use std::fs;

const DIRECTORIES: [&str; 3] = ["/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system"];

/// The units that run a service of this name.
pub(super) fn of_service(service: &Service) -> Vec<Finding> {
    let rootfs = &service.plan.rootfs;
    let wants = Wants {
        overlay: rootfs.snapshot.is_overlay(),
        credentials: rootfs.credentials.is_some(),
        opened: service.passed_fds.items().next().is_some(),
        owner: rootfs.owner.uid != 0,
        devices: rootfs.dev,
    };
    let needed = wants.names();
    let mut findings = Vec::new();
    for suffix in [".service", "@.service", "-inetd@.service"] {
        let unit = format!("{}{suffix}", service.name);
        // The first directory that has it wins, as for systemd.
        let found =
            DIRECTORIES.iter().find_map(|directory| fs::read_to_string(format!("{directory}/{unit}")).ok());
        let flaws = found.map(|text| flaws(&text, &needed, rootfs.dev)).unwrap_or_default();
        findings
            .extend(flaws.into_iter().map(|flaw| finding(Level::Note, "unit", format!("{unit}: {flaw}"))));
    }
    findings
}

/// Pure: what a unit's text has against a launcher that needs these capabilities, and devices.
fn flaws(text: &str, needed: &[String], devices: bool) -> Vec<String> {
    let settings: Vec<(&str, &str)> = text
        .lines()
        .filter(|line| !line.starts_with(['#', ';', '[']))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim(), value.trim()))
        .collect();
    let is_on = |key: &str| {
        let last = settings.iter().rfind(|(known, _)| *known == key).map_or("no", |(_, value)| value);
        !matches!(last, "" | "no" | "false" | "0" | "off")
    };
    let switches = [
        ("RestrictNamespaces", true, "it refuses clone3(2), which starts every sandbox"),
        ("ProtectHostname", true, "it prevents setting the sandbox's host name"),
        ("PrivateUsers", true, "it denies setgroups(2) in its user namespace"),
        ("PrivateDevices", devices, "it removes CAP_MKNOD, which /dev needs"),
    ];
    let mut flaws = Vec::new();
    for (key, matters, why) in switches {
        if matters && is_on(key) {
            flaws.push(format!("{key}= is on: {why}"));
        }
    }
    let values =
        |key: &'static str| settings.iter().filter(move |(known, _)| *known == key).map(|(_, value)| *value);
    flaws.extend(capabilities(&values("CapabilityBoundingSet").collect::<Vec<_>>(), needed));
    flaws.extend(calls(&values("SystemCallFilter").collect::<Vec<_>>()));
    flaws
}

fn capabilities(values: &[&str], needed: &[String]) -> Option<String> {
    let words = |value: &&str| {
        value.trim_start_matches('~').split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let (denied, given): (Vec<&str>, Vec<&str>) = values.iter().partition(|value| value.starts_with('~'));
    let given: Vec<String> = given.iter().flat_map(words).collect();
    let denied: Vec<String> = denied.iter().flat_map(words).collect();
    let is_missing = |name: &&String| denied.contains(name) || !given.is_empty() && !given.contains(name);
    let missing: Vec<_> = needed.iter().filter(is_missing).map(String::as_str).collect();
    (!missing.is_empty()).then(|| format!("CapabilityBoundingSet= lacks {}", missing.join(" ")))
}

/// An allow-list must have what no group of older systemds has (`@sandbox` came after 252).
fn calls(values: &[&str]) -> Option<String> {
    let allowed: Vec<&str> = values
        .iter()
        .filter(|value| !value.starts_with('~'))
        .flat_map(|value| value.split_whitespace())
        .collect();
    let wanted = ["landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "seccomp"];
    let missing: Vec<_> = wanted.into_iter().filter(|call| !allowed.contains(call)).collect();
    let flawed = !allowed.is_empty() && !missing.is_empty() && !allowed.contains(&"@sandbox");
    flawed.then(|| format!("SystemCallFilter= lacks {}", missing.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<String> {
        flaws(text, &Wants::default().names(), false)
    }

    #[test]
    fn the_shipped_units_have_no_flaw() {
        for text in [
            include_str!("../../../units/gopher.service"),
            include_str!("../../../units/gopher-inetd@.service"),
        ] {
            assert_eq!(of(text), [""; 0]);
        }
    }

    #[test]
    fn what_breaks_a_launcher_is_named() {
        for (line, flaw) in [
            ("RestrictNamespaces=yes", "clone3"),
            ("RestrictNamespaces=~user", "clone3"),
            ("ProtectHostname=yes", "host name"),
            ("PrivateUsers=yes", "setgroups"),
            (
                "CapabilityBoundingSet=CAP_SYS_ADMIN CAP_SETUID CAP_SETGID CAP_SETPCAP CAP_SYS_PTRACE",
                "lacks CAP_KILL",
            ),
            ("CapabilityBoundingSet=~CAP_KILL CAP_SYSLOG", "lacks CAP_KILL"),
            ("SystemCallFilter=@system-service @mount", "lacks landlock_create_ruleset"),
        ] {
            let flaws = of(&format!("[Service]\n# {line}\n{line}\n"));
            assert!(flaws.len() == 1 && flaws[0].contains(flaw), "{line}: {flaws:?}");
        }
        assert_eq!(of("RestrictNamespaces=yes\nRestrictNamespaces=no\nSystemCallFilter=~@clock\n"), [""; 0]);
        assert!(flaws("PrivateDevices=yes", &[], true)[0].contains("CAP_MKNOD"));
    }
}
