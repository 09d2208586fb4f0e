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

/// As many a zygote has open below those that it has from before its limit.
const DESCRIPTORS_MIN: u64 = 5;

impl Plan {
    /// Why sandboxes that are parked so are each set up from the beginning; None: a zygote clones them.
    pub fn obstacle_to_zygote(&self, park: Park) -> Option<&'static str> {
        let rootfs = &self.rootfs;
        // Binds and /dev are part of the root that stands ready.
        let has_own_mounts = rootfs.mounts().any(|mount| !matches!(mount, Mount::Bind(_) | Mount::Dev));
        let too_few = self.limits.iter().any(|limit| limit.name == "nofile" && limit.soft < DESCRIPTORS_MIN);
        let private = self.namespaces.network != Network::Inherited || self.namespaces.own_ipc;
        [
            (!park.is_after_exec(), "they wait before they execute the handler"),
            (rootfs.in_user_namespace || !self.dumpable_off_early, "there is one uid for all without root"),
            (rootfs.snapshot.is_writable(), "each has a writable snapshot of its own"),
            (has_own_mounts, "each has mounts of its own, such as /tmp"),
            (private, "each has a network or ipc namespace of its own"),
            (self.init, "an init stub is their first process"),
            (self.start.directory.is_some(), "--chdir is looked up as the handler's user"),
            (!matches!(self.ids, IdSource::ByPid(_)), "their uid is known before the clone"),
            (too_few, "--rlimit nofile leaves no room for the set-up"),
            (
                !self.seccomp.notifies_of_processes,
                "the profile allows or answers calls that make processes, or answers by default",
            ),
        ]
        .into_iter()
        .find_map(|(stands_in_the_way, why)| stands_in_the_way.then_some(why))
    }
}
