//! Adapts the shipped units to a service file: pure functions from options to settings.
//!
//! Each function keeps the shipped value unless the file changes it, so the shipped service file gives the
//! shipped units.

use super::UnitOptions;
use super::text::UnitText;
use crate::config::options::{CgroupMode, CpuShare, Options, SnapshotKind};
use crate::config::passed_fds::How;
use crate::config::values::{Size, TmpfsSpec};
use crate::config::{ConfigError, profile};
use crate::listener::Address;
use crate::privilege::Wants;
use seccomp::profile::model::{Exec, Traits};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

const MIB: u64 = 1 << 20;
/// Memory for the launcher of one connection, beside its sandbox's.
const LAUNCHER: u64 = 16 * MIB;
const MEMORY: u64 = 64 * MIB;
/// All sandboxes of a resident launcher together may have what so many may have at most: few ever do.
const FULL_SANDBOXES: u64 = 8;
const CONNECTIONS: u64 = 256;
/// Beside the handler: a stub, the process that holds an id map, one that is ending.
const TASKS_BESIDE: u64 = 3;
const DESCRIPTORS_PER_CONNECTION: u64 = 32;
/// A launch by itself: the launcher and what it starts for a moment.
const TASKS_OF_A_LAUNCH: u64 = 7;
const STOP_AFTER_DRAIN: u64 = 10;
const PRIVILEGED_PORTS: u16 = 1024;

/// First version of systemd that slows a busy socket down instead of stopping it for good.
const POLL_LIMITS_SINCE: u16 = 255;

/// A service as its units see it.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    /// The argument of `--service`.
    pub(super) argument: &'a str,
    pub(super) file: Option<&'a Path>,
    pub(super) options: &'a Options,
    pub(super) traits: Traits,
    /// Addresses of the socket unit; empty: as shipped.
    pub(super) listen: Vec<Address>,
    /// Whether there is a socket unit; if not, the launcher itself listens.
    pub(super) has_socket: bool,
    pub(super) given: &'a UnitOptions,
}

pub(super) fn traits(options: &Options) -> Result<Traits, ConfigError> {
    profile(options.profile.as_deref()).map(|profile| profile.traits())
}

/// Refuses what no unit of that kind can have: it would fail at each start.
pub(super) fn refuse(subject: &Subject<'_>) -> Result<(), ConfigError> {
    let options = subject.options;
    let why = if options.status_fd.is_some() {
        "status_fd: systemd passes no such descriptor; the journal has each outcome (docs/records.md)"
    } else if subject.given.inetd && options.proxy_protocol.is_some() {
        "proxy_protocol is for a resident launcher: leave --inetd out"
    } else if subject.given.inetd && options.tls_certificate.is_some() {
        "tls_certificate is for a resident launcher: leave --inetd out"
    } else if !subject.given.inetd && options.kill_signal.is_some() {
        "kill_signal is for a launcher of one connection: give --inetd, or use drain_time instead"
    } else {
        return Ok(());
    };
    Err(ConfigError::usage(why))
}

/// The keys that a launcher for each connection does not apply, nor its socket unit in its place.
pub(super) fn ignored(given: &UnitOptions, options: &Options) -> Vec<&'static str> {
    const BY_SOCKET: [&str; 4] = ["--listen", "--max-connections", "--max-per-source", "--backlog"];
    let mut ignored = if given.inetd { options.only_for_serve() } else { Vec::new() };
    ignored.retain(|option| !BY_SOCKET.contains(option));
    ignored
}

/// The addresses in the file, for a launcher that binds them itself.
pub(super) fn addresses(texts: &[String]) -> Result<Vec<Address>, ConfigError> {
    texts.iter().map(|text| text.parse().map_err(ConfigError::usage)).collect()
}

