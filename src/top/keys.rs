//! Bytes of a terminal as keys: ASCII, UTF-8, and the sequences of the cursor keys (ECMA-48, as xterm and all
//! that followed send them).

use crate::app::Key;

/// All keys of one read. A sequence that is none of these is skipped.
pub(crate) fn keys(bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        let (key, next) = match (first, after) {
            (0x1b, [b'[' | b'O', sequence @ ..]) => sequence_key(sequence),
            (0x1b, _) => (Some(Key::Escape), after),
            (0x03, _) => (Some(Key::Interrupt), after),
            (b'\r' | b'\n', _) => (Some(Key::Enter), after),
            (0x7f | 0x08, _) => (Some(Key::Backspace), after),
            _ => character(rest),
        };
        keys.extend(key);
        rest = next;
    }
    keys
}

fn sequence_key(sequence: &[u8]) -> (Option<Key>, &[u8]) {
    let end = sequence.iter().position(|byte| (0x40..=0x7e).contains(byte));
    let Some((sequence, rest)) = end.and_then(|end| sequence.split_at_checked(end + 1)) else {
        return (None, &[]);
    };
    let key = match sequence {
        b"A" => Some(Key::Up),
        b"B" => Some(Key::Down),
        b"5~" => Some(Key::PageUp),
        b"6~" => Some(Key::PageDown),
        _ => None,
    };
    (key, rest)
}

fn character(bytes: &[u8]) -> (Option<Key>, &[u8]) {
    let chunk = bytes.utf8_chunks().next();
    match chunk.and_then(|chunk| chunk.valid().chars().next()) {
        Some(c) => {
            (Some(Key::Char(c)).filter(|_| !c.is_control()), bytes.get(c.len_utf8()..).unwrap_or_default())
        }
        None => (None, bytes.get(1..).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_cursor_keys_are_told_apart() {
        let read = keys(b"q\x1b[A\x1bOB\x1b[6~\x1b[1;5Pk\r\x7f\x03");
        let wanted = [
            Key::Char('q'),
            Key::Up,
            Key::Down,
            Key::PageDown,
            Key::Char('k'),
            Key::Enter,
            Key::Backspace,
            Key::Interrupt,
        ];
        assert_eq!(read, wanted);
        assert_eq!(keys(b"\x1b"), [Key::Escape]);
        assert_eq!(keys("ü\u{1}".as_bytes()), [Key::Char('ü')]);
        assert_eq!(keys(b"\xff\x1b["), []);
    }
}
