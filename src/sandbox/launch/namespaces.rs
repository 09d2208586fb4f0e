//! Namespaces: a sandbox has some for itself and shares others, sealed and empty, with other sandboxes.
//!
//! The clone makes the pid namespace, and the child the mount namespace. Sandboxes inherit the supervisor's
//! net, ipc, uts and cgroup namespaces; the supervisor left the host's before the first clone ([`seal`]).
//! `run` makes its net namespace, the slowest call of a launch, while the child mounts; then the child joins
//! it ([`Network::Joined`]).
//!
//! Sharing is safe if processes cannot meet there. In a network namespace they meet through sockets, and the
//! guard filter denies socket(2) under every profile. It allows socketpair(2) for connected unix streams
//! only: they have no address, so nobody else can find them. In an ipc namespace they meet through System V
//! IPC and POSIX message queues: a profile that allows any of those calls gives each sandbox its own ipc
//! namespace. A uts namespace holds a constant name that only CAP_SYS_ADMIN could change. A cgroup namespace
//! is only a view.

use libc::{CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWUTS};
use std::os::fd::AsFd;
use sys::{self, Errno};

/// The namespace that could not be sealed, for the message.
#[derive(Debug)]
pub struct SealError {
    pub what: &'static str,
    pub errno: Errno,
}

/// Takes the supervisor out of the host's net, ipc, uts and cgroup namespaces, for good. Its sockets stay
/// what they are.
///
/// `keep_network` is for sandboxes that make or join their own, and for `run` in a namespace that holds
/// nothing but a loopback device that is down: it is as good as a new one, which costs 0.35 ms.
pub fn seal(hostname: &str, keep_network: bool) -> Result<(), SealError> {
    let network = if keep_network { 0 } else { CLONE_NEWNET };
    let namespaces = CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | network;
    let what = "make the shared net, ipc, uts and cgroup namespaces";
    let kinds: &[&str] =
        if keep_network { &["ipc", "uts", "cgroup"] } else { &["ipc", "uts", "cgroup", "net"] };
    let ids = || ids(kinds).map_err(|errno| SealError { what: "look at the own namespaces", errno });
    let before = ids()?;
    sys::process::unshare(namespaces).map_err(|errno| SealError { what, errno })?;
    // Before the hostname is set: with a call that only said so, it would be the host's.
    let after = ids()?;
    if before.iter().zip(&after).any(|(before, after)| before == after) {
        return Err(SealError { what, errno: Errno::EBADE });
    }
    set_hostname(hostname).map_err(|errno| SealError { what: "set the sandboxes' hostname", errno })
}

/// Takes the supervisor out of the host's network namespace alone; the number of the new one.
pub fn leave_network() -> Result<u64, Errno> {
    let number = || Ok(nix::sys::stat::stat("/proc/self/ns/net")?.st_ino);
    let before = number()?;
    sys::process::unshare(CLONE_NEWNET)?;
    let after = number()?;
    if before == after { Err(Errno::EBADE) } else { Ok(after) }
}

/// Sets the name that sandboxes see, and reads it back: with a call that only said so it would still be
/// the host's.
pub fn set_hostname(hostname: &str) -> Result<(), Errno> {
    sys::process::set_hostname(hostname.as_bytes())?;
    if nix::sys::utsname::uname()?.nodename() == hostname { Ok(()) } else { Err(Errno::EBADE) }
}

/// The numbers of our own namespaces of these kinds (namespaces(7)).
fn ids(kinds: &[&str]) -> Result<Vec<u64>, Errno> {
    let id = |kind| Ok(nix::sys::stat::stat(format!("/proc/self/ns/{kind}").as_str())?.st_ino);
    kinds.iter().map(id).collect()
}

/// Whether the own network namespace is as empty as a new one: one interface, the loopback, and it is down.
/// Where that cannot be found out (a unit may forbid the sockets it takes), it is not.
pub fn network_is_empty() -> bool {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
    // Two lines of heading, then one an interface: a list by netlink would carry every counter and cost
    // a millisecond.
    let Ok(devices) = std::fs::read_to_string("/proc/self/net/dev") else { return false };
    let mut interfaces =
        devices.lines().skip(2).map(|line| line.split(':').next().unwrap_or_default().trim());
    let (Some("lo"), None) = (interfaces.next(), interfaces.next()) else { return false };
    let Ok(query) = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None) else {
        return false;
    };
    sys::socket::interface_is_up(query.as_fd(), b"lo") == Ok(false)
}
