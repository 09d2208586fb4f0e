//! Units for a user's own systemd. They have no line that takes privileges: most hardening lines would, or would
//! take away the user namespaces that dayfly needs (docs/rootless.md).

use super::adapt::{self, Subject};
use super::text::UnitText;
use crate::config::ConfigError;

/// Named as the shipped ones, whose names are replaced.
pub(super) const UNITS: [(&str, &str); 2] = [("gopher.socket", SOCKET), ("gopher.service", SERVICE)];

const SOCKET: &str = "\
# Gopher for a user's systemd: gopher.service gets the listening socket.

[Unit]
Description=Gopher server socket

[Socket]
ListenStream=70
# Accepts IPv4 too, whatever net.ipv6.bindv6only says.
BindIPv6Only=both
Backlog=4096
# By default more than 20 activations in 2 s stop the socket, so any client could cause an outage.
TriggerLimitIntervalSec=0

[Install]
WantedBy=sockets.target
";

const SERVICE: &str = "\
# The resident launcher of gopher.socket, for a user's systemd: one sandbox for each connection.
# Do not copy hardening lines from units of root: they need privileges, or take away the user namespaces that dayfly needs.

[Unit]
Description=Gopher server
# It needs its port.
Requires=gopher.socket
After=gopher.socket

[Service]
Type=notify
ExecStart=/usr/bin/dayfly serve --service gopher
# Reads the service file again. A mistake in it changes nothing.
ExecReload=/bin/kill -HUP $MAINPID
WatchdogSec=30s
Restart=on-failure
RestartSec=1s
# 2 means a wrong option or service file: a restart would fail in the same way.
RestartPreventExitStatus=2
KillMode=mixed
TimeoutStopSec=20s
# For the socket of dayfly stats.
RuntimeDirectory=dayfly/gopher
# A cgroup for each sandbox, if your systemd may delegate these.
Delegate=memory pids cpu

[Install]
Also=gopher.socket
";

pub(super) fn service(unit: &mut UnitText, subject: &Subject<'_>) -> Result<(), ConfigError> {
    adapt::start(unit, subject)?;
    adapt::stop_and_groups(unit, subject.options);
    if !subject.has_socket {
        adapt::enable_itself(unit, "default.target");
        let socket = unit.name.replace(".service", ".socket");
        unit.say_first(
            &format!("The resident launcher of {socket}"),
            "The resident launcher, which listens itself",
        );
    }
    Ok(())
}
