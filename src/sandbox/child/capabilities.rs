//! Capabilities: the bounding set and the securebits while CAP_SETPCAP is there, the other four sets after
//! the uid change.

use super::operand::{Operand, place};
use super::rootfs::{Reduced, Rooted};
use super::step::{AtStep, Failure, Step, verify};
use std::ffi::c_int;
use sys::privilege;

// linux/securebits.h: each bit with its lock beside it.
const NOROOT: c_int = 0b11;
const NO_SETUID_FIXUP: c_int = 0b11 << 2;
const KEEP_CAPS_LOCKED_OFF: c_int = 0b10 << 4;
const NO_CAP_AMBIENT_RAISE: c_int = 0b11 << 6;

/// uid 0 means nothing to the kernel any more, and none of it can be undone.
const SECUREBITS: c_int = NOROOT | NO_SETUID_FIXUP | KEEP_CAPS_LOCKED_OFF | NO_CAP_AMBIENT_RAISE;

/// The securebits by their names in capabilities(7), with the bits that lock them.
pub const SECUREBIT_NAMES: [(&str, c_int); 4] = [
    ("NOROOT", NOROOT),
    ("NO_SETUID_FIXUP", NO_SETUID_FIXUP),
    ("KEEP_CAPS off", KEEP_CAPS_LOCKED_OFF),
    ("NO_CAP_AMBIENT_RAISE", NO_CAP_AMBIENT_RAISE),
];

const _: () = {
    let [(_, a), (_, b), (_, c), (_, d)] = SECUREBIT_NAMES;
    assert!(a | b | c | d == SECUREBITS);
};

/// Proof that no exec can give a capability back.
#[derive(Debug)]
pub struct Bounded(());

/// *Removes* the whole bounding and ambient set, and uid 0's special treatment.
/// *Keeps* the permitted and effective sets: the id change needs CAP_SETUID and CAP_SETGID.
///
/// `last` is the running kernel's newest capability (/proc/sys/kernel/cap_last_cap), not a list from a
/// header: a newer kernel's capability must not stay.
pub fn bound(_: Rooted, last: u32) -> Result<Bounded, Failure> {
    drop_bounding(last)?;
    Ok(Bounded(()))
}

/// The same for a zygote whose sandboxes have roots of their own, and inherit it.
pub(super) fn bound_few(few: Reduced, last: u32) -> Result<(Reduced, Bounded), Failure> {
    drop_bounding(last)?;
    Ok((few, Bounded(())))
}

/// A sandbox of such a zygote, in its own root.
pub(super) fn still_bounded(_: Rooted, bounded: Bounded) -> Bounded {
    bounded
}

fn drop_bounding(last: u32) -> Result<(), Failure> {
    for capability in 0..=last {
        privilege::drop_bounding(capability)
            .step_on(Step::Bounding, Operand::Capability(place(capability as usize)))?;
    }
    privilege::clear_ambient().step(Step::Ambient)?;
    privilege::set_securebits(SECUREBITS).step(Step::Securebits)?;
    let bits = privilege::securebits().step(Step::Securebits)?;
    verify(Step::Securebits, bits == SECUREBITS)
}

/// *Removes* the permitted, effective and inheritable sets: with NO_SETUID_FIXUP locked the uid change left
/// them whole.
pub fn drop_all() -> Result<(), Failure> {
    privilege::set_capabilities(&privilege::NO_CAPABILITIES).step(Step::Capabilities)
}

/// Reads the sets back. The kernel keeps the ambient set within the permitted and inheritable ones
/// (capabilities(7)), so it is empty too.
pub fn verify_none(last: u32) -> Result<(), Failure> {
    verify_sets()?;
    verify_bounding(last)
}

pub(super) fn verify_sets() -> Result<(), Failure> {
    let sets = privilege::capabilities().step(Step::VerifyCapabilities)?;
    verify(Step::VerifyCapabilities, sets == privilege::NO_CAPABILITIES)
}

pub(super) fn verify_bounding(last: u32) -> Result<(), Failure> {
    let step = Step::VerifyCapabilities;
    for capability in 0..=last {
        verify(
            step,
            !privilege::is_bounding(capability)
                .step_on(step, Operand::Capability(place(capability as usize)))?,
        )?;
    }
    Ok(())
}
