//! Conditions on arguments: `int1 == F_GETFD or int1 == F_SETFL and arg2 has no O_ASYNC`.

use super::constants;
use super::model::Condition;
use super::statement::{Flaw, Place, Word, flaw};
use sys::names::Machine;

const ALTERNATIVES_MAX: usize = 64;

/// Alternatives, each a list of conditions that must hold together. `after` is the place where the words
/// should begin.
pub(super) fn parse(words: &[Word<'_>], after: Place, machine: Machine) -> Result<Vec<Vec<Condition>>, Flaw> {
    let mut alternatives = Vec::new();
    for alternative in words.split(|word| word.text == "or") {
        let mut conditions = Vec::new();
        for condition in alternative.split(|word| word.text == "and") {
            conditions.push(one(condition, after, machine)?);
        }
        if conflict(&conditions) {
            let place = alternative.first().map_or(after, |word| word.place);
            return flaw(place, "this is never true: two conditions exclude each other");
        }
        alternatives.push(conditions);
    }
    check_number(&alternatives, after).map(|()| alternatives)
}

/// A bound, so that no text costs much.
pub(super) fn check_number(alternatives: &[Vec<Condition>], place: Place) -> Result<(), Flaw> {
    if alternatives.len() > ALTERNATIVES_MAX {
        return flaw(place, format!("more than {ALTERNATIVES_MAX} alternatives"));
    }
    Ok(())
}

fn one(words: &[Word<'_>], after: Place, machine: Machine) -> Result<Condition, Flaw> {
    let Some((subject, rest)) = words.split_first() else {
        return flaw(after, "a condition is missing before or after this");
    };
    let (width, index) = argument(subject)?;
    let texts: Vec<_> = rest.iter().map(|word| word.text).collect();
    let number = |at: usize| number(&rest[at], width, machine);
    let condition = match (width, texts.as_slice()) {
        (Width::Int, ["==", _]) => Condition::Word(index, low(number(1)?)),
        (Width::Int, ["<=", _]) => Condition::WordAtMost(index, low(number(1)?)),
        (Width::Int, [">=", _]) => Condition::WordAtLeast(index, low(number(1)?)),
        (Width::Long, ["==", _]) => Condition::Masked { index, mask: u64::MAX, value: number(1)? },
        (Width::Long, ["has", "no", _]) => Condition::Masked { index, mask: number(2)?, value: 0 },
        (Width::Long, ["has", _]) => Condition::Masked { index, mask: number(1)?, value: number(1)? },
        (Width::Long, ["&", _, "==", _]) => masked(index, number(1)?, number(3)?, rest[3].place)?,
        (Width::Int, _) => return flaw(subject.place, "after an int: == VALUE, <= VALUE or >= VALUE"),
        (Width::Long, _) => {
            return flaw(subject.place, "after an arg: == VALUE, has BITS, has no BITS, or & BITS == VALUE");
        }
    };
    Ok(condition)
}

/// Whether two of them, about one argument, cannot hold together.
fn conflict(conditions: &[Condition]) -> bool {
    let pairs = conditions
        .iter()
        .enumerate()
        .flat_map(|(n, one)| conditions[..n].iter().map(move |other| (one, other)));
    pairs.into_iter().any(|(one, other)| {
        let ((i, low, high, mask, value), (j, low_too, high_too, mask_too, value_too)) =
            (reach(one), reach(other));
        let both = mask & mask_too;
        i == j && (low.max(low_too) > high.min(high_too) || value & both != value_too & both)
    })
}

/// The argument, the bounds of its low word, and the bits that are fixed with what they are.
fn reach(condition: &Condition) -> (u8, u32, u32, u64, u64) {
    match *condition {
        Condition::Word(index, value) => (index, value, value, u32::MAX.into(), value.into()),
        Condition::WordAtMost(index, most) => (index, 0, most, 0, 0),
        Condition::WordAtLeast(index, least) => (index, least, u32::MAX, 0, 0),
        Condition::Masked { index, mask, value } => (index, 0, u32::MAX, mask, value),
    }
}

fn masked(index: u8, mask: u64, value: u64, place: Place) -> Result<Condition, Flaw> {
    if value & !mask != 0 {
        return flaw(place, "this is never true: the value has bits outside the mask");
    }
    Ok(Condition::Masked { index, mask, value })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    /// `intN`: the low word, which is all that the kernel reads of an int argument.
    Int,
    /// `argN`: all 64 bits.
    Long,
}

fn argument(word: &Word<'_>) -> Result<(Width, u8), Flaw> {
    let (width, digit) = match (word.text.strip_prefix("int"), word.text.strip_prefix("arg")) {
        (Some(digit), _) => (Width::Int, digit),
        (_, Some(digit)) => (Width::Long, digit),
        (None, None) => return flaw(word.place, format!("invalid argument '{}': use {NUMBERS}", word.text)),
    };
    match digit.as_bytes() {
        [digit @ b'0'..=b'5'] => Ok((width, digit - b'0')),
        _ => flaw(word.place, format!("invalid argument '{}': use {NUMBERS}", word.text)),
    }
}

const NUMBERS: &str = "arg0 to arg5 (64 bits) or int0 to int5 (the low 32)";

/// Numbers and names, joined by `|`.
fn number(word: &Word<'_>, width: Width, machine: Machine) -> Result<u64, Flaw> {
    let mut all = 0;
    for part in word.text.split('|') {
        let known = literal(part).or_else(|| constants::value(machine, part));
        let Some(value) = known else {
            return flaw(word.place, format!("'{part}' is neither a number nor a known flag"));
        };
        all |= value;
    }
    match width {
        Width::Int if all > u64::from(u32::MAX) => flaw(word.place, "an int has 32 bits"),
        _ => Ok(all),
    }
}

fn literal(text: &str) -> Option<u64> {
    match (text.strip_prefix("0x"), text.strip_prefix("0o")) {
        (Some(hex), _) => u64::from_str_radix(hex, 16).ok(),
        (_, Some(octal)) => u64::from_str_radix(octal, 8).ok(),
        (None, None) => text.parse().ok(),
    }
}

/// Within 32 bits, as [`number`] has checked.
fn low(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
