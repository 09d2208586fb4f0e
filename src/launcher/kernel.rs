//! Features of the running kernel, probed once at start. Versions are never compared.

use sandbox::plan::landlock::ABI_MIN;
use std::fs;
use sys::{self, Errno};

/// Features of the kernel. A missing layer is not an error as long as another layer gives the same property.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) release: String,
    /// Landlock's ABI, or the error.
    pub(crate) landlock: Result<i32, Errno>,
    /// Memory-deny-write-execute (Linux 6.3). The profile's refusal of PROT_EXEC is the other wall.
    pub(crate) mdwe: bool,
    /// Session keyrings are built in.
    pub(crate) keyring: bool,
    /// seccomp user notification that waits killably (Linux 5.19).
    pub(crate) notification: bool,
    /// The newest capability; None if /proc does not tell.
    pub(crate) last_capability: Option<u32>,
    pub(crate) pid_max: Option<u32>,
    /// The random number of this boot (random(4)), which no sandbox can read.
    pub(crate) boot: Option<u128>,
}

/// A wall that is not there, the property's other wall, and the layer's name for `--allow-degraded`.
#[derive(Debug)]
pub(crate) struct MissingWall {
    pub(crate) layer: &'static str,
    pub(crate) wall: &'static str,
    pub(crate) instead: &'static str,
}

impl Kernel {
    pub(crate) fn probe() -> Kernel {
        Kernel {
            release: read("/proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".to_owned()),
            landlock: sys::landlock::abi(),
            // Only EINVAL says that there is none: what is refused for another reason is to be had, or
            // refuses.
            mdwe: sys::privilege::mdwe() != Err(Errno::EINVAL),
            keyring: sys::privilege::has_keyrings(),
            notification: sys::seccomp::listener_available()
                && sys::seccomp::action_available(libc::SECCOMP_RET_USER_NOTIF),
            last_capability: read_number("/proc/sys/kernel/cap_last_cap"),
            pid_max: read_number("/proc/sys/kernel/pid_max"),
            boot: read("/proc/sys/kernel/random/boot_id").and_then(|id| hexadecimal(&id)),
        }
    }

    /// Missing features without which no sandbox can be built.
    pub(crate) fn lacks(&self) -> Vec<String> {
        let mut lacks = Vec::new();
        match self.landlock {
            Ok(abi) if abi >= ABI_MIN => {}
            Ok(abi) => lacks.push(format!("Landlock ABI {ABI_MIN} (Linux 5.19): this kernel has ABI {abi}")),
            Err(Errno::EOPNOTSUPP) => {
                lacks.push(
                    "Landlock: built in but not enabled; add landlock to the lsm= boot parameter".to_owned(),
                );
            }
            Err(errno) => {
                lacks.push(format!("Landlock: {errno}; it is not built in, or a seccomp filter hides it"))
            }
        }
        if !self.notification {
            lacks.push("seccomp user notification that waits killably (Linux 5.19)".to_owned());
        }
        if self.last_capability.is_none() {
            lacks.push("/proc/sys/kernel/cap_last_cap: mount /proc for the launcher".to_owned());
        }
        if self.boot.is_none() {
            lacks.push("/proc/sys/kernel/random/boot_id: mount /proc for the launcher".to_owned());
        }
        lacks
    }

    /// Walls that newer kernels have. Each property keeps another one.
    pub(crate) fn missing_walls(&self) -> Vec<MissingWall> {
        let abi = self.landlock.unwrap_or(0);
        let seccomp = "the profile and the guard filter deny the calls";
        let mut missing = Vec::new();
        if !self.mdwe {
            let wall = "memory-deny-write-execute (Linux 6.3)";
            missing.push(MissingWall { layer: "mdwe", wall, instead: "the profile refuses PROT_EXEC" });
        }
        if abi < 4 {
            let wall = "Landlock TCP rules (ABI 4, Linux 6.7)";
            missing.push(MissingWall { layer: "landlock-net", wall, instead: seccomp });
        }
        if abi < 6 {
            let wall = "Landlock scopes (ABI 6, Linux 6.12)";
            missing.push(MissingWall { layer: "landlock-scope", wall, instead: seccomp });
        }
        missing
    }
}

fn read(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

fn read_number(path: &str) -> Option<u32> {
    read(path)?.parse().ok()
}

/// A UUID as a number.
fn hexadecimal(id: &str) -> Option<u128> {
    let digits = id.replace('-', "");
    (digits.len() == 32).then(|| u128::from_str_radix(&digits, 16).ok()).flatten()
}

/// A number below /proc/sys.
pub(crate) fn sysctl(name: &str) -> Option<u32> {
    read_number(&format!("/proc/sys/{name}"))
}

/// Why an ordinary user gets no user namespace here, in the words of the sysctl that says so.
pub(crate) fn why_no_user_namespace() -> Option<String> {
    let sysctls = [
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            1,
            "AppArmor restricts ordinary users' namespaces",
        ),
        ("/proc/sys/kernel/unprivileged_userns_clone", 0, "ordinary users may not make user namespaces"),
        ("/proc/sys/user/max_user_namespaces", 0, "no user namespaces may be made"),
    ];
    sysctls
        .into_iter()
        .find(|(path, forbidding, _)| read_number(path) == Some(*forbidding))
        .map(|(path, forbidding, why)| format!("{why}: {path} is {forbidding}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_is_a_whole_uuid_or_none() {
        assert_eq!(hexadecimal("00000000-0000-0000-0000-0000000000ff"), Some(255));
        assert_eq!((hexadecimal(""), hexadecimal("00ff"), hexadecimal(&"z".repeat(32))), (None, None, None));
    }

    /// docs/kernel.md has a row for each wall, with the version and the layer that messages name.
    #[test]
    fn the_document_knows_each_wall_that_a_kernel_may_lack() {
        let document = include_str!("../../docs/kernel.md");
        let floor = Kernel { landlock: Ok(ABI_MIN), mdwe: false, ..Kernel::probe() };
        let walls = floor.missing_walls();
        assert_eq!(walls.len(), 3);
        for MissingWall { layer, wall, instead } in walls {
            let (name, note) = wall.split_once(" (").unwrap();
            let version = note.trim_end_matches(')').rsplit("Linux ").next().unwrap();
            let cells = format!("| {version} | `{layer}` | {instead}");
            let row = |line: &str| line.starts_with(&format!("| {name}")) && line.contains(&cells);
            assert!(document.lines().any(row), "| {name} {cells}");
        }
    }
}
