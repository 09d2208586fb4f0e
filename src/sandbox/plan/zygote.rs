//! Which services have a zygote: a process that has every layer which is the same for all sandboxes, and
//! clones them.

use super::namespaces::Network;
use super::park::Park;
use super::{IdSource, Plan};
use crate::child::operand::Mount;

/// The calls by which a zygote and its sandboxes talk to the supervisor. No kernel has them, so the profile
/// notifies them.
///
/// A new sandbox asks for its descriptors; the answer is its uid and gid.
pub const ARRIVE_CALL: u32 = 0x0ffd_f004;
/// It could not set itself up, or execute the handler: step, operand and errno.
pub const FAIL_CALL: u32 = 0x0ffd_f005;

/// As many a zygote has open below those that it has from before its limit: three for a sandbox, the directory
/// of its cgroup, and a pipe.
const DESCRIPTORS_MIN: u64 = 6;

/// The stages that the sandboxes of a service inherit from its zygote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// All that is the same for each: they mount nothing of their own.
    Sealed,
    /// The stages before the mounts; root, Landlock domain and filters are each sandbox's own.
    Mounting,
}

impl Plan {
    /// The stages that sandboxes that are parked so inherit from a zygote, or why each is set up from the beginning.
    pub fn zygote(&self, park: Park) -> Result<Kind, &'static str> {
        let rootfs = &self.rootfs;
        let private = self.namespaces.network != Network::Inherited || self.namespaces.own_ipc;
        let obstacles = [
            (park == Park::None, "none is built ahead"),
            (rootfs.in_user_namespace || !self.dumpable_off_early, "there is one uid for all without root"),
            (rootfs.snapshot.is_subvolume(), "each has a writable snapshot of its own"),
            (private, "each has a network or ipc namespace of its own"),
            (!matches!(self.ids, IdSource::ByPid(_)), "their uid is known before the clone"),
        ];
        if let Some((_, why)) = obstacles.into_iter().find(|(stands_in_the_way, _)| *stands_in_the_way) {
            return Err(why);
        }
        if self.can_be_sealed(park) {
            Ok(Kind::Sealed)
        } else if self.passed_fds.is_empty() {
            Ok(Kind::Mounting)
        } else {
            Err("they mount something of their own, and have files passed")
        }
    }

    /// Whether sandboxes can inherit their root and filters.
    fn can_be_sealed(&self, park: Park) -> bool {
        let rootfs = &self.rootfs;
        // Binds and /dev are part of the root that stands ready.
        let has_own_mounts = rootfs.mounts().any(|mount| !matches!(mount, Mount::Bind(_) | Mount::Dev));
        let too_few = self.limits.iter().any(|limit| limit.name == "nofile" && limit.soft < DESCRIPTORS_MIN);
        // A directory is looked up as the handler's user, and a stub is its first process.
        let is_own = self.init || self.start.directory.is_some();
        let shares_root = !rootfs.snapshot.is_writable() && !has_own_mounts;
        park.is_after_exec() && shares_root && !too_few && !is_own && self.seccomp.notifies_of_processes
    }
}
