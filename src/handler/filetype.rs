//! The item type of a file, one character: by its extension, and by its content where the extension
//! says nothing.

use crate::tree::Document;
use std::io::Read as _;

/// How much of a file decides its type. It is what a text is sent by, so no request reads more than it sends.
pub(crate) const SNIFF_BYTES: usize = 64 * 1024;

/// Extensions and item types. The table follows gophernicus, which authors' menus expect, except that PDF and
/// office files are `9`: clients in use show `d` as unknown.
const EXTENSIONS: &[(u8, &str)] = &[
    (
        b'0',
        "txt md markdown gmi gemini pl py sh tcl c cpp cc h hpp rs go java js css lua log conf cfg ini toml yaml yml json csv tsv diff patch php php3 tex asc me 1st nfo",
    ),
    (b'1', "gophermap gph"),
    (b'4', "hqx"),
    (b'5', "z gz tgz tar zip bz2 tbz xz txz zst lz lzma rar sea 7z"),
    (b'6', "uu uue"),
    (
        b'9',
        "iso so o rtf ttf otf woff woff2 bin exe com dll deb rpm apk img pdf ps doc ppt xls xlsx docx pptx odt ods odp epub mobi djvu torrent bundle pack warc fits qcow2 vmdk sqlite wasm class jar pyc",
    ),
    (b'c', "ics ical"),
    (b'g', "gif"),
    (b'h', "html htm xhtml swf rdf rss xml atom"),
    (b'I', "jpg jpeg png bmp svg tif tiff ico xbm xpm pcx webp avif pnm pgm ppm pbm"),
    (b'M', "mbox"),
    (b's', "mp3 wav mid midi wma flac ogg oga opus m4a aiff aif aac au"),
    (b';', "avi mp4 mpg mpeg mov qt asf mpv m4v mkv webm ogv"),
];

const MAGIC: &[(u8, &[u8])] = &[
    (b'g', b"GIF8"),
    (b'I', b"\xFF\xD8\xFF"),
    (b'I', b"\x89PNG"),
    (b'9', b"%PDF-"),
    (b'9', b"%!PS"),
    (b'9', b"\x7FELF"),
    (b'5', b"\x1F\x8B"),
    (b'5', b"\x1F\x9D"),
    (b'5', b"BZh"),
    (b'5', b"PK\x03\x04"),
    (b'5', b"\xFD7zXZ\0"),
    (b'5', b"\x28\xB5\x2F\xFD"),
    (b's', b"OggS"),
    (b's', b"ID3"),
    (b's', b"fLaC"),
    (b's', b"RIFF"),
];

/// The type that the extension of a name gives, if it is a known one.
pub(crate) fn by_name(name: &[u8]) -> Option<u8> {
    let extension = extension(name)?.to_ascii_lowercase();
    let text = std::str::from_utf8(&extension).ok()?;
    let row = EXTENSIONS.iter().find(|(_, known)| known.split(' ').any(|each| each == text))?;
    Some(row.0)
}

/// The part after the last dot of a name, if there is a part before it.
pub(crate) fn extension(name: &[u8]) -> Option<&[u8]> {
    let dot = name.iter().rposition(|&byte| byte == b'.')?;
    (dot > 0 && dot + 1 < name.len()).then(|| &name[dot + 1..])
}

/// The type by content: a known signature, else text if nothing in it looks binary.
pub(crate) fn by_content(head: &[u8]) -> u8 {
    if let Some((item_type, _)) = MAGIC.iter().find(|(_, magic)| head.starts_with(magic)) {
        return *item_type;
    }
    let start = head.trim_ascii_start();
    let begins = |tag: &[u8]| start.get(..tag.len()).is_some_and(|bytes| bytes.eq_ignore_ascii_case(tag));
    if begins(b"<!doctype html") || begins(b"<html") {
        return b'h';
    }
    let mut evidence = Evidence::default();
    evidence.add(head);
    if evidence.is_text(b"") { b'0' } else { b'9' }
}

/// The evidence in the bytes of a file that it is text or not, collected piece by piece.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    nuls: usize,
    lines: usize,
    /// Control bytes that texts rarely have.
    odd: bool,
    not_utf8: bool,
    begun: bool,
}

