//! The kind of program that a handler is, from its first bytes.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// How the kernel would run a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// ELF of this machine without an interpreter.
    Static,
    /// ELF of this machine that wants this loader.
    Dynamic(OsString),
    /// `#!`, the interpreter and its one optional argument.
    Script(OsString, Option<OsString>),
    /// ELF of another machine, or no ELF at all; the text says which.
    Foreign(&'static str),
}

/// Length of a file's beginning that decides: the ELF header, its program headers, or the `#!` line.
pub(crate) const HEAD: usize = 4096;

const PT_INTERP: u32 = 3;
const PROGRAM_HEADER_LEN: usize = 56;

#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;

/// Decides from the first [`HEAD`] bytes. An ELF file's program headers must lie in them, as every linker
/// puts them.
pub(crate) fn classify(head: &[u8]) -> Program {
    if let Some(line) = head.strip_prefix(b"#!") {
        return script(line);
    }
    match elf(head) {
        Some(program) => program,
        None => Program::Foreign("a damaged ELF file"),
    }
}

fn script(line: &[u8]) -> Program {
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii();
    let (interpreter, argument) = match line.iter().position(|byte| matches!(byte, b' ' | b'\t')) {
        Some(end) => line.split_at(end),
        None => (line, &[][..]),
    };
    let argument = argument.trim_ascii();
    if interpreter.is_empty() {
        return Program::Foreign("a script without an interpreter");
    }
    let argument = (!argument.is_empty()).then(|| OsStr::from_bytes(argument).to_owned());
    Program::Script(OsStr::from_bytes(interpreter).to_owned(), argument)
}

fn elf(head: &[u8]) -> Option<Program> {
    if !head.starts_with(b"\x7fELF") {
        return Some(Program::Foreign("neither an ELF file nor a #! script"));
    }
    if head.get(4..6)? != [2, 1] || u16_at(head, 18)? != MACHINE {
        return Some(Program::Foreign("an ELF file for another machine"));
    }
    let table = usize::try_from(u64_at(head, 32)?).ok()?;
    if usize::from(u16_at(head, 54)?) != PROGRAM_HEADER_LEN {
        return None;
    }
    for index in 0..usize::from(u16_at(head, 56)?) {
        let header = table.checked_add(index * PROGRAM_HEADER_LEN)?;
        if u32_at(head, header)? == PT_INTERP {
            return Some(Program::Dynamic(interpreter(head, header)?));
        }
    }
    Some(Program::Static)
}

/// Unusual properties of an ELF program, from its first [`HEAD`] bytes.
pub(crate) fn oddities(head: &[u8]) -> Vec<&'static str> {
    const EXECUTABLE: u16 = 2;
    const PT_LOAD: u32 = 1;
    const PT_GNU_STACK: u32 = 0x6474_e551;
    const EXECUTES: u32 = 1;
    const WRITES: u32 = 2;
    let mut oddities = Vec::new();
    if !head.starts_with(b"\x7fELF") {
        return oddities;
    }
    if u16_at(head, 16) == Some(EXECUTABLE) {
        oddities.push("it is not position-independent: its code is always at the same address");
    }
    let headers = headers(head);
    let flags = |kind: u32| headers.iter().filter(move |(found, _)| *found == kind).map(|(_, flags)| *flags);
    if flags(PT_LOAD).any(|flags| flags & (EXECUTES | WRITES) == EXECUTES | WRITES) {
        oddities.push("it has memory that is writable and executable");
    }
    if flags(PT_GNU_STACK).any(|flags| flags & EXECUTES != 0) {
        oddities.push("it asks for an executable stack");
    }
    oddities
}

/// Kind and flags of each program header in the head.
fn headers(head: &[u8]) -> Vec<(u32, u32)> {
    let table = u64_at(head, 32).and_then(|offset| usize::try_from(offset).ok());
    let count = u16_at(head, 56).map_or(0, usize::from);
    let header = |index: usize| {
        let at = table?.checked_add(index * PROGRAM_HEADER_LEN)?;
        Some((u32_at(head, at)?, u32_at(head, at.checked_add(4)?)?))
    };
    (0..count).map_while(header).collect()
}

fn interpreter(head: &[u8], header: usize) -> Option<OsString> {
    let offset = usize::try_from(u64_at(head, header.checked_add(8)?)?).ok()?;
    let path = head.get(offset..)?.split(|byte| *byte == 0).next()?;
    Some(OsStr::from_bytes(path).to_owned())
}

fn array_at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..offset.checked_add(N)?)?.try_into().ok()
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    array_at(bytes, offset).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    array_at(bytes, offset).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    array_at(bytes, offset).map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_names_its_interpreter_and_one_argument() {
        let script = |line: &[u8]| classify(line);
        assert_eq!(script(b"#!/bin/lua\nprint"), Program::Script("/bin/lua".into(), None));
        assert_eq!(script(b"#! /bin/sh -e -u \nx"), Program::Script("/bin/sh".into(), Some("-e -u".into())));
        assert!(matches!(script(b"#!\n"), Program::Foreign(_)));
    }

    #[test]
    fn this_test_program_wants_a_loader() {
        let mut head = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        head.truncate(HEAD);
        assert!(matches!(classify(&head), Program::Dynamic(_)));
    }

    #[test]
    fn an_executable_stack_is_odd() {
        let mut head = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        head.truncate(HEAD);
        assert_eq!(oddities(&head), [""; 0]);
        let table = usize::try_from(u64_at(&head, 32).unwrap()).unwrap();
        let stack =
            (0..).map(|n| table + n * PROGRAM_HEADER_LEN).find(|at| u32_at(&head, *at) == Some(0x6474_e551));
        head[stack.unwrap() + 4] |= 1;
        assert_eq!(oddities(&head), ["it asks for an executable stack"]);
    }

    #[test]
    fn no_prefix_of_an_elf_file_panics() {
        let head = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        for end in 0..HEAD {
            classify(&head[..end]);
            oddities(&head[..end]);
        }
    }

    #[test]
    fn text_and_other_machines_are_told_apart() {
        assert_eq!(classify(b"hello"), Program::Foreign("neither an ELF file nor a #! script"));
        let mut head = vec![0; 64];
        head[..6].copy_from_slice(b"\x7fELF\x02\x01");
        head[18] = 8;
        assert_eq!(classify(&head), Program::Foreign("an ELF file for another machine"));
    }
}
