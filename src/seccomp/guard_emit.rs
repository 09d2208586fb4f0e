//! Instructions of the guard: constructors of its own, which nothing that compiles profiles uses.

pub(crate) type Instruction = libc::sock_filter;

pub(crate) const fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> Instruction {
    Instruction { code, jt, jf, k }
}

/// BPF_RET | BPF_K
pub(crate) const fn give(action: u32) -> Instruction {
    instruction(0x06, 0, 0, action)
}

/// BPF_LD | BPF_W | BPF_ABS of `struct seccomp_data`: number, architecture, instruction pointer, six
/// arguments.
pub(crate) const fn load(offset: u32) -> Instruction {
    instruction(0x20, 0, 0, offset)
}

pub(crate) const NUMBER: u32 = 0;
pub(crate) const ARCH: u32 = 4;

/// The low word of an argument comes first: both machines are little endian.
pub(crate) const fn low_word(argument: u32) -> Instruction {
    load(16 + 8 * argument)
}

pub(crate) const fn high_word(argument: u32) -> Instruction {
    load(20 + 8 * argument)
}

/// Runs the next instruction if the loaded word equals `k`, else skips it (BPF_JMP | BPF_JEQ | BPF_K).
pub(crate) const fn if_equal(k: u32) -> Instruction {
    instruction(0x15, 0, 1, k)
}

/// Runs the next instruction unless the loaded word equals `k`.
pub(crate) const fn unless_equal(k: u32) -> Instruction {
    instruction(0x15, 1, 0, k)
}

/// Runs the next instruction if the loaded word is `k` or more (BPF_JMP | BPF_JGE | BPF_K).
pub(crate) const fn if_at_least(k: u32) -> Instruction {
    instruction(0x35, 0, 1, k)
}

/// Runs the next instruction if the loaded word has any bit of `k` (BPF_JMP | BPF_JSET | BPF_K).
pub(crate) const fn if_any_bit(k: u32) -> Instruction {
    instruction(0x45, 0, 1, k)
}

/// Runs the next instruction unless the loaded word has any bit of `k`.
pub(crate) const fn unless_any_bit(k: u32) -> Instruction {
    instruction(0x45, 1, 0, k)
}

/// Skips this many instructions if the loaded word equals `k`.
pub(crate) const fn if_equal_skip(k: u32, skipped: usize) -> Instruction {
    instruction(0x15, offset(skipped), 0, k)
}

/// Skips this many instructions unless the loaded word equals `k`.
pub(crate) const fn unless_equal_skip(k: u32, skipped: usize) -> Instruction {
    instruction(0x15, 0, offset(skipped), k)
}

/// Skips this many instructions (BPF_JMP | BPF_JA).
pub(crate) const fn skip(skipped: u32) -> Instruction {
    instruction(0x05, 0, 0, skipped)
}

/// The loaded word becomes its difference to `k`, zero where they are equal (BPF_ALU | BPF_XOR | BPF_K).
pub(crate) const fn differ(k: u32) -> Instruction {
    instruction(0xa4, 0, 0, k)
}

/// Keeps the loaded word beside (BPF_MISC | BPF_TAX).
pub(crate) const fn keep() -> Instruction {
    instruction(0x07, 0, 0, 0)
}

/// The bits of the kept word are added to the loaded one's (BPF_ALU | BPF_OR | BPF_X).
pub(crate) const fn join_kept() -> Instruction {
    instruction(0x4c, 0, 0, 0)
}

/// A conditional jump reaches 255 instructions.
#[allow(clippy::cast_possible_truncation, reason = "the assertion is made when dayfly is compiled")]
pub(crate) const fn offset(skipped: usize) -> u8 {
    assert!(skipped <= u8::MAX as usize);
    skipped as u8
}