pub(super) fn socket(unit: &mut UnitText, subject: &Subject<'_>) {
    let given = subject.given;
    let streams: Vec<String> = subject.listen.iter().map(stream).collect();
    if !streams.is_empty() {
        unit.set("Socket", "ListenStream", streams.join("\nListenStream="));
    }
    let mode = subject.listen.iter().find_map(|address| match address {
        Address::Unix { mode, .. } => Some(mode),
        Address::Tcp(_) => None,
    });
    if let Some(mode) = mode {
        unit.set("Socket", "SocketMode", format!("0{mode:o}"));
    }
    let options = subject.options;
    if let Some(backlog) = options.backlog {
        unit.set("Socket", "Backlog", backlog.to_string());
    }
    if given.inetd {
        if let Some(total) = options.max_connections {
            unit.set("Socket", "MaxConnections", total.to_string());
        }
        if let Some(per_source) = options.max_per_source {
            unit.set("Socket", "MaxConnectionsPerSource", per_source.to_string());
        }
    }
    if given.systemd >= POLL_LIMITS_SINCE {
        // For a resident launcher's socket, systemd sees the first connection only.
        let burst = if given.inetd { "200" } else { "20" };
        unit.set("Socket", "PollLimitIntervalSec", "2s");
        unit.set("Socket", "PollLimitBurst", burst);
    }
}

/// An address for ListenStream=: a port alone means every address of both kinds.
fn stream(address: &Address) -> String {
    match address {
        Address::Tcp(tcp) => match tcp.ip() {
            IpAddr::V6(ip) if ip.is_unspecified() => tcp.port().to_string(),
            _ => tcp.to_string(),
        },
        Address::Unix { path, .. } => path.display().to_string().replace('%', "%%"),
    }
}

/// The command that is started, and its slice.
pub(super) fn start(unit: &mut UnitText, subject: &Subject<'_>) -> Result<(), ConfigError> {
    let given = subject.given;
    let verb = if given.inetd { "run" } else { "serve" };
    let argument = word(subject.argument)?;
    unit.set("Service", "ExecStart", format!("/usr/bin/dayfly {verb} --service {argument}"));
    if let Some(slice) = &given.slice {
        unit.set("Service", "Slice", slice);
    }
    Ok(())
}

/// Without a socket unit the service is what is enabled.
pub(super) fn enable_itself(unit: &mut UnitText, target: &'static str) {
    unit.remove("Requires");
    unit.remove("After");
    unit.remove("Also");
    unit.set("Install", "WantedBy", target);
}

pub(super) fn service(unit: &mut UnitText, subject: &Subject<'_>) -> Result<(), ConfigError> {
    let given = subject.given;
    start(unit, subject)?;
    if given.inetd {
        limits_of_a_connection(unit, subject);
    } else {
        limits_of_a_supervisor(unit, subject);
    }
    let own = if given.inetd { Vec::new() } else { own_listeners(subject)? };
    if own.iter().any(|address| matches!(address, Address::Tcp(_))) {
        unit.set("Service", "PrivateNetwork", "no");
        unit.set("Service", "IPAddressDeny", "");
    }
    if !subject.has_socket {
        enable_itself(unit, "multi-user.target");
    }
    limits_and_calls(unit, subject.options);
    capabilities_and_devices(unit, subject, &own);
    paths(unit, subject, &own)
}

/// A word that systemd takes as it is. Specifiers are doubled; what would need quotes is refused.
fn word(text: &str) -> Result<String, ConfigError> {
    if text.chars().any(|c| c.is_whitespace() || c.is_control() || "\"'\\$;".contains(c)) {
        return Err(ConfigError::usage(format!("'{text}' cannot be written in a unit: rename it")));
    }
    Ok(text.replace('%', "%%"))
}

fn size(bytes: Option<u64>) -> String {
    match bytes {
        None => "infinity".to_owned(),
        Some(bytes) if bytes % MIB == 0 => format!("{}M", bytes / MIB),
        Some(bytes) => bytes.to_string(),
    }
}

fn finite(size: Size) -> Option<u64> {
    (size != Size::INFINITE).then_some(size.0)
}

fn memory(options: &Options) -> Option<u64> {
    options.memory.map_or(Some(MEMORY), finite)
}

