//! What a file is, in one character: by its name, and by its first bytes where the name says nothing.

use crate::tree::Document;
use std::io::Read as _;

/// How much of a file the guess may look at.
pub(crate) const SNIFF_BYTES: usize = 512;

/// Extensions and item types. The table is that of gophernicus, which authors' menus expect, but that PDF and office files
/// are `9`: `d` is shown as unknown by clients in use.
const EXTENSIONS: &[(u8, &str)] = &[
    (
        b'0',
        "txt md markdown pl py sh tcl c cpp cc h hpp rs go java js css lua log conf cfg ini toml yaml yml json csv tsv diff patch php php3 tex asc me 1st nfo",
    ),
    (b'1', "gophermap"),
    (b'4', "hqx"),
    (b'5', "z gz tgz tar zip bz2 tbz xz txz zst lz lzma rar sea 7z"),
    (b'6', "uu uue"),
    (
        b'9',
        "iso so o rtf ttf otf woff woff2 bin exe com dll deb rpm apk img pdf ps doc ppt xls xlsx docx pptx odt ods odp epub mobi",
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

/// What follows the last dot of a name that has something before it.
pub(crate) fn extension(name: &[u8]) -> Option<&[u8]> {
    let dot = name.iter().rposition(|&byte| byte == b'.')?;
    (dot > 0 && dot + 1 < name.len()).then(|| &name[dot + 1..])
}

/// The type by content: a known signature, else binary if a NUL is among the first bytes, else text.
pub(crate) fn by_content(head: &[u8]) -> u8 {
    if let Some((item_type, _)) = MAGIC.iter().find(|(_, magic)| head.starts_with(magic)) {
        return *item_type;
    }
    let start = head.trim_ascii_start();
    let begins = |tag: &[u8]| start.get(..tag.len()).is_some_and(|bytes| bytes.eq_ignore_ascii_case(tag));
    if begins(b"<!doctype html") || begins(b"<html") {
        return b'h';
    }
    if is_binary(head) { b'9' } else { b'0' }
}

/// NUL is in no text. Other control bytes are in some, and bytes that are not UTF-8 too; both together are in none but a
/// picture drawn in characters, which is better sent as it is.
fn is_binary(head: &[u8]) -> bool {
    let odd = |byte: &u8| matches!(byte, 1..=6 | 0x0E..=0x1A | 0x1C..=0x1F);
    let is_utf8 = match std::str::from_utf8(head) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    head.contains(&0) || (!is_utf8 && head.iter().any(odd))
}

/// Fills `chunk` with the next bytes of a document and tells how many there are; fewer than asked for is its end.
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
}
