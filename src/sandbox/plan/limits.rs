//! Resource limits (setrlimit(2)) of the handler: one row a limit.

/// One limit: `resource` is an RLIMIT_* number, `name` as `--rlimit` spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub resource: u32,
    pub name: &'static str,
    pub soft: u64,
    pub hard: u64,
}

#[allow(clippy::unnecessary_cast, clippy::cast_sign_loss, reason = "i32 with musl, u32 with glibc")]
const CPU: u32 = libc::RLIMIT_CPU as u32;

impl Limit {
    /// Whether the kernel counts what a process has used before the limit was set.
    pub(crate) fn counts_past_use(&self) -> bool {
        self.resource == CPU
    }
}

/// Names and numbers of all limits that can be given.
#[allow(clippy::unnecessary_cast, clippy::cast_sign_loss, reason = "i32 with musl, u32 with glibc")]
pub const NAMES: [(&str, u32); 15] = [
    ("as", libc::RLIMIT_AS as u32),
    ("core", libc::RLIMIT_CORE as u32),
    ("cpu", libc::RLIMIT_CPU as u32),
    ("data", libc::RLIMIT_DATA as u32),
    ("fsize", libc::RLIMIT_FSIZE as u32),
    ("memlock", libc::RLIMIT_MEMLOCK as u32),
    ("msgqueue", libc::RLIMIT_MSGQUEUE as u32),
    ("nice", libc::RLIMIT_NICE as u32),
    ("nofile", libc::RLIMIT_NOFILE as u32),
    ("nproc", libc::RLIMIT_NPROC as u32),
    ("rss", libc::RLIMIT_RSS as u32),
    ("rtprio", libc::RLIMIT_RTPRIO as u32),
    ("rttime", libc::RLIMIT_RTTIME as u32),
    ("sigpending", libc::RLIMIT_SIGPENDING as u32),
    ("stack", libc::RLIMIT_STACK as u32),
];
