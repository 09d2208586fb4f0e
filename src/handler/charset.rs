//! Text for clients of another time: from UTF-8, or from bytes that are not, to one character set.
//!
//! This is off by default: text is delivered as it was uploaded.

use std::borrow::Cow;

use crate::codepage::CodePage;

/// The character set that texts and the names in menus are converted to. Bytes that are not UTF-8 are taken
/// as Windows-1252, which has what Latin-1 has, and punctuation where that has control characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charset {
    AsItIs,
    Utf8,
    Latin1,
    Ascii,
}

impl Charset {
    /// The whole of a text at once.
    pub(crate) fn converted(self, bytes: &[u8]) -> Cow<'_, [u8]> {
        if self == Charset::AsItIs || bytes.is_ascii() {
            return Cow::Borrowed(bytes);
        }
        let mut converted = Vec::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            chunk.valid().chars().for_each(|character| self.write(character, &mut converted));
            chunk
                .invalid()
                .iter()
                .for_each(|&byte| self.write(CodePage::Windows1252.character(byte), &mut converted));
        }
        Cow::Owned(converted)
    }

    fn write(self, character: char, to: &mut Vec<u8>) {
        let keeps_below = match self {
            Charset::Ascii => 0x80,
            Charset::Latin1 => 0x100,
            Charset::AsItIs | Charset::Utf8 => u32::MAX,
        };
        if u32::from(character) >= keeps_below {
            to.extend_from_slice(plain(character).as_bytes());
        } else if self == Charset::Latin1 {
            to.extend(u8::try_from(character));
        } else {
            to.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

/// Converts a text that comes in pieces, which may end within a character.
#[derive(Debug)]
pub(crate) struct Converter {
    charset: Charset,
    kept: Vec<u8>,
}

impl Converter {
    pub(crate) fn new(charset: Charset) -> Converter {
        Converter { charset, kept: Vec::new() }
    }

    pub(crate) fn piece<'a>(&mut self, piece: &'a [u8]) -> Cow<'a, [u8]> {
        if self.charset == Charset::AsItIs || (self.kept.is_empty() && piece.is_ascii()) {
            return Cow::Borrowed(piece);
        }
        let mut joined = std::mem::take(&mut self.kept);
        joined.extend_from_slice(piece);
        self.kept = joined.split_off(joined.len() - unfinished(&joined));
        Cow::Owned(self.charset.converted(&joined).into_owned())
    }

    /// The beginning of a character that the text ended in.
    pub(crate) fn rest(&self) -> Cow<'_, [u8]> {
        self.charset.converted(&self.kept)
    }
}

/// How many bytes at the end begin a character that may go on.
fn unfinished(bytes: &[u8]) -> usize {
    let last = bytes.utf8_chunks().last().map_or(&[][..], |chunk| chunk.invalid());
    match std::str::from_utf8(last) {
        Err(error) if error.error_len().is_none() => last.len(),
        _ => 0,
    }
}

