//! A call that the filters refused.

use std::fmt;
use sys::names;

/// A call that the profile or the guard does not allow: never made, its maker killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denied {
    pub number: i32,
    pub foreign: bool,
    pub args: [u64; 6],
}

/// x32 calls carry this bit (`__X32_SYSCALL_BIT`).
const X32_BIT: u32 = 0x4000_0000;

impl Denied {
    /// Whether it came by the machine's own ABI, the one that profiles are about.
    pub fn is_native(&self) -> bool {
        !self.foreign && self.number.cast_unsigned() < X32_BIT
    }

    pub fn name(&self) -> String {
        let known = if self.foreign { None } else { names::NATIVE.call_name(self.number.cast_unsigned()) };
        known.map_or_else(|| format!("call {}", self.number), str::to_owned)
    }

    /// The line of a profile that would allow the call, or why none can.
    pub fn advice(&self) -> String {
        match self.foreign {
            true => "the filters deny every call by another machine's ABI".to_owned(),
            false => seccomp::advice::advice(self.number.cast_unsigned(), &self.args),
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let args: Vec<_> = self.args.iter().map(|arg| format!("{arg:#x}")).collect();
        write!(f, "{}({})", self.name(), args.join(", "))
    }
}
