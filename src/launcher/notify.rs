//! Telling systemd how the service is: sd_notify(3) over the datagram socket that $NOTIFY_SOCKET names.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;
use sys::Ignoring;

/// Connected before the supervisor leaves the host's namespaces: a name of the abstract kind belongs to one
/// of them.
#[derive(Debug)]
pub(crate) struct Notifier {
    socket: Option<UnixDatagram>,
    /// How often systemd wants to hear of us, halved.
    pub(crate) watchdog: Option<Duration>,
}

impl Notifier {
    /// Does nothing without $NOTIFY_SOCKET.
    pub(crate) fn connect() -> Notifier {
        let socket = std::env::var("NOTIFY_SOCKET").ok().and_then(|name| connect(&name));
        Notifier { socket, watchdog: watchdog() }
    }

    /// Serving, as `status` says.
    pub(crate) fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={status}"));
    }

    /// A reload begins; [`Notifier::ready`] ends it. systemd wants to know when (Type=notify-reload).
    pub(crate) fn reloading(&self) {
        let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
        let micros = now.map_or(0, |now| now.tv_sec() * 1_000_000 + now.tv_nsec() / 1000);
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// The process with this number is the service's main process from now on, and serves.
    pub(crate) fn succeeded(&self, pid: u32, status: &str) {
        self.send(&format!("MAINPID={pid}\nREADY=1\nSTATUS={status}"));
    }

    pub(crate) fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=draining");
    }

    /// The status line of `systemctl status`.
    pub(crate) fn status(&self, status: &str) {
        self.send(&format!("STATUS={status}"));
    }

    pub(crate) fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    fn send(&self, state: &str) {
        if let Some(socket) = &self.socket {
            socket.send(state.as_bytes()).ignoring("systemd notices a silent service by itself");
        }
    }
}

/// A path, or `@` and an abstract name.
fn connect(name: &str) -> Option<UnixDatagram> {
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(name),
    };
    let socket = UnixDatagram::unbound().ok()?;
    socket.connect_addr(&address.ok()?).ok()?;
    Some(socket)
}

/// $WATCHDOG_USEC, if it is meant for us (sd_watchdog_enabled(3)).
fn watchdog() -> Option<Duration> {
    let variable = |name: &str| std::env::var(name).ok();
    let meant_for_us = variable("WATCHDOG_PID").is_none_or(|pid| pid.parse() == Ok(std::process::id()));
    let micros: u64 = variable("WATCHDOG_USEC")?.parse().ok()?;
    (meant_for_us && micros > 0).then(|| Duration::from_micros(micros / 2))
}
