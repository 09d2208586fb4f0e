//! Classic BPF as seccomp(2) takes it: constants, constructors, and a choice by number. build.rs compiles
//! this file too.

use std::mem::offset_of;

/// `struct sock_filter`.
pub(crate) type Instruction = libc::sock_filter;

pub(crate) const LOAD_WORD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
pub(crate) const JUMP_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const JUMP_GREATER_EQUAL: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
pub(crate) const JUMP_ALWAYS: u16 = 0x05; // BPF_JMP | BPF_JA
pub(crate) const RETURN: u16 = 0x06; // BPF_RET | BPF_K

pub(crate) const NOTIFY: u32 = libc::SECCOMP_RET_USER_NOTIF;
pub(crate) const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;

pub(crate) fn errno(number: u16) -> u32 {
    libc::SECCOMP_RET_ERRNO | u32::from(number)
}

/// A field of `struct seccomp_data`, by its offset.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Field {
    Number,
    Arch,
    ArgLow(u8),
}

impl Field {
    fn offset(self) -> u32 {
        // Little endian on both architectures: the low word comes first.
        match self {
            Field::Number => 0,
            Field::Arch => 4,
            Field::ArgLow(index) => 16 + 8 * u32::from(index),
        }
    }
}

const _: () = assert!(offset_of!(libc::seccomp_data, args) == 16);

pub(crate) fn load(field: Field) -> Instruction {
    Instruction { code: LOAD_WORD, jt: 0, jf: 0, k: field.offset() }
}

/// Comes first in a program, and no decision needs it. When a filter is installed the kernel runs it in
/// software for each number of both architectures, to know which calls it need not ask for; it stops where an
/// argument is loaded (kernel/seccomp.c, seccomp_is_const_allow, Linux 5.11). Looking at an argument at once
/// spares a launch those thousand runs, twice; each later call pays with two short programs, which a sandbox
/// would have to make thousands of to lose.
pub(crate) fn not_by_number_alone() -> Instruction {
    load(Field::ArgLow(0))
}

pub(crate) fn give(action: u32) -> Instruction {
    Instruction { code: RETURN, jt: 0, jf: 0, k: action }
}

/// Runs the next instruction if the loaded word equals `k`, else skips it.
pub(crate) fn if_equal(k: u32) -> Instruction {
    Instruction { code: JUMP_EQUAL, jt: 0, jf: 1, k }
}

/// Runs the next instruction unless the loaded word equals `k`.
pub(crate) fn unless_equal(k: u32) -> Instruction {
    Instruction { code: JUMP_EQUAL, jt: 1, jf: 0, k }
}

/// Runs the next instruction if the loaded word is `k` or more.
pub(crate) fn if_at_least(k: u32) -> Instruction {
    Instruction { code: JUMP_GREATER_EQUAL, jt: 0, jf: 1, k }
}

/// The code for each call number, and `otherwise` for all numbers between: the loaded number chooses by
/// halves, so that each call is decided in few steps. When a filter is installed the kernel converts and
/// compiles the program and runs it for every number there is, to know what it need not ask; length and depth
/// are most of what an installation costs.
///
/// `calls` are sorted by number; the code of each must end in a return on every path.
pub(crate) fn decide(calls: &[(u32, Vec<Instruction>)], otherwise: u32) -> Vec<Instruction> {
    let mut ranges = vec![(0, vec![give(otherwise)])];
    for (number, code) in calls {
        begin(&mut ranges, *number, code.clone());
        begin(&mut ranges, number + 1, vec![give(otherwise)]);
    }
    choose(&ranges)
}

/// Begins a range at `number` with this code. Neighbours that do the same become one range.
fn begin(ranges: &mut Vec<(u32, Vec<Instruction>)>, number: u32, code: Vec<Instruction>) {
    if ranges.last().is_some_and(|(start, _)| *start == number) {
        ranges.pop();
    }
    if ranges.last().is_none_or(|(_, before)| !is_same(before, &code)) {
        ranges.push((number, code));
    }
}

fn is_same(one: &[Instruction], other: &[Instruction]) -> bool {
    let fields = |i: &Instruction| (i.code, i.jt, i.jf, i.k);
    one.iter().map(fields).eq(other.iter().map(fields))
}

/// `ranges` are sorted by their first number.
fn choose(ranges: &[(u32, Vec<Instruction>)]) -> Vec<Instruction> {
    let (first, rest) = match ranges {
        [] => return Vec::new(),
        [(_, code)] => return code.clone(),
        _ => ranges.split_at(ranges.len() / 2),
    };
    let (below, above) = (choose(first), choose(rest));
    let start = rest.first().map_or(0, |(number, _)| *number);
    // A conditional jump reaches 255 instructions, an unconditional one all.
    let mut code = match (u8::try_from(below.len()), u32::try_from(below.len()).unwrap_or(u32::MAX)) {
        (Ok(over), _) => vec![Instruction { code: JUMP_GREATER_EQUAL, jt: over, jf: 0, k: start }],
        (Err(_), over) => {
            vec![if_at_least(start), Instruction { code: JUMP_ALWAYS, jt: 0, jf: 0, k: over }]
        }
    };
    code.extend(below);
    code.extend(above);
    code
}
