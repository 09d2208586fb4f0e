//! System calls by name and number: the tables of Linux as text, one `name number` a line, newest at the end.
//!
//! For plans and messages, not for what happens between clone and exec. The build script of `sandbox` uses it too.

use std::collections::HashMap;
use std::sync::OnceLock;

/// The machine that the launcher runs on: the numbers of its calls, and the audit value of its own ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    X86_64,
    Aarch64,
}

impl Machine {
    pub const ALL: [Machine; 2] = [Machine::X86_64, Machine::Aarch64];

    /// The machine's name as Rust and uname(1) spell it.
    pub fn name(self) -> &'static str {
        match self {
            Machine::X86_64 => "x86_64",
            Machine::Aarch64 => "aarch64",
        }
    }

    /// `AUDIT_ARCH_*` (linux/audit.h): the ELF machine, 64 bit, little endian.
    pub const fn audit_arch(self) -> u32 {
        match self {
            Machine::X86_64 => 0xc000_003e,
            Machine::Aarch64 => 0xc000_00b7,
        }
    }

    fn table(self) -> &'static str {
        match self {
            Machine::X86_64 => include_str!("../syscalls-x86_64.txt"),
            Machine::Aarch64 => include_str!("../syscalls-aarch64.txt"),
        }
    }

    /// All calls, in the order of their numbers.
    pub fn calls(self) -> impl Iterator<Item = (&'static str, u32)> {
        self.table().lines().filter_map(|line| {
            let (name, number) = line.split_once(' ')?;
            Some((name, number.parse().ok()?))
        })
    }

    /// The name of a system call. A scan: for messages, not for the way to exec.
    pub fn call_name(self, number: u32) -> Option<&'static str> {
        self.calls().find(|(_, known)| *known == number).map(|(name, _)| name)
    }

    /// The call of that name, with the name as the table has it.
    pub fn call(self, name: &str) -> Option<(&'static str, u32)> {
        // Made at the first question: a profile asks a thousand.
        static INDEX: [OnceLock<HashMap<&'static str, u32>>; Machine::ALL.len()] =
            [const { OnceLock::new() }; 2];
        let index = INDEX[self as usize].get_or_init(|| self.calls().collect());
        index.get_key_value(name).map(|(name, number)| (*name, *number))
    }
}

/// The machine this program is for.
#[cfg(target_arch = "x86_64")]
pub const NATIVE: Machine = Machine::X86_64;
#[cfg(target_arch = "aarch64")]
pub const NATIVE: Machine = Machine::Aarch64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_agree_with_libc() {
        let name = |number: libc::c_long| NATIVE.call_name(u32::try_from(number).unwrap());
        assert_eq!(name(libc::SYS_execveat), Some("execveat"));
        assert_eq!(name(libc::SYS_mount_setattr), Some("mount_setattr"));
        assert_eq!(name(9999), None);
        assert_eq!(Machine::Aarch64.call("read"), Some(("read", 63)));
    }

    #[test]
    fn every_number_and_every_name_stands_once() {
        for machine in Machine::ALL {
            let lines = machine.table().lines().count();
            let mut numbers: Vec<_> = machine.calls().map(|(_, number)| number).collect();
            let mut names: Vec<_> = machine.calls().map(|(name, _)| name).collect();
            assert_eq!(lines, numbers.len(), "a line that does not parse");
            numbers.dedup();
            names.sort_unstable();
            names.dedup();
            assert_eq!((numbers.len(), names.len()), (lines, lines));
        }
    }
}
