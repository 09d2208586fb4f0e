//! Compiles the built-in seccomp profiles with dayfly, by the same crate that reads an operator's profile at
//! run time: a launch finds their programs ready, and a mistake in one of them is an error of the build.

#![allow(clippy::disallowed_macros, reason = "cargo listens to stdout")]

use seccomp::abi::Variant;
use seccomp::compile;
use seccomp::profile::{parse, texts};
use std::fmt::Write;
use sys::names::Machine;
use sys::seccomp::Instruction;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let target = std::env::var("CARGO_CFG_TARGET_ARCH")?;
    let machine = Machine::ALL.into_iter().find(|machine| machine.name() == target);
    let machine = machine.ok_or_else(|| format!("dayfly does not know the calls of {target}"))?;
    let mut source = String::from("&[");
    for (name, text) in texts::PROFILES {
        source.push_str(&built_in(name, text, machine)?);
    }
    source.push(']');
    let directory = std::env::var("OUT_DIR")?;
    Ok(std::fs::write(std::path::Path::new(&directory).join("built_in_profiles.rs"), source)?)
}

fn array(program: &[Instruction]) -> String {
    let instruction =
        |i: &Instruction| format!("Instruction{{code:{},jt:{},jf:{},k:{}}},", i.code, i.jt, i.jf, i.k);
    format!("&[{}]", program.iter().map(instruction).collect::<String>())
}

/// One profile as a Rust expression.
fn built_in(name: &str, text: &str, machine: Machine) -> Result<String, Box<dyn std::error::Error>> {
    let mut include = |name: &str| match texts::included(name) {
        Some(text) => Ok((name.to_owned(), text.to_owned())),
        None => Err(format!("no built-in profile is called '{name}'")),
    };
    let profile = parse::parse(name, text, machine, &mut include).map_err(|error| error.to_string())?;
    let traits = profile.traits;
    let mut source = String::new();
    write!(
        source,
        "BuiltIn {{ name: {name:?}, text: {text:?}, \
         traits: Traits {{ default: Action::{:?}, exec: Exec::{:?}, init: {}, tasks: {}, locks: {} }}, \
         killing: &{:?}, meets_in_ipc: {}, refuses_code: {}, notifies_of_processes: {}, \
         programs: [",
        traits.default,
        traits.exec,
        traits.init,
        traits.tasks,
        traits.locks,
        profile.killing().collect::<Vec<_>>(),
        profile.meets_in_ipc(),
        profile.refuses_code(),
        profile.notifies_of_processes()
    )?;
    for variant in Variant::ALL {
        let program = compile::compile(&profile, machine, variant).map_err(|error| error.to_string())?;
        source.push_str(&array(&program));
        source.push(',');
    }
    source.push_str("] },\n");
    Ok(source)
}