/// A character in ASCII, as one would type it.
fn plain(character: char) -> &'static str {
    match character {
        '\u{a0}' | '\u{2002}'..='\u{200a}' | '\u{202f}' => " ",
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{feff}' | '\u{fe0f}' => "",
        '‐' | '‑' | '‒' | '–' | '−' | '─' | '━' => "-",
        '—' | '―' => "--",
        '‘' | '’' | '‚' | '′' | '´' => "'",
        '“' | '”' | '„' | '″' => "\"",
        '«' => "<<",
        '»' => ">>",
        '…' => "...",
        '•' | '·' | '∙' | '●' => "*",
        '│' | '┃' => "|",
        '┌' | '┐' | '└' | '┘' | '├' | '┤' | '┬' | '┴' | '┼' => "+",
        '→' => "->",
        '←' => "<-",
        '×' => "x",
        '€' => "EUR",
        '£' => "GBP",
        '©' => "(c)",
        '®' => "(r)",
        '™' => "(tm)",
        '°' => "o",
        '½' => "1/2",
        '¼' => "1/4",
        '¾' => "3/4",
        'À'..='Å' | 'Ā' | 'Ă' | 'Ą' => "A",
        'à'..='å' | 'ā' | 'ă' | 'ą' => "a",
        'Æ' => "AE",
        'æ' => "ae",
        'Œ' => "OE",
        'œ' => "oe",
        'Ç' | 'Ć' | 'Č' => "C",
        'ç' | 'ć' | 'č' => "c",
        'Ď' | 'Đ' | 'Ð' => "D",
        'ď' | 'đ' | 'ð' => "d",
        'È'..='Ë' | 'Ē' | 'Ę' | 'Ě' => "E",
        'è'..='ë' | 'ē' | 'ę' | 'ě' => "e",
        'Ì'..='Ï' | 'İ' => "I",
        'ì'..='ï' | 'ı' => "i",
        'Ł' => "L",
        'ł' => "l",
        'Ñ' | 'Ń' | 'Ň' => "N",
        'ñ' | 'ń' | 'ň' => "n",
        'Ò'..='Ö' | 'Ø' | 'Ő' => "O",
        'ò'..='ö' | 'ø' | 'ő' => "o",
        'Ř' => "R",
        'ř' => "r",
        'Ś' | 'Š' | 'Ş' => "S",
        'ś' | 'š' | 'ş' => "s",
        'ß' => "ss",
        'Ť' => "T",
        'ť' => "t",
        'Ù'..='Ü' | 'Ů' | 'Ű' => "U",
        'ù'..='ü' | 'ů' | 'ű' => "u",
        'Ý' | 'Ÿ' => "Y",
        'ý' | 'ÿ' => "y",
        'Ź' | 'Ż' | 'Ž' => "Z",
        'ź' | 'ż' | 'ž' => "z",
        _ => "?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_it_is_changes_nothing() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(&*Charset::AsItIs.converted(&all), all);
        assert_eq!(&*Converter::new(Charset::AsItIs).piece(&all), all);
    }

    #[test]
    fn each_set_gets_what_it_can_hold() {
        let text = "größe – “ł” 木".as_bytes();
        assert_eq!(&*Charset::Utf8.converted(text), text);
        assert_eq!(&*Charset::Latin1.converted(text), b"gr\xF6\xDFe - \"l\" ?");
        assert_eq!(&*Charset::Ascii.converted(text), b"grosse - \"l\" ?");
    }

    #[test]
    fn bytes_that_are_not_utf8_are_windows_1252() {
        assert_eq!(&*Charset::Utf8.converted(b"\x93caf\xE9\x94"), "“café”".as_bytes());
        assert_eq!(&*Charset::Ascii.converted(b"don\x92t"), b"don't");
        assert_eq!(&*Charset::Utf8.converted(b"gr\xF6\xDFe"), "größe".as_bytes());
        assert_eq!(&*Charset::Ascii.converted(b"gr\xF6\xDFe"), b"grosse");
    }

    /// Wherever a text is cut in two, and each byte on its own.
    #[test]
    fn pieces_give_what_the_whole_gives() {
        let text = "a木ö\u{1F600}b".as_bytes().iter().chain(b"\xF6\xE6\x9C").copied().collect::<Vec<u8>>();
        let in_pieces = |size: usize, first: usize| {
            let mut converter = Converter::new(Charset::Latin1);
            let (head, tail) = text.split_at(first);
            let mut result = converter.piece(head).into_owned();
            tail.chunks(size).for_each(|piece| result.extend_from_slice(&converter.piece(piece)));
            result.extend_from_slice(&converter.rest());
            result
        };
        let whole = Charset::Latin1.converted(&text).into_owned();
        for first in 0..=text.len() {
            assert_eq!(in_pieces(1, first), whole, "{first}");
            assert_eq!(in_pieces(100, first), whole, "{first}");
        }
    }
}
