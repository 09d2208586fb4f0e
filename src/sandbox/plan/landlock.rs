//! Landlock: the ruleset's kinds of access are declared by the parent, its rules added below the new root by
//! the child.
//!
//! Always at the newest ABI that the kernel and the crate share, and hard: the crate's default is best
//! effort, under which a kernel without Landlock is a success.

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, Ruleset, RulesetAttr,
    RulesetCreated, RulesetError, Scope,
};
use std::ffi::CString;
use std::os::fd::OwnedFd;

/// The floor (Linux 5.19): with REFER, links and renames across directories are governed as well.
pub const ABI_MIN: i32 = 2;

/// The newest ABI the crate speaks.
pub const ABI_CRATE: i32 = ABI::V10 as i32;

/// First ABI that governs UDP (Linux 7.2).
const ABI_UDP: i32 = 10;
/// First ABI under which denials are audited, unless a domain says otherwise (Linux 6.15).
const ABI_QUIET: i32 = 7;

/// Rights on one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    Read,
    ReadWrite,
}

/// One path of `--landlock-ro` or `--landlock-rw`, below the new root.
#[derive(Debug)]
pub struct Rule {
    pub path: CString,
    pub right: Right,
}

/// Access bits of the kernel, by right, for directories and for files: a rule on a file must not name rights
/// of directories.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bits {
    pub(crate) directory: u64,
    pub(crate) file: u64,
}

#[derive(Debug)]
pub struct Plan {
    abi: ABI,
    /// False where `landlock-net` or `landlock-scope` was given up, or the kernel has no such wall.
    network: bool,
    scopes: bool,
    rules: Vec<Rule>,
    read: Bits,
    read_write: Bits,
    pub(crate) execute: u64,
}

impl Plan {
    /// `kernel_abi` must be [`ABI_MIN`] or more; the kernel probe has refused less. `executable`: what may be
    /// read may be executed.
    pub fn new(kernel_abi: i32, network: bool, scopes: bool, executable: bool, rules: Vec<Rule>) -> Plan {
        let abi = ABI::from(kernel_abi.min(ABI_CRATE));
        let mut read = AccessFs::ReadFile | AccessFs::ReadDir;
        if executable {
            read |= AccessFs::Execute;
        }
        // No device nodes or sockets are made, by anyone, no ioctl reaches a device, and no socket file is
        // connected to: what a bind shows may hold a daemon's.
        let never = AccessFs::MakeChar
            | AccessFs::MakeBlock
            | AccessFs::MakeSock
            | AccessFs::IoctlDev
            | AccessFs::ResolveUnix;
        let read_write = read | (AccessFs::from_write(abi) & !never);
        let file = AccessFs::from_file(abi);
        let bits =
            |access: BitFlags<AccessFs>| Bits { directory: access.bits(), file: (access & file).bits() };
        Plan {
            abi,
            network: network && kernel_abi >= 4,
            scopes: scopes && kernel_abi >= 6,
            rules,
            read: bits(read),
            read_write: bits(read_write),
            // The kernel opens the file it executes for reading.
            execute: (AccessFs::Execute | AccessFs::ReadFile).bits(),
        }
    }

    /// The ABI that is used: the newest that kernel and crate share.
    pub fn abi(&self) -> i32 {
        self.abi as i32
    }

    /// The governed parts of the network, by the names of their protocols.
    pub fn protocols(&self) -> &'static str {
        if self.abi() >= ABI_UDP { "TCP and UDP" } else { "TCP" }
    }

    /// The right by which a domain that parts sandboxes shows: below the root it allows what it handles, on
    /// the canary it does not.
    pub(crate) fn writing(&self) -> u64 {
        BitFlags::from(AccessFs::WriteFile).bits()
    }

    /// Whether the kernel would audit denials, and can be told not to.
    pub fn is_quiet(&self) -> bool {
        self.abi() >= ABI_QUIET
    }

    /// Whether the network is governed, and whether signals and abstract sockets are.
    pub fn governs(&self) -> (bool, bool) {
        (self.network, self.scopes)
    }

    /// The kinds of access to files that are denied wherever no rule allows them.
    pub fn handled(&self) -> Vec<String> {
        names(AccessFs::from_all(self.abi).bits())
    }

    /// Rights of a rule, for a directory tree or for a file.
    pub fn allowed(&self, right: Right) -> Vec<String> {
        names(self.bits(right).directory)
    }

    /// Rights on the handler's file.
    pub fn allowed_of_handler(&self) -> Vec<String> {
        names(self.execute)
    }

    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// A new ruleset without rules. One a sandbox: rules name the sandbox's own directories.
    pub fn ruleset(&self) -> Result<OwnedFd, RulesetError> {
        let mut ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(self.abi))?;
        if self.network {
            ruleset = ruleset.handle_access(AccessNet::from_all(self.abi))?;
        }
        if self.scopes {
            ruleset = ruleset.scope(Scope::from_all(self.abi))?;
        }
        created(ruleset.create()?)
    }

    /// The ruleset of a domain that parts sandboxes which share another: none can trace one that is in
    /// another domain, and where the kernel has scopes, none can signal it or find its abstract sockets.
    ///
    /// So that it shows whether it is in force, it handles one right of files, [`Plan::writing`].
    pub fn parting(&self) -> Result<OwnedFd, RulesetError> {
        let ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::WriteFile)?;
        let ruleset = if self.scopes { ruleset.scope(Scope::from_all(self.abi))? } else { ruleset };
        created(ruleset.create()?)
    }

    pub(crate) fn bits(&self, right: Right) -> Bits {
        match right {
            Right::Read => self.read,
            Right::ReadWrite => self.read_write,
        }
    }
}

fn created(ruleset: RulesetCreated) -> Result<OwnedFd, RulesetError> {
    let fd: Option<OwnedFd> = ruleset.into();
    fd.ok_or(RulesetError::CreateRuleset(landlock::CreateRulesetError::MissingHandledAccess))
}

fn names(bits: u64) -> Vec<String> {
    BitFlags::<AccessFs>::from_bits_truncate(bits).iter().map(|access| format!("{access:?}")).collect()
}
