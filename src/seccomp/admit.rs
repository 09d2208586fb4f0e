//! In front of a profile: calls that are allowed to whoever knows a token, whatever the profile says.
//!
//! The sandboxes of a zygote inherit the profile before their own set-up. The calls that it takes carry a
//! random word in the last argument, at which the kernel does not look. Exec replaces the memory that the
//! word is in, so no handler knows it. A guess among 2^64 words tells nothing of another: both halves are
//! compared at once, and a call that the profile does not allow anyway ends the handler.

use super::bpf::{ALLOW, Field, Instruction, JUMP_EQUAL, give, load};

/// The arguments begin at 16, two words each; the last is the sixth.
const LAST_ARGUMENT: u8 = 5;

/// Into the index register, and back: BPF_ALU | BPF_XOR | BPF_K, BPF_MISC | BPF_TAX, BPF_ALU | BPF_OR | BPF_X.
const XOR: u16 = 0xa4;
const TO_INDEX: u16 = 0x07;
const OR_INDEX: u16 = 0x4c;

fn alu(code: u16, k: u32) -> Instruction {
    Instruction { code, jt: 0, jf: 0, k }
}

/// Calls that are admitted with any arguments, and those that are with these low words alone.
type Calls<'a> = (&'a [u32], &'a [(u32, &'a [(u8, i32)])]);

/// The profile's program, with the token's calls in front of it.
#[allow(clippy::cast_possible_truncation, reason = "the words of the token, and a list that is short")]
#[must_use]
pub fn with_token(
    profile: &[Instruction],
    audit_arch: u32,
    token: u64,
    (calls, judged): Calls<'_>,
) -> Vec<Instruction> {
    let (low, high) = (token as u32, (token >> 32) as u32);
    let high_word = Instruction { k: load(Field::ArgLow(LAST_ARGUMENT)).k + 4, ..load(Field::Number) };
    // Both halves in one comparison: by the time that a call takes, a handler could guess one after the other.
    let mut program = vec![load(Field::ArgLow(LAST_ARGUMENT)), alu(XOR, low), alu(TO_INDEX, 0)];
    program.extend([high_word, alu(XOR, high), alu(OR_INDEX, 0)]);
    // Each comparison that fails goes on with the profile, which loads what it looks at.
    let blocks: usize = judged.iter().map(|(_, arguments)| 3 + 2 * arguments.len()).sum();
    let length = program.len() + 4 + calls.len() + 1 + blocks;
    let mut check = |wanted: u32, next: Field| {
        let rest = length - program.len() - 1;
        program.push(Instruction { code: JUMP_EQUAL, jt: 0, jf: rest as u8, k: wanted });
        program.push(load(next));
    };
    check(0, Field::Arch);
    check(audit_arch, Field::Number);
    for (index, call) in calls.iter().enumerate() {
        // To the one return behind them; after the last one, beyond it.
        let (jt, is_last) = ((calls.len() - index - 1) as u8, index + 1 == calls.len());
        program.push(Instruction { code: JUMP_EQUAL, jt, jf: u8::from(is_last), k: *call });
    }
    program.push(give(ALLOW));
    for (call, arguments) in judged {
        let fields = arguments.iter().map(|(index, word)| (Field::ArgLow(*index), word.cast_unsigned()));
        // Each comparison that fails goes on with the next block.
        let mut rest = 2 + 2 * arguments.len();
        for (field, wanted) in [(Field::Number, *call)].into_iter().chain(fields) {
            program.push(load(field));
            rest -= 1;
            program.push(Instruction { code: JUMP_EQUAL, jt: 0, jf: rest as u8, k: wanted });
            rest -= 1;
        }
        program.push(give(ALLOW));
    }
    program.extend_from_slice(profile);
    program
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::{NOTIFY, RETURN};
    use crate::interpret::{Call, interpret};
    use sys::names::Machine;

    const TOKEN: u64 = 0x0123_4567_89ab_cdef;
    const CALLS: [u32; 3] = [10, 112, 126];
    /// The first and the last of the same call.
    const JUDGED: [(u32, &[(u8, i32)]); 3] = [(157, &[(0, 1), (1, 9)]), (72, &[(1, 1)]), (157, &[(0, 2)])];

    fn answer(number: u32, arch: u32, last: u64) -> u32 {
        answer_to(number, arch, [0, 0, 0, 0, 0, last])
    }

    fn answer_to(number: u32, arch: u32, args: [u64; 6]) -> u32 {
        let profile = [load(Field::Number), Instruction { code: RETURN, jt: 0, jf: 0, k: NOTIFY }];
        let program = with_token(&profile, Machine::X86_64.audit_arch(), TOKEN, (&CALLS, &JUDGED));
        interpret(&program, &Call { number, name: "", arch, args })
    }

    #[test]
    fn exactly_the_calls_that_carry_the_token_are_allowed() {
        let arch = Machine::X86_64.audit_arch();
        for number in 0..1024 {
            let expected = if CALLS.contains(&number) { ALLOW } else { NOTIFY };
            assert_eq!(answer(number, arch, TOKEN), expected, "{number}");
            assert_eq!(answer(number, Machine::Aarch64.audit_arch(), TOKEN), NOTIFY, "{number}");
            assert_eq!(answer(number | 0x4000_0000, arch, TOKEN), NOTIFY, "{number}");
        }
    }

    #[test]
    fn a_judged_call_is_allowed_with_its_arguments_alone() {
        let arch = Machine::X86_64.audit_arch();
        for (number, a, b, expected) in [
            (157, 1, 9, ALLOW),
            (157, 1, 0, NOTIFY),
            (157, 2, 0, ALLOW),
            (157, 2, 9, ALLOW),
            (157, 4, 9, NOTIFY),
            (72, 0, 1, ALLOW),
            (72, 1, 2, NOTIFY),
            (10, 7, 7, ALLOW),
        ] {
            assert_eq!(answer_to(number, arch, [a, b, 0, 0, 0, TOKEN]), expected, "{number} {a} {b}");
            assert_eq!(answer_to(number, arch, [a, b, 0, 0, 0, TOKEN ^ 1]), NOTIFY, "{number} {a} {b}");
        }
    }

    #[test]
    fn no_call_takes_longer_because_half_of_the_token_is_right() {
        let profile = [give(NOTIFY)];
        let program = with_token(&profile, Machine::X86_64.audit_arch(), TOKEN, (&CALLS, &JUDGED));
        let jump = program.iter().position(|instruction| instruction.code == JUMP_EQUAL).unwrap();
        let loads = program[..jump].iter().filter(|instruction| instruction.code == 0x20).map(|load| load.k);
        assert!(loads.eq([56, 60]));
    }

    #[test]
    fn every_bit_of_the_token_counts() {
        for bit in 0..64 {
            for number in CALLS {
                assert_eq!(answer(number, Machine::X86_64.audit_arch(), TOKEN ^ 1 << bit), NOTIFY, "{bit}");
            }
        }
    }
}
