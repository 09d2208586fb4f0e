//! A small interpreter of the BPF in our filters: it tells what the kernel would answer.

use libc::sock_filter as Instruction;

/// A call, as `struct seccomp_data` has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) number: u32,
    /// Its name on the machine: a scan that is made once a number.
    #[cfg_attr(not(test), allow(dead_code, reason = "tests read it"))]
    pub(crate) name: &'static str,
    pub(crate) arch: u32,
    pub(crate) args: [u64; 6],
}

impl Call {
    /// The word at an offset of `struct seccomp_data`.
    #[allow(clippy::cast_possible_truncation, reason = "words are cut out of arguments")]
    fn word(&self, offset: u32) -> u32 {
        let argument = self.args.get((offset as usize).saturating_sub(16) / 8).copied().unwrap_or(0);
        match offset {
            0 => self.number,
            4 => self.arch,
            16.. if offset.is_multiple_of(8) => argument as u32,
            16.. => (argument >> 32) as u32,
            _ => unreachable!("no filter of ours looks at offset {offset}"),
        }
    }
}

/// The answer of a program.
pub(crate) fn interpret(program: &[Instruction], call: &Call) -> u32 {
    let (mut word, mut index, mut at) = (0, 0, 0);
    loop {
        let Instruction { code, jt, jf, k } = program[at];
        let jump = |holds: bool| if holds { usize::from(jt) } else { usize::from(jf) };
        at += 1;
        match code {
            0x20 => word = call.word(k),
            0x54 => word &= k,
            0xa4 => word ^= k,
            0x07 => index = word,
            0x4c => word |= index,
            0x05 => at += k as usize,
            0x15 => at += jump(word == k),
            0x25 => at += jump(word > k),
            0x35 => at += jump(word >= k),
            0x45 => at += jump(word & k != 0),
            0x06 => return k,
            code => unreachable!("no filter of ours has an instruction {code:#x}"),
        }
    }
}
