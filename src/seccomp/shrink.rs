//! Shortens a program without changing its meaning. Installing filters is most of a launch's cost in the
//! kernel, and seccompiler emits jumps to jumps.
//!
//! A jump to a jump goes directly to the final target. A jump to a return uses the last equal return in
//! reach, so the others become unreachable. Unreachable instructions are removed. The order stays, so each
//! distance that fitted still fits. Tests compare the result with the tables, number by number.

use super::bpf::{Instruction, JUMP_ALWAYS, JUMP_EQUAL, LOAD_WORD as LOAD, RETURN};

/// The class of jumps (BPF_JMP), in the low bits of a code.
const CLASS: u16 = 0x07;
const CLASS_JUMP: u16 = 0x05;
/// BPF_ALU | BPF_AND | BPF_K.
const AND: u16 = 0x54;
/// Reach of a conditional jump's offset.
const REACH: usize = u8::MAX as usize;

/// Where an instruction leads.
#[derive(Debug, Clone, Copy)]
enum Next {
    Nowhere,
    /// The following instruction: this one is no jump.
    Following,
    Always(usize),
    /// If its condition holds, else.
    Either(usize, usize),
}

fn next(program: &[Instruction], index: usize) -> Next {
    let Some(instruction) = program.get(index) else { return Next::Nowhere };
    let after = |offset: usize| index + 1 + offset;
    if let Some(target) = certain(program, index) {
        return Next::Always(target);
    }
    match instruction.code {
        RETURN => Next::Nowhere,
        JUMP_ALWAYS => Next::Always(after(usize::try_from(instruction.k).unwrap_or(usize::MAX / 2))),
        code if code & CLASS == CLASS_JUMP => {
            Next::Either(after(instruction.jt.into()), after(instruction.jf.into()))
        }
        _ => Next::Following,
    }
}

/// Where it leads if this loads a word, masks all of it away and compares nothing with nothing: seccompiler's
/// way with the half of a masked value that has no bits. What follows must not ask for what was loaded.
fn certain(program: &[Instruction], index: usize) -> Option<usize> {
    let [load, and, compare] = program.get(index..index + 3)? else { return None };
    let found =
        (load.code == LOAD) && (and.code, and.k) == (AND, 0) && (compare.code, compare.k) == (JUMP_EQUAL, 0);
    let target = index + 3 + usize::from(compare.jt);
    let loads_anew = program.get(target).is_some_and(|next| matches!(next.code, LOAD | RETURN));
    (found && loads_anew).then_some(target)
}

/// The instruction that a jump to `index` ends at.
fn end_of(program: &[Instruction], mut index: usize) -> usize {
    while let Next::Always(target) = next(program, index) {
        index = target;
    }
    index
}

/// Where a conditional jump at `from` to `target` had best go.
fn best(program: &[Instruction], from: usize, target: usize) -> usize {
    let end = end_of(program, target);
    let last = from + 1 + REACH;
    if end > last {
        return target;
    }
    let Some(wanted) = program.get(end).filter(|instruction| instruction.code == RETURN) else { return end };
    let is_same = |index: &usize| program.get(*index).is_some_and(|i| (i.code, i.k) == (RETURN, wanted.k));
    (end..=last.min(program.len())).rev().find(is_same).unwrap_or(end)
}

/// An instruction that stays, with its targets as indices into the old program.
struct Kept {
    index: usize,
    next: Next,
}

/// Instructions that are reached from the first, in order.
fn reached(program: &[Instruction]) -> Vec<Kept> {
    let mut wanted = vec![false; program.len() + 1];
    let mut kept = Vec::new();
    // Jumps go forward, so one pass finds all.
    wanted.first_mut().into_iter().for_each(|first| *first = true);
    for index in 0..program.len() {
        if !wanted.get(index).copied().unwrap_or(false) {
            continue;
        }
        let next = match next(program, index) {
            Next::Either(yes, no) => Next::Either(best(program, index, yes), best(program, index, no)),
            Next::Always(target) => Next::Always(end_of(program, target)),
            other => other,
        };
        let targets = match next {
            Next::Nowhere => [None, None],
            Next::Following => [Some(index + 1), None],
            Next::Always(target) => [Some(target), None],
            Next::Either(yes, no) => [Some(yes), Some(no)],
        };
        for target in targets.into_iter().flatten() {
            wanted.get_mut(target).into_iter().for_each(|wanted| *wanted = true);
        }
        kept.push(Kept { index, next });
    }
    kept
}

pub(crate) fn shrink(program: &[Instruction]) -> Vec<Instruction> {
    let kept = reached(program);
    let mut places = vec![0; program.len() + 1];
    for (place, kept) in kept.iter().enumerate() {
        places.get_mut(kept.index).into_iter().for_each(|old| *old = place);
    }
    let distance = |place: usize, target: usize| places.get(target).map_or(0, |new| new - place - 1);
    let with_new_distances = |(place, kept): (usize, &Kept)| {
        let mut instruction = *program.get(kept.index)?;
        match kept.next {
            // A load whose comparison is certain is a jump now.
            Next::Always(target) => {
                let k = u32::try_from(distance(place, target)).ok()?;
                instruction = Instruction { code: JUMP_ALWAYS, jt: 0, jf: 0, k };
            }
            Next::Either(yes, no) => {
                instruction.jt = u8::try_from(distance(place, yes)).ok()?;
                instruction.jf = u8::try_from(distance(place, no)).ok()?;
            }
            Next::Nowhere | Next::Following => {}
        }
        Some(instruction)
    };
    let shorter: Option<Vec<_>> = kept.iter().enumerate().map(with_new_distances).collect();
    shorter.unwrap_or_else(|| program.to_vec())
}
