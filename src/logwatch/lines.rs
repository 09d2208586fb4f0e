//! Whole lines from bytes that come in pieces, escaped so that each is one line of plain text.

/// A longer line is cut there; the watcher is told by how many bytes.
pub(crate) const LINE_BYTES_MAX: usize = 16 * 1024;

/// Collects lines. A piece may end within one.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// The beginning of the line that has no end yet.
    begun: Vec<u8>,
    /// How many more bytes it has, which are not kept.
    cut: u64,
}

impl Lines {
    /// Writes each line that a piece ends as `NAME: LINE` to `to`, and tells how many there were.
    pub(crate) fn add(&mut self, name: &[u8], piece: &[u8], to: &mut Vec<u8>) -> u64 {
        let mut count = 0;
        for part in piece.split_inclusive(|&byte| byte == b'\n') {
            match part.strip_suffix(b"\n") {
                // The common case: a whole line.
                Some(line) if self.is_empty() && line.len() <= LINE_BYTES_MAX => {
                    put(name, line, 0, to);
                    count += 1;
                }
                Some(line) => {
                    self.keep(line);
                    self.finish(name, to);
                    count += 1;
                }
                None => self.keep(part),
            }
        }
        count
    }

    /// Ends the line that was begun, if there is one.
    pub(crate) fn finish(&mut self, name: &[u8], to: &mut Vec<u8>) {
        put(name, &self.begun, self.cut, to);
        self.clear();
    }

    pub(crate) fn clear(&mut self) {
        self.begun.clear();
        self.cut = 0;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.begun.is_empty() && self.cut == 0
    }

    fn keep(&mut self, part: &[u8]) {
        let kept = part.len().min(LINE_BYTES_MAX - self.begun.len());
        self.begun.extend_from_slice(&part[..kept]);
        self.cut += (part.len() - kept) as u64;
    }
}

/// Writes one line. A backslash begins an escape and nothing else, so that the bytes of the file can be had
/// back, and no line of a file looks like one that was cut.
fn put(name: &[u8], line: &[u8], cut: u64, to: &mut Vec<u8>) {
    escape(name, to);
    to.extend_from_slice(b": ");
    escape(line, to);
    if cut > 0 {
        to.extend_from_slice(format!("\\[{cut} bytes more]").as_bytes());
    }
    to.push(b'\n');
}

/// Text with `\xHH` in the place of each byte of a control character, of one that changes the direction or
/// the end of a line, and of what is not UTF-8; `\\` for a backslash. A TAB stays.
pub(crate) fn escape(text: &[u8], to: &mut Vec<u8>) {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'[' | b']'..=b'~' | b'\t');
    if text.iter().all(is_plain) {
        return to.extend_from_slice(text);
    }
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            let mut utf8 = [0; 4];
            let bytes = character.encode_utf8(&mut utf8).as_bytes();
            match character {
                '\\' => to.extend_from_slice(b"\\\\"),
                '\t' => to.push(b'\t'),
                character if is_odd(character) => hex(bytes, to),
                _ => to.extend_from_slice(bytes),
            }
        }
        hex(chunk.invalid(), to);
    }
}

/// Control characters, line ends of Unicode, marks of direction, and the mark of byte order.
fn is_odd(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

fn hex(bytes: &[u8], to: &mut Vec<u8>) {
    for byte in bytes {
        to.extend_from_slice(format!("\\x{byte:02X}").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(pieces: &[&[u8]]) -> String {
        let (mut lines, mut to) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.add(b"n", piece, &mut to);
        }
        String::from_utf8(to).unwrap_or_default()
    }

    #[test]
    fn a_line_is_written_once_it_is_whole() {
        assert_eq!(written(&[b"a\nb"]), "n: a\n");
        assert_eq!(written(&[b"a\nb", b"c\n\nd\n"]), "n: a\nn: bc\nn: \nn: d\n");
    }

    #[test]
    fn bytes_that_are_no_plain_text_are_escaped() {
        assert_eq!(written(&[b"\x1b[2J\r\x00\x7f\t\\x1B\n"]), "n: \\x1B[2J\\x0D\\x00\\x7F\t\\\\x1B\n");
        assert_eq!(written(&[b"gr\xFC\xC3\xBC\xC2\x9B\n"]), "n: gr\\xFCü\\xC2\\x9B\n");
        assert_eq!(
            written(&["\u{202E}\u{2028}\u{2066}木\n".as_bytes()]),
            "n: \\xE2\\x80\\xAE\\xE2\\x80\\xA8\\xE2\\x81\\xA6木\n"
        );
    }

    #[test]
    fn a_long_line_is_cut_and_says_by_how_much() {
        let long = vec![b'a'; LINE_BYTES_MAX + 5];
        let expected = format!("n: {}\\[5 bytes more]\nn: b\n", "a".repeat(LINE_BYTES_MAX));
        assert_eq!(written(&[&long, b"\nb\n"]), expected);
        assert_eq!(written(&[&[&long[..], b"\nb\n"].concat()]), expected);
    }
}
