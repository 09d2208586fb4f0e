//! Bytes from before UTF-8: the two code pages whose letters and lines are where Latin-1 has
//! control characters.

/// 0x80 to 0x9F in Windows-1252. The five that it leaves open are controls in Latin-1 too.
const WINDOWS_1252: [char; 32] = [
    '€', '?', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '?', 'Ž', '?', //
    '?', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '?', 'ž', 'Ÿ',
];

/// 0x80 to 0xFF in code page 437, that of the IBM PC.
const CP437: [char; 128] = [
    'Ç', 'ü', 'é', 'â', 'ä', 'à', 'å', 'ç', 'ê', 'ë', 'è', 'ï', 'î', 'ì', 'Ä', 'Å', //
    'É', 'æ', 'Æ', 'ô', 'ö', 'ò', 'û', 'ù', 'ÿ', 'Ö', 'Ü', '¢', '£', '¥', '₧', 'ƒ', //
    'á', 'í', 'ó', 'ú', 'ñ', 'Ñ', 'ª', 'º', '¿', '⌐', '¬', '½', '¼', '¡', '«', '»', //
    '░', '▒', '▓', '│', '┤', '╡', '╢', '╖', '╕', '╣', '║', '╗', '╝', '╜', '╛', '┐', //
    '└', '┴', '┬', '├', '─', '┼', '╞', '╟', '╚', '╔', '╩', '╦', '╠', '═', '╬', '╧', //
    '╨', '╤', '╥', '╙', '╘', '╒', '╓', '╫', '╪', '┘', '┌', '█', '▄', '▌', '▐', '▀', //
    'α', 'ß', 'Γ', 'π', 'Σ', 'σ', 'µ', 'τ', 'Φ', 'Θ', 'Ω', 'δ', '∞', 'φ', 'ε', '∩', //
    '≡', '±', '≥', '≤', '⌠', '⌡', '÷', '≈', '°', '∙', '·', '√', 'ⁿ', '²', '■', '\u{a0}',
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CodePage {
    /// No byte is where Latin-1 has controls, so the bytes can stay as they are.
    Latin1,
    Windows1252,
    Cp437,
}

impl CodePage {
    /// The most likely code page of a line that is not UTF-8. Windows-1252 has punctuation at 0x80 to 0x9F,
    /// which stands at the edge of a word; code page 437 has letters there, which stand inside, and lines
    /// above them, which stand in rows.
    pub(crate) fn of(line: &[u8]) -> CodePage {
        let (mut windows, mut ibm, mut seen) = (0, 0, false);
        let neighbour = |at: Option<usize>| at.and_then(|at| line.get(at)).copied().unwrap_or(b' ');
        for (at, byte) in invalid(line) {
            seen |= is_c1(byte);
            let (before, after) = (neighbour(at.checked_sub(1)), neighbour(Some(at + 1)));
            let in_word = before.is_ascii_alphabetic() && after.is_ascii_alphabetic();
            match byte {
                0x81 | 0x8D | 0x8F | 0x90 | 0x9D => ibm += 2,
                0x92 if in_word => windows += 2,
                // Opening quotes follow no letter.
                0x82 | 0x84 | 0x91 | 0x93 if before.is_ascii_alphabetic() => ibm += 1,
                0x82 | 0x84..=0x86 | 0x91..=0x97 if !in_word => windows += 1,
                0x8A | 0x8C | 0x8E | 0x9A | 0x9C | 0x9E | 0x9F => windows += 1,
                0x80..=0x9F if in_word => ibm += 1,
                0xB0..=0xDF if before == byte || after == byte => ibm += 1,
                _ => {}
            }
        }
        match seen {
            false => CodePage::Latin1,
            true if ibm > windows => CodePage::Cp437,
            true => CodePage::Windows1252,
        }
    }

    /// A byte that is no part of UTF-8, as the character that it stands for.
    pub(crate) fn character(self, byte: u8) -> char {
        match self {
            CodePage::Cp437 if byte >= 0x80 => CP437[usize::from(byte - 0x80)],
            CodePage::Windows1252 if is_c1(byte) => WINDOWS_1252[usize::from(byte - 0x80)],
            CodePage::Latin1 | CodePage::Windows1252 | CodePage::Cp437 => char::from(byte),
        }
    }
}

/// The bytes that are no part of UTF-8, with their places.
fn invalid(line: &[u8]) -> impl Iterator<Item = (usize, u8)> {
    let mut at = 0;
    line.utf8_chunks().flat_map(move |chunk| {
        let start = at + chunk.valid().len();
        at = start + chunk.invalid().len();
        chunk.invalid().iter().enumerate().map(move |(index, &byte)| (start + index, byte))
    })
}

/// Latin-1's second set of control characters: a terminal may act on them.
fn is_c1(byte: u8) -> bool {
    (0x80..0xA0).contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &[u8]) -> String {
        let page = CodePage::of(line);
        line.iter().map(|&byte| page.character(byte)).collect()
    }

    #[test]
    fn quotes_and_dashes_are_windows_1252() {
        assert_eq!(read(b"I don\x92t \x93know\x94 \x96 well\x85"), "I don’t “know” – well…");
        assert_eq!(read(b"100 \x80 caf\xE9"), "100 € café");
    }

    #[test]
    fn letters_inside_words_and_rows_of_lines_are_code_page_437() {
        assert_eq!(read(b"gr\x81n, sch\x94n, M\x84rz"), "grün, schön, März");
        assert_eq!(read(b"\xDA\xC4\xC4\xC4\xBF caf\x82"), "┌───┐ café");
    }

    #[test]
    fn latin_1_has_none_of_them() {
        assert_eq!(CodePage::of(b"gr\xFCn"), CodePage::Latin1);
        assert_eq!(CodePage::of("grün “x”".as_bytes()), CodePage::Latin1);
    }

    #[test]
    fn no_byte_becomes_a_control_character() {
        for byte in 0x80..=0xFF {
            for page in [CodePage::Windows1252, CodePage::Cp437] {
                assert!(!page.character(byte).is_control(), "{byte:#x}");
            }
        }
    }
}
