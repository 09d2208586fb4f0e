//! Bytes that others chose, made safe for where they go: a menu line, a selector, the log.
//!
//! A menu is lines and TABs, and several clients pass escape sequences on to the terminal, so a name or a map
//! line that kept its control bytes could add menu entries or drive the reader's terminal.

use std::borrow::Cow;

use crate::codepage::CodePage;

/// A TAB in a text leads to the next multiple of this column, as on a terminal.
const TAB_COLUMNS: usize = 8;

/// Text for a reader: every control character becomes `?`, a TAB a space, and sequences that only colour are
/// left out. Bytes that are not UTF-8 stay, as older pages are Latin-1. A line that has C1 controls among
/// them is of another code page, and becomes UTF-8.
pub(crate) fn display(bytes: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(start) = rest.iter().position(|&byte| byte == 0x1B) {
        let (before, sequence) = rest.split_at(start);
        plain(before, &mut clean);
        let length = color(sequence);
        if length == 0 {
            clean.push(b'?');
        }
        rest = &sequence[length.max(1)..];
    }
    plain(rest, &mut clean);
    clean
}

/// Cleans a line, but keeps sequences that colour: they can only set colours and weights.
pub(crate) fn colored(bytes: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(start) = (0..rest.len()).find(|&at| color(&rest[at..]) > 0) {
        let (before, sequence) = rest.split_at(start);
        let (color, after) = sequence.split_at(color(sequence));
        clean.extend_from_slice(&display(before));
        clean.extend_from_slice(color);
        rest = after;
    }
    clean.extend_from_slice(&display(rest));
    clean
}

/// The longest colour sequence; `ESC[38;2;255;255;255;48;2;255;255;255m` has 37 bytes.
const COLOR_BYTES_MAX: usize = 48;

/// The length of the sequence `ESC [ digits and ; m` that the bytes begin with, or 0.
fn color(bytes: &[u8]) -> usize {
    let Some(parameters) = bytes.strip_prefix(b"\x1b[") else { return 0 };
    let end = parameters.iter().take(COLOR_BYTES_MAX).position(|byte| !matches!(byte, b'0'..=b'9' | b';'));
    end.filter(|&end| parameters[end] == b'm').map_or(0, |end| end + 3)
}

fn plain(bytes: &[u8], clean: &mut Vec<u8>) {
    let page = CodePage::of(bytes);
    if page == CodePage::Cp437 {
        // Rows of lines may have the form of UTF-8 by chance.
        let characters: String = bytes.iter().map(|&byte| page.character(byte)).collect();
        return plain(characters.as_bytes(), clean);
    }
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\t' => clean.push(b' '),
                control if control.is_control() => clean.push(b'?'),
                other => clean.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        match page {
            CodePage::Latin1 => clean.extend_from_slice(chunk.invalid()),
            page => {
                for &byte in chunk.invalid() {
                    clean.extend_from_slice(page.character(byte).encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
        }
    }
}

/// Text with its TABs as the spaces that a terminal would show.
pub(crate) fn untabbed(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'\t') {
        return Cow::Borrowed(text);
    }
    let mut spaced = Vec::with_capacity(text.len() + TAB_COLUMNS);
    let mut columns = 0;
    for (number, piece) in text.split(|&byte| byte == b'\t').enumerate() {
        if number > 0 {
            let width = TAB_COLUMNS - columns % TAB_COLUMNS;
            spaced.resize(spaced.len() + width, b' ');
            columns += width;
        }
        spaced.extend_from_slice(piece);
        columns += String::from_utf8_lossy(piece).chars().count();
    }
    Cow::Owned(spaced)
}

/// A selector that an author wrote into a map: kept, but for the bytes that cannot stand in a menu line.
pub(crate) fn selector(bytes: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            let mut utf8 = [0; 4];
            let encoded = character.encode_utf8(&mut utf8).as_bytes();
            if character.is_control() {
                percent(&mut clean, encoded)
            } else {
                clean.extend_from_slice(encoded)
            }
        }
        percent(&mut clean, chunk.invalid());
    }
    clean
}

/// A path as a selector of ASCII that no client takes apart: `?` begins a search and `#` a fragment in a URL,
/// `%` and spaces are rewritten on the way by some.
pub(crate) fn encoded(path: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(path.len());
    for &byte in path {
        if byte.is_ascii_alphanumeric() || b"/-_.~+,@=:!$&'()*;".contains(&byte) {
            clean.push(byte);
        } else {
            percent(&mut clean, &[byte]);
        }
    }
    clean
}

/// A path with every byte encoded but the slashes: the last resort when [`encoded`] is the name of
/// another file.
pub(crate) fn encoded_whole(path: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(path.len() * 3);
    for &byte in path {
        if byte == b'/' { clean.push(byte) } else { percent(&mut clean, &[byte]) }
    }
    clean
}

/// Undoes `%HH`, and the `#OOO` of old menus made by gophernicus, in one pass: what comes out is never
/// decoded again.
pub(crate) fn decoded(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        let code = match (first, tail) {
            (b'%', [high, low, ..]) => number(&[*high, *low], 16).map(|byte| (byte, 2)),
            (b'#', [a, b, c, ..]) => number(&[*a, *b, *c], 8).map(|byte| (byte, 3)),
            _ => None,
        };
        let (byte, used) = code.unwrap_or((*first, 0));
        plain.push(byte);
        rest = &tail[used..];
    }
    plain
}

