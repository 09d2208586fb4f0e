//! Profiles that can be installed: the built-in ones, compiled when dayfly is (build.rs), and an operator's,
//! compiled when a service is resolved. Both go through the same parser and compiler.

use seccomp::abi::Variant;
use seccomp::compile::{self, CompileError};
use seccomp::profile::model::{Action, Exec, Profile, Traits};
use seccomp::profile::parse;
pub use seccomp::profile::texts::included;
use std::borrow::Cow;
use sys::names;
use sys::seccomp::Instruction;

/// A profile that can be installed.
#[derive(Debug)]
pub enum Loaded {
    BuiltIn(&'static BuiltIn),
    /// `mistaken`: calls that the file allows and the guard denies, which the profile leaves to its default
    /// verdict.
    File {
        name: String,
        profile: Profile,
        mistaken: Vec<&'static str>,
    },
}

/// A profile of our own, compiled.
#[derive(Debug)]
pub struct BuiltIn {
    pub name: &'static str,
    text: &'static str,
    traits: Traits,
    /// Calls that kill whatever the default verdict, by number.
    killing: &'static [u32],
    meets_in_ipc: bool,
    refuses_code: bool,
    notifies_of_processes: bool,
    programs: [&'static [Instruction]; Variant::ALL.len()],
}

static BUILT_IN: &[BuiltIn] = include!(concat!(env!("OUT_DIR"), "/built_in_profiles.rs"));

/// The one that is used unless another is named.
pub const DEFAULT: &str = "static";

/// The built-in profile of that name.
pub fn built_in(name: &str) -> Option<&'static BuiltIn> {
    BUILT_IN.iter().find(|profile| profile.name == name)
}

/// The names of the built-in profiles.
pub fn names_built_in() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|profile| profile.name)
}

impl BuiltIn {
    /// The profile with its reasons, read again: for those who want to see it.
    fn read(&self) -> Result<Profile, parse::ProfileError> {
        let mut include = |name: &str| match included(name) {
            Some(text) => Ok((name.to_owned(), text.to_owned())),
            None => Err(format!("no built-in profile is called '{name}'")),
        };
        parse::parse(self.name, self.text, names::NATIVE, &mut include)
    }
}

impl Loaded {
    pub fn name(&self) -> &str {
        match self {
            Loaded::BuiltIn(built_in) => built_in.name,
            Loaded::File { name, .. } => name,
        }
    }

    pub fn traits(&self) -> Traits {
        match self {
            Loaded::BuiltIn(built_in) => built_in.traits,
            Loaded::File { profile, .. } => profile.traits,
        }
    }

    /// The errno that answers a notified call by the machine's own ABI; None where the call ends the sandbox.
    pub fn answer(&self, number: u32, args: &[u64; 6]) -> Option<u16> {
        let Action::Errno(errno) = self.traits().default else { return None };
        let kills = match self {
            // No condition of a built-in profile kills (see the test).
            Loaded::BuiltIn(built_in) => built_in.killing.contains(&number),
            Loaded::File { profile, .. } => profile.verdict(number, args) == Some(Action::Notify),
        };
        (!kills).then_some(errno)
    }

    pub fn executes_tree(&self) -> bool {
        self.traits().exec == Exec::Tree
    }

    /// Whether two sandboxes could meet in an ipc namespace.
    pub fn meets_in_ipc(&self) -> bool {
        match self {
            Loaded::BuiltIn(built_in) => built_in.meets_in_ipc,
            Loaded::File { profile, .. } => profile.meets_in_ipc(),
        }
    }

    /// Whether it never lets memory be made executable.
    pub fn refuses_code(&self) -> bool {
        match self {
            Loaded::BuiltIn(built_in) => built_in.refuses_code,
            Loaded::File { profile, .. } => profile.refuses_code(),
        }
    }

    /// Whether a zygote can clone its sandboxes.
    pub fn notifies_of_processes(&self) -> bool {
        match self {
            Loaded::BuiltIn(built_in) => built_in.notifies_of_processes,
            Loaded::File { profile, .. } => profile.notifies_of_processes(),
        }
    }

    /// The calls with their reasons.
    pub fn profile(&self) -> Result<Profile, parse::ProfileError> {
        match self {
            Loaded::BuiltIn(built_in) => built_in.read(),
            Loaded::File { profile, .. } => Ok(profile.clone()),
        }
    }

    pub fn program(&self, variant: Variant) -> Result<Cow<'static, [Instruction]>, CompileError> {
        match self {
            Loaded::BuiltIn(built_in) => Ok(Cow::Borrowed(built_in.programs[variant.index()])),
            Loaded::File { profile, .. } => compile::compile(profile, names::NATIVE, variant).map(Cow::Owned),
        }
    }
}
