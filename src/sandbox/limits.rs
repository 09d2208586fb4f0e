//! Resource limits (setrlimit(2)) of the handler: one row a limit.

use super::step::{AtStep, Failure, Step, verify};
use crate::sys::privilege;

/// One limit: `resource` is an RLIMIT_* number, `name` as `--rlimit` spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) resource: u32,
    pub(crate) name: &'static str,
    pub(crate) soft: u64,
    pub(crate) hard: u64,
}

/// Names and numbers of all limits that can be given.
#[allow(clippy::cast_lossless, reason = "the constants' type differs between targets")]
pub(crate) const NAMES: [(&str, u32); 15] = [
    ("as", libc::RLIMIT_AS),
    ("core", libc::RLIMIT_CORE),
    ("cpu", libc::RLIMIT_CPU),
    ("data", libc::RLIMIT_DATA),
    ("fsize", libc::RLIMIT_FSIZE),
    ("memlock", libc::RLIMIT_MEMLOCK),
    ("msgqueue", libc::RLIMIT_MSGQUEUE),
    ("nice", libc::RLIMIT_NICE),
    ("nofile", libc::RLIMIT_NOFILE),
    ("nproc", libc::RLIMIT_NPROC),
    ("rss", libc::RLIMIT_RSS),
    ("rtprio", libc::RLIMIT_RTPRIO),
    ("rttime", libc::RLIMIT_RTTIME),
    ("sigpending", libc::RLIMIT_SIGPENDING),
    ("stack", libc::RLIMIT_STACK),
];

/// Sets every limit and reads it back.
pub(crate) fn apply(limits: &[Limit]) -> Result<(), Failure> {
    for (index, limit) in limits.iter().enumerate() {
        privilege::set_limit(limit.resource, limit.soft, limit.hard).step_on(Step::Limit, index)?;
        let in_force = privilege::limit(limit.resource).step_on(Step::Limit, index)?;
        verify(Step::Limit, in_force == (limit.soft, limit.hard))?;
    }
    Ok(())
}