/// Undoes `%HH` alone, as URLs have it.
pub(crate) fn unescaped(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        let code = match (first, tail) {
            (b'%', [high, low, ..]) => number(&[*high, *low], 16),
            _ => None,
        };
        plain.push(code.unwrap_or(*first));
        rest = &tail[if code.is_some() { 2 } else { 0 }..];
    }
    plain
}

/// A selector for the log: printable ASCII stays, the quote, the backslash and all else is `\xHH`, so that a
/// log line is always one line and a field always ends where it seems to.
pub(crate) fn logged(bytes: &[u8]) -> String {
    let mut line = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b' '..=b'~' if byte != b'\\' && byte != b'"' => line.push(char::from(byte)),
            _ => line.push_str(&format!("\\x{byte:02X}")),
        }
    }
    line
}

/// A URL with only the bytes a URL has: spaces, quotes, angle brackets, control and non-ASCII bytes
/// are encoded.
pub(crate) fn url(bytes: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_graphic() && !b"\"'<>\\^`{|}".contains(&byte) {
            clean.push(byte);
        } else {
            percent(&mut clean, &[byte]);
        }
    }
    clean
}

/// Text inside HTML, in an attribute or outside one. Only markup is made harmless here: the
/// bytes are a host or have been through [`url`].
pub(crate) fn html(bytes: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'&' => clean.extend_from_slice(b"&amp;"),
            b'<' => clean.extend_from_slice(b"&lt;"),
            b'>' => clean.extend_from_slice(b"&gt;"),
            b'"' => clean.extend_from_slice(b"&quot;"),
            b'\'' => clean.extend_from_slice(b"&#39;"),
            other => clean.push(other),
        }
    }
    clean
}

fn percent(clean: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        clean.extend_from_slice(format!("%{byte:02X}").as_bytes());
    }
}

fn number(digits: &[u8], radix: u32) -> Option<u8> {
    let mut value = 0;
    for &digit in digits {
        value = value * radix + char::from(digit).to_digit(radix)?;
    }
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_byte_survives_display() {
        let all: Vec<u8> = (0..=255).collect();
        for byte in 0..=255_u8 {
            assert!(!contains_control(&display(&[b'a', byte, b'b'])), "{byte:#x}");
        }
        assert!(!contains_control(&display(&all)));
    }

    fn contains_control(bytes: &[u8]) -> bool {
        bytes.utf8_chunks().any(|chunk| {
            chunk.valid().contains(char::is_control)
                || chunk.invalid().iter().any(|byte| (0x80..0xA0).contains(byte))
        })
    }

    #[test]
    fn bytes_of_old_code_pages_become_what_they_show() {
        assert_eq!(display(b"don\x92t \x96 \x93x\x94"), "don’t – “x”".as_bytes());
        assert_eq!(display(b"\xC9\xCD\xCD\xBB gr\x81n"), "╔══╗ grün".as_bytes());
    }

    #[test]
    fn tabs_lead_to_every_eighth_column() {
        assert_eq!(&*untabbed(b"a\tb\t\tc"), b"a       b               c");
        assert_eq!(&*untabbed("größe12\tx".as_bytes()), "größe12 x".as_bytes());
        assert_eq!(&*untabbed(b"12345678\tx"), b"12345678        x");
    }

    #[test]
    fn sequences_that_only_colour_are_left_out_or_kept_and_no_others() {
        let text = b"\x1b[38;5;219mpink\x1b[0m\x1b[m \x1b[2J\x1b]0;t\x07 \x1b[1;\x1b";
        assert_eq!(display(text), b"pink ?[2J?]0;t? ?[1;?");
        assert_eq!(colored(text), b"\x1b[38;5;219mpink\x1b[0m\x1b[m ?[2J?]0;t? ?[1;?");
        let long = [b"\x1b[", &b"1;".repeat(100)[..], b"m"].concat();
        assert!(!colored(&long).contains(&0x1B));
    }

    #[test]
    fn a_c1_control_written_as_utf8_is_replaced_too() {
        assert_eq!(display("a\u{9b}31mb".as_bytes()), b"a?31mb");
    }

    #[test]
    fn utf8_and_latin1_letters_are_kept() {
        assert_eq!(display("größe".as_bytes()), "größe".as_bytes());
        assert_eq!(display(b"gr\xF6\xDFe"), b"gr\xF6\xDFe");
    }

    #[test]
    fn encoding_and_decoding_any_bytes_gives_them_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decoded(&encoded(&all)), all);
        assert_eq!(decoded(&encoded_whole(&all)), all);
    }

    #[test]
    fn decoding_happens_once() {
        assert_eq!(decoded(b"%252e#056"), b"%2e.");
        assert_eq!(decoded(b"100%"), b"100%");
        assert_eq!(decoded(b"%zz#999#777"), b"%zz#999#777");
    }

    #[test]
    fn a_logged_selector_is_one_line_of_printable_ascii() {
        let line = logged(b"/a\r\nb\\\"\x1b[31m\xff");
        assert_eq!(line, "/a\\x0D\\x0Ab\\x5C\\x22\\x1B[31m\\xFF");
    }
}
