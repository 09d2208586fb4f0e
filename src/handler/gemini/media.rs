//! The media type of a file: by its extension, else by its content.

use crate::filetype::{self, SNIFF_BYTES};
use crate::tree::Document;

/// Extensions and media types, where item types are too coarse.
const TYPES: &[(&str, &str)] = &[
    ("text/gemini", "gmi gemini"),
    ("text/html", "html htm xhtml"),
    ("text/css", "css"),
    ("text/csv", "csv"),
    ("text/markdown", "md markdown"),
    ("text/calendar", "ics ical"),
    ("text/javascript", "js"),
    ("application/json", "json"),
    ("application/atom+xml", "atom"),
    ("application/rss+xml", "rss"),
    ("application/xml", "xml"),
    ("application/pdf", "pdf"),
    ("application/postscript", "ps"),
    ("application/epub+zip", "epub"),
    ("application/zip", "zip"),
    ("application/gzip", "gz tgz"),
    ("application/x-bzip2", "bz2 tbz"),
    ("application/x-xz", "xz txz"),
    ("application/zstd", "zst"),
    ("application/x-tar", "tar"),
    ("application/x-7z-compressed", "7z"),
    ("application/wasm", "wasm"),
    ("application/mbox", "mbox"),
    ("font/otf", "otf"),
    ("font/ttf", "ttf"),
    ("font/woff", "woff"),
    ("font/woff2", "woff2"),
    ("image/gif", "gif"),
    ("image/jpeg", "jpg jpeg"),
    ("image/png", "png"),
    ("image/bmp", "bmp"),
    ("image/svg+xml", "svg"),
    ("image/tiff", "tif tiff"),
    ("image/webp", "webp"),
    ("image/avif", "avif"),
    ("image/vnd.microsoft.icon", "ico"),
    ("audio/mpeg", "mp3"),
    ("audio/ogg", "ogg oga opus"),
    ("audio/flac", "flac"),
    ("audio/wav", "wav"),
    ("audio/mp4", "m4a"),
    ("audio/midi", "mid midi"),
    ("video/mp4", "mp4 m4v"),
    ("video/webm", "webm"),
    ("video/ogg", "ogv"),
    ("video/mpeg", "mpg mpeg"),
    ("video/quicktime", "mov qt"),
    ("video/x-matroska", "mkv"),
];

/// First bytes of files whose names say nothing.
const MAGIC: &[(&str, &[u8])] = &[
    ("image/gif", b"GIF8"),
    ("image/jpeg", b"\xFF\xD8\xFF"),
    ("image/png", b"\x89PNG"),
    ("application/pdf", b"%PDF-"),
    ("application/gzip", b"\x1F\x8B"),
    ("application/zip", b"PK\x03\x04"),
    ("audio/ogg", b"OggS"),
    ("audio/flac", b"fLaC"),
];

const BYTES: &str = "application/octet-stream";

/// The media type of a document, which has been read as far as `head`. A text that is not UTF-8 is taken as
/// Latin-1: without that word a client takes it for UTF-8.
pub(crate) fn of(name: &[u8], head: &[u8]) -> String {
    let (known, is_text) = match by_name(name) {
        Some(known) => (Some(known), known.starts_with("text/")),
        None => (None, matches!(filetype::by_name(name), Some(b'0' | b'h'))),
    };
    let media = match known {
        Some(known) => known,
        None if is_text => "text/plain",
        None => by_content(head),
    };
    if !media.starts_with("text/") {
        return media.to_owned();
    }
    let cut = head.len() == SNIFF_BYTES;
    let is_utf8 = std::str::from_utf8(head).map_or_else(|error| cut && error.error_len().is_none(), |_| true);
    format!("{media}; charset={}", if is_utf8 { "utf-8" } else { "iso-8859-1" })
}

fn by_name(name: &[u8]) -> Option<&'static str> {
    let extension = filetype::extension(name)?.to_ascii_lowercase();
    let extension = std::str::from_utf8(&extension).ok()?;
    let row = TYPES.iter().find(|(_, known)| known.split(' ').any(|each| each == extension))?;
    Some(row.0)
}

fn by_content(head: &[u8]) -> &'static str {
    if let Some((media, _)) = MAGIC.iter().find(|(_, magic)| head.starts_with(magic)) {
        return media;
    }
    match filetype::by_content(head) {
        b'0' => "text/plain",
        b'h' => "text/html",
        _ => BYTES,
    }
}

/// The first bytes of a document.
pub(crate) fn head(document: &mut Document) -> std::io::Result<Vec<u8>> {
    let mut head = vec![0; SNIFF_BYTES];
    let length = filetype::fill(document, &mut head)?;
    head.truncate(length);
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_decides_then_the_content() {
        for (name, head, media) in [
            (&b"a.gmi"[..], &b"# A"[..], "text/gemini; charset=utf-8"),
            (b"A.PNG", b"text", "image/png"),
            (b"a.tar.gz", b"\x1F\x8B", "application/gzip"),
            (b"a.rs", b"fn", "text/plain; charset=utf-8"),
            (b"README", b"text", "text/plain; charset=utf-8"),
            (b"README", b"a\0b", BYTES),
            (b"a", b"\x89PNG\r\n", "image/png"),
            (b"a.exe", b"MZ\0", BYTES),
            (b"a", b"<!DOCTYPE html>", "text/html; charset=utf-8"),
        ] {
            assert_eq!(of(name, head), media, "{name:?}");
        }
    }

    #[test]
    fn a_text_that_is_not_utf8_is_latin_1() {
        assert_eq!(of(b"a.txt", b"gr\xFC\xDFe\n"), "text/plain; charset=iso-8859-1");
        assert_eq!(of(b"a.txt", "grüße\n".as_bytes()), "text/plain; charset=utf-8");
        // The text that was read ends within a character.
        let mut long = vec![b'a'; SNIFF_BYTES - 1];
        long.push(0xC3);
        assert_eq!(of(b"a.txt", &long), "text/plain; charset=utf-8");
    }
}
