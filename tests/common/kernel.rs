//! Features of the kernel, probed without the launcher; and older kernels, simulated by the injector.

use super::sys;

/// A wall that not every kernel above the floor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wall {
    /// Memory-deny-write-execute (Linux 6.3).
    Mdwe,
    /// Landlock's TCP rules (ABI 4, Linux 6.7).
    LandlockNet,
    /// Landlock's scopes (ABI 6, Linux 6.12).
    LandlockScope,
}

impl Wall {
    pub const ALL: [Wall; 3] = [Wall::Mdwe, Wall::LandlockNet, Wall::LandlockScope];

    /// As `--allow-degraded` has it.
    pub fn name(self) -> &'static str {
        match self {
            Wall::Mdwe => "mdwe",
            Wall::LandlockNet => "landlock-net",
            Wall::LandlockScope => "landlock-scope",
        }
    }

    /// Whether this kernel has it.
    pub fn is_here(self) -> bool {
        match self {
            Wall::Mdwe => sys::has_mdwe(),
            Wall::LandlockNet => sys::landlock_abi() >= 4,
            Wall::LandlockScope => sys::landlock_abi() >= 6,
        }
    }
}

/// Rules of the injector under which the launcher finds the floor: the Landlock of Linux 6.1 and no
/// memory-deny-write-execute.
pub const FLOOR: [&str; 2] =
    ["call=landlock_create_ruleset arg2=1 : return=2", "call=prctl arg0=66 : return=-22"];

/// Rules under which it finds Landlock built in and not enabled.
pub const NO_LANDLOCK: [&str; 1] = ["call=landlock_create_ruleset arg2=1 : return=-95"];