impl Evidence {
    pub(crate) fn add(&mut self, piece: &[u8]) {
        let odd = |byte: &u8| matches!(byte, 1..=6 | 0x0E..=0x1A | 0x1C..=0x1F);
        self.nuls += piece.iter().filter(|&&byte| byte == 0).count();
        self.lines += piece.iter().filter(|&&byte| byte == b'\n').count();
        self.odd |= piece.iter().any(odd);
        // A character may be cut at either end of a piece.
        let rest_of_one = piece.iter().take(3).take_while(|&&byte| byte & 0xC0 == 0x80).count();
        let whole = &piece[if self.begun { rest_of_one } else { 0 }..];
        self.not_utf8 |= std::str::from_utf8(whole).is_err_and(|error| error.error_len().is_some());
        self.begun = true;
    }

    /// Whether line ends may be changed. In doubt they may not: a text with the wrong line ends can be read,
    /// a binary cannot.
    ///
    /// NUL is in no text, except where the author calls it one with `.txt` and it is a stray byte: one, or
    /// one in a hundred lines. Other control bytes are in some texts, and bytes that are not UTF-8 too; both
    /// together are in none.
    pub(crate) fn is_text(&self, name: &[u8]) -> bool {
        let declared = extension(name).is_some_and(|extension| extension.eq_ignore_ascii_case(b"txt"));
        let stray = declared && self.nuls <= 1 + self.lines / 100 && !self.odd;
        (self.nuls == 0 || stray) && !(self.not_utf8 && self.odd)
    }
}

/// Fills `chunk` with the next bytes of a document and tells how many there are; fewer than asked for is
/// its end.
pub(crate) fn fill(document: &mut Document, chunk: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < chunk.len() {
        match document.file.read(&mut chunk[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_decides_whatever_its_case() {
        assert_eq!(by_name(b"A.TXT"), Some(b'0'));
        assert_eq!(by_name(b"photo.JpeG"), Some(b'I'));
        assert_eq!(by_name(b"a.tar.gz"), Some(b'5'));
        assert_eq!(by_name(b"paper.pdf"), Some(b'9'));
    }

    #[test]
    fn a_name_without_known_extension_decides_nothing() {
        for name in [&b"README"[..], b"a.", b".txt", b"a.xyzzy", b"a.\xff"] {
            assert_eq!(by_name(name), None, "{name:?}");
        }
    }

    #[test]
    fn content_is_known_by_its_first_bytes() {
        assert_eq!(by_content(b"GIF89a"), b'g');
        assert_eq!(by_content(b"\n <!DOCTYPE HTML>"), b'h');
        assert_eq!(by_content(b"a\0b"), b'9');
        assert_eq!(by_content(b"\x89\x01\x15\x03"), b'9');
        assert_eq!(by_content(b"caf\xE9"), b'0');
        assert_eq!(by_content(b"caf\xC3"), b'0');
        assert_eq!(by_content(b"\x1b[1m\x01"), b'0');
        assert_eq!(by_content(b""), b'0');
    }

    #[test]
    fn a_character_that_two_pieces_share_is_utf8() {
        let text = "ö木\u{1F600}".repeat(3);
        for at in 0..text.len() {
            let mut evidence = Evidence::default();
            evidence.add(&text.as_bytes()[..at]);
            evidence.add(&text.as_bytes()[at..]);
            evidence.add(b"\x01");
            assert!(evidence.is_text(b""), "{at}");
        }
    }

    #[test]
    fn nul_makes_a_binary_except_a_stray_one_in_a_txt() {
        let is_text = |name: &[u8], bytes: &[u8]| {
            let mut evidence = Evidence::default();
            evidence.add(bytes);
            evidence.is_text(name)
        };
        assert!(is_text(b"a.txt", b"ab\0cd\n"));
        assert!(!is_text(b"a.cfg", b"ab\0cd\n"));
        assert!(!is_text(b"utf16.txt", b"\xFF\xFEa\0\n\0"));
        assert!(!is_text(b"a.txt", b"ab\0\x01\n"));
    }
}