/// The unit is the cgroup of the one sandbox: what its files in memory take counts there as well.
fn limits_of_a_connection(unit: &mut UnitText, subject: &Subject<'_>) {
    let options = subject.options;
    let given = options.tmpfs.iter().flatten();
    let usual = !given.clone().any(|tmpfs| tmpfs.target == "/tmp");
    let mut files: Option<u64> = Some(if usual { TmpfsSpec::SIZE.0 } else { 0 });
    for tmpfs in given {
        files = files.zip(finite(tmpfs.size)).map(|(sum, size)| sum.saturating_add(size));
    }
    let all = memory(options).zip(files).map(|(memory, files)| memory.saturating_add(files));
    unit.set("Service", "MemoryMax", size(all.map(|all| all.saturating_add(LAUNCHER))));
    let tasks = options.tasks.unwrap_or(subject.traits.tasks);
    unit.set("Service", "TasksMax", tasks.saturating_add(TASKS_OF_A_LAUNCH).to_string());
    if let Some(CpuShare(percent)) = options.cpu {
        unit.set("Service", "CPUQuota", format!("{percent}%"));
    }
}

/// Limits that systemd sets for every service by default: a sandbox may have no more than its launcher.
const BOUNDED: [&str; 6] = ["memlock", "msgqueue", "nice", "nproc", "rtprio", "sigpending"];

/// Limits and calls that the launcher must be allowed, so that a sandbox can have them.
fn limits_and_calls(unit: &mut UnitText, options: &Options) {
    for (name, key) in BOUNDED.into_iter().zip(LIMIT_KEYS) {
        let last = options.rlimit.iter().flatten().rfind(|spec| spec.name == name);
        if let Some(spec) = last {
            let hard = if spec.hard == u64::MAX { "infinity".to_owned() } else { spec.hard.to_string() };
            unit.set("Service", key, hard);
        }
    }
    // The call is among @resources.
    let filter = unit.value("SystemCallFilter").unwrap_or_default().to_owned();
    if options.cpu_affinity.is_some() {
        unit.set("Service", "SystemCallFilter", format!("{filter}\nSystemCallFilter=sched_setaffinity"));
    }
}

const LIMIT_KEYS: [&str; 6] =
    ["LimitMEMLOCK", "LimitMSGQUEUE", "LimitNICE", "LimitNPROC", "LimitRTPRIO", "LimitSIGPENDING"];

fn limits_of_a_supervisor(unit: &mut UnitText, subject: &Subject<'_>) {
    let options = subject.options;
    let all = memory(options).map(|memory| memory.saturating_mul(FULL_SANDBOXES));
    unit.set("Service", "MemoryMax", size(all));
    let connections = options.max_connections.map_or(CONNECTIONS, u64::from);
    let tasks = options.tasks.unwrap_or(subject.traits.tasks).saturating_add(TASKS_BESIDE);
    // A relay for each connection, and the signer in the place of one.
    let tasks = tasks.saturating_add(u64::from(options.tls_certificate.is_some()));
    unit.set("Service", "TasksMax", connections.saturating_mul(tasks).to_string());
    unit.set("Service", "LimitNOFILE", connections.saturating_mul(DESCRIPTORS_PER_CONNECTION).to_string());
    stop_and_groups(unit, options);
    if options.cgroup == Some(CgroupMode::None) {
        unit.set("Service", "ProtectControlGroups", "yes");
    }
}

/// How long a stop may take, and whether sandboxes have cgroups.
pub(super) fn stop_and_groups(unit: &mut UnitText, options: &Options) {
    if options.cgroup == Some(CgroupMode::None) {
        unit.set("Service", "Delegate", "no");
    }
    if let Some(drain) = options.drain_time {
        let stop = drain.0.map(|drain| format!("{}s", drain.as_secs().saturating_add(STOP_AFTER_DRAIN)));
        unit.set("Service", "TimeoutStopSec", stop.unwrap_or_else(|| "infinity".to_owned()));
    }
}

/// Addresses that the launcher itself binds, in the host's network namespace: those of the file that the socket
/// unit has not.
fn own_listeners(subject: &Subject<'_>) -> Result<Vec<Address>, ConfigError> {
    let mut own = addresses(subject.options.listen.as_deref().unwrap_or_default())?;
    own.retain(|address| !subject.listen.iter().any(|passed| passed.is_same_place(address)));
    Ok(own)
}

