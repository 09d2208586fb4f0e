//! Comments that fit the settings that they stand above: those of the shipped units are about the shipped settings.

use super::adapt::Subject;
use super::text::UnitText;
use crate::listener::Address;

/// Comments of a service unit, once all its settings are made.
pub(super) fn of_service(unit: &mut UnitText, subject: &Subject<'_>) {
    if !subject.has_socket {
        let name = unit.name.replace(".service", ".socket");
        unit.say_first(
            &format!("The resident launcher of {name}: one sandbox"),
            "The resident launcher, which listens itself: one sandbox",
        );
    }
    of_capabilities(unit);
    let has = |unit: &UnitText, key: &str, value: &str| unit.value(key) == Some(value);
    if has(unit, "PrivateNetwork", "no") {
        unit.say_instead(
            "PrivateNetwork",
            "systemd owns the port, and the connection works from any namespace. The launcher itself needs no network.",
            "The launcher binds its addresses itself, in the host's network namespace. Its sandboxes have none of it.",
        );
    }
    if has(unit, "PrivateDevices", "no") {
        unit.say_instead(
            "PrivateDevices",
            "The launcher opens only /dev/null there.",
            "A private /dev would keep the launcher from making or opening devices for its sandboxes.",
        );
    }
    if unit.value("ReadWritePaths").is_some() {
        for what in ["The launcher writes only its statistics:", "The launcher writes no file."] {
            let more = "The paths of ReadWritePaths= are written for sandboxes.";
            unit.say_instead("ProtectSystem", what, &format!("{more} {what}"));
        }
    }
    of_limits(unit, subject);
}

fn of_capabilities(unit: &mut UnitText) {
    let Some(set) = unit.value("CapabilityBoundingSet").map(str::to_owned) else { return };
    let has = |name: &str| set.split_whitespace().any(|word| word == name);
    let key = "CapabilityBoundingSet";
    if has("CAP_CHOWN") && has("CAP_FOWNER") {
        unit.say_instead(
            key,
            "A service with snapshot = \"overlay\" also needs CAP_DAC_OVERRIDE CAP_CHOWN CAP_FOWNER.",
            "DAC_OVERRIDE, CHOWN and FOWNER copy the template's files up into a writable snapshot.",
        );
    }
    let port = "NET_BIND_SERVICE is not needed, because systemd binds the port.";
    if has("CAP_NET_BIND_SERVICE") {
        unit.say_instead(key, port, "NET_BIND_SERVICE binds ports below 1024.");
    }
    if has("CAP_MKNOD") {
        unit.say_instead(key, "NET_BIND_SERVICE", "MKNOD makes the devices of its /dev. NET_BIND_SERVICE");
    }
}

/// 64M for the handler, 16M for its /tmp, 16M for the launcher.
const SHIPPED_MEMORY: &str = "96M";

fn of_limits(unit: &mut UnitText, subject: &Subject<'_>) {
    if subject.given.inetd && unit.value("MemoryMax") != Some(SHIPPED_MEMORY) {
        unit.say_instead(
            "MemoryMax",
            "64M for the handler, 16M for its /tmp, and the launcher.",
            &match unit.value("MemoryMax") {
                Some("infinity") => "the service file sets no limit to memory.".to_owned(),
                _ => "what the service file gives the handler and its files in memory, and the launcher."
                    .to_owned(),
            },
        );
    }
    if let Some(total) = subject.options.max_connections {
        unit.say_instead("LimitNOFILE", "up to 256 connections", &format!("up to {total} connections"));
    }
    if subject.options.drain_time.is_some() {
        unit.say_instead("KillMode", ", for 10 s at most", ", as long as drain_time says");
    }
}

/// Comments of a socket unit.
pub(super) fn of_socket(unit: &mut UnitText, subject: &Subject<'_>) {
    let is_unix = |address: &Address| matches!(address, Address::Unix { .. });
    if !subject.listen.is_empty() && subject.listen.iter().all(is_unix) {
        unit.remove("BindIPv6Only");
    }
}
