//! Walls taken away, each with the answers that would tell: what is left must hold alone.
//!
//! The shipped binary has no switch for it. The injector makes the call that raises a wall one without
//! effect, and what reads it back say the contrary; a launch that finds it out refuses, and the test fails.

/// A filter of one instruction that allows everything stands in the place of the profile's; its canary
/// answers.
pub(crate) const PROFILE: &[&str] = &[
    "role=launcher/pid call=seccomp arg1=0x28 : poke=arg2+0,0xffff,1 poke=arg2+8>0,0xffffffffffffffff,0x7fff000000000006",
    "role=launcher/pid call=#0xffdf002 : return=-4002",
];

/// The same in the place of the guard.
pub(crate) const GUARD: &[&str] = &[
    "role=launcher/pid call=seccomp arg1=0 : poke=arg2+0,0xffff,1 poke=arg2+8>0,0xffffffffffffffff,0x7fff000000000006",
    "role=launcher/pid call=#0xffdf001 : return=-4001",
];

/// Landlock's domain is not entered; the canary does not open all the same.
pub(crate) const LANDLOCK: &[&str] = &[
    "role=launcher/pid call=landlock_restrict_self : return=0",
    "role=launcher/pid call=openat2 path=canary nth=2 : return=-13",
];

/// The template's mount is executable; statfs(2) shows ST_NOEXEC.
pub(crate) const NOEXEC: &[&str] = &[
    "role=launcher/pid call=mount_setattr nth=2 : poke=arg3+0,8,0",
    "role=launcher/pid call=fstatfs : mend=arg1+80,0,8",
];

/// Memory-deny-write-execute is not set, and said to be.
pub(crate) const MDWE: &[&str] =
    &["role=launcher/pid call=prctl arg0=65 : return=0", "role=launcher/pid call=prctl arg0=66 : return=1"];

/// The limit on processes is left as it was, and read back as 1.
pub(crate) const NPROC: &[&str] = &[
    "role=launcher/pid call=prlimit64 arg1=6 nth=1 : return=0",
    "role=launcher/pid call=prlimit64 arg1=6 nth=2 : mend=arg3+0,0xffffffffffffffff,1 mend=arg3+8,0xffffffffffffffff,1",
];

/// The launcher stays in the host's network namespace, and the sandbox joins it there; the first look sees
/// another number.
pub(crate) const NETWORK: &[&str] = &[
    "role=launcher call=unshare nth=2 : arg0=0",
    "role=launcher call=stat path=/proc/self/ns/net nth=1 : mend=arg1+8,0,0xffff00000000",
];

/// Nothing is dropped of the capabilities: with an ambient set they outlive exec. capget(2) shows none.
pub(crate) const CAPABILITIES: &[&str] = &[
    "role=launcher/pid call=prctl arg0=24 : return=0",
    "role=launcher/pid call=prctl arg0=47 : return=0",
    "role=launcher/pid call=capset : return=0",
    "role=launcher/pid call=prctl arg0=23 : return=0",
    "role=launcher/pid call=capget : mend=arg1+0,0xffffffffffffffff,0 mend=arg1+8,0xffffffffffffffff,0 mend=arg1+16,0xffffffffffffffff,0",
];