fn capabilities_and_devices(unit: &mut UnitText, subject: &Subject<'_>, own: &[Address]) {
    let options = subject.options;
    let overlay = options.snapshot.is_none_or(|snapshot| snapshot == SnapshotKind::Overlay);
    let template = options.template.as_deref();
    let has_dev = template.is_none_or(|template| !template.exists() || template.join("dev").is_dir());
    let devices = subject.traits.exec == Exec::Tree && has_dev;
    let has = |list: Option<usize>| list.is_some_and(|count| count > 0);
    let wants = Wants {
        overlay,
        credentials: has(options.credential.as_ref().map(Vec::len)),
        owner: options.owner.is_some_and(|owner| owner.0.uid != 0),
        opened: has(options.open.as_ref().map(Vec::len)) || options.tls_certificate.is_some(),
        devices,
    };
    let mut needed = wants.names();
    let is_low = |address: &Address| matches!(address, Address::Tcp(tcp) if tcp.port() < PRIVILEGED_PORTS);
    if own.iter().any(is_low) {
        needed.push("CAP_NET_BIND_SERVICE".to_owned());
    }
    let mut set = unit.value("CapabilityBoundingSet").unwrap_or_default().to_owned();
    for capability in needed {
        if !set.split(' ').any(|known| known == capability) {
            set = format!("{set} {capability}");
        }
    }
    unit.set("Service", "CapabilityBoundingSet", set);
    if template.is_some_and(Path::is_file) {
        // For kernels that mount an image by a loop device (docs/images.md).
        unit.set("Service", "DeviceAllow", "/dev/loop-control rw\nDeviceAllow=block-loop r");
        unit.set("Service", "PrivateDevices", "no");
    }
    if devices {
        unit.set("Service", "PrivateDevices", "no");
    }
}

/// The launcher must see the host paths that the service names.
fn paths(unit: &mut UnitText, subject: &Subject<'_>, own: &[Address]) -> Result<(), ConfigError> {
    let options = subject.options;
    let profile = options.profile.as_deref().filter(|profile| profile.contains('/')).map(Path::new);
    let read = options.bind_ro.iter().flatten().map(|bind| Path::new(&bind.source));
    let layers = options.overlay_ro.iter().flatten().flat_map(|stack| &stack.layers).map(Path::new);
    let opened = options.open.iter().flatten();
    let credentials = options.credential.iter().flatten().map(|credential| Path::new(&credential.path));
    let appended = opened.clone().filter(|open| open.how == How::Append).map(|open| Path::new(&open.path));
    let bound = options.bind.iter().flatten().map(|bind| Path::new(&bind.source));
    // Snapshots go beside it.
    let template = options.template.as_deref().filter(|_| options.snapshot == Some(SnapshotKind::Btrfs));
    let beside = template.and_then(Path::parent);
    let written: Vec<&Path> = bound.chain(appended).chain(beside).collect();
    let mut all: Vec<&Path> =
        options.template.as_deref().into_iter().chain(subject.file).chain(profile).collect();
    all.extend(read.chain(layers).chain(credentials).chain(opened.map(|open| Path::new(&open.path))));
    let tls = [&options.tls_certificate, &options.tls_key, &options.tls_client_ca, &options.tls_crl];
    all.extend(tls.into_iter().flatten().map(PathBuf::as_path));
    all.extend(&written);
    let below = |places: &[&str]| all.iter().any(|path| places.iter().any(|place| path.starts_with(place)));
    if below(&["/home", "/root", "/run/user"]) {
        unit.set("Service", "ProtectHome", "read-only");
    }
    if below(&["/tmp", "/var/tmp"]) {
        unit.set("Service", "PrivateTmp", "no");
    }
    let sockets = own.iter().filter_map(|address| match address {
        Address::Unix { path, .. } => path.parent(),
        Address::Tcp(_) => None,
    });
    let written = written.into_iter().chain(sockets).map(|path| word(&path.display().to_string()));
    let written = written.collect::<Result<Vec<_>, _>>()?;
    if !written.is_empty() {
        unit.set("Service", "ReadWritePaths", written.join(" "));
    }
    Ok(())
}
