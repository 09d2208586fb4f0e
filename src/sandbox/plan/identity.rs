//! The identity of a sandbox, as data.

/// The ids of one sandbox, as the host sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
}

impl Identity {
    pub const ROOT: Identity = Identity { uid: 0, gid: 0 };
}

/// The available parts of the layer.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// False only rootless, given up by name: setgroups(2) is denied in the user namespace (CVE-2014-8989).
    pub drop_groups: bool,
    /// The running kernel's newest capability.
    pub last_capability: u32,
}
