//! Sending a file: text with CR-LF at its line ends, everything else byte by byte.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use crate::charset::Converter;
use crate::filetype::{self, Evidence, SNIFF_BYTES};
use crate::output::Output;
use crate::tree::Document;

const CHUNK_BYTES: usize = SNIFF_BYTES;

/// A longer file is sent as it is: to know that it is text it would have to be read twice.
const TEXT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Sends a document of this name and tells its type.
///
/// A text ends with the connection: no terminator, and lines that begin with a dot are left alone. RFC 1436
/// wants both, but of seven clients in use none undoes the second and four show the first, so both change
/// what readers see. `strict` does both.
pub(crate) fn send(
    mut document: Document,
    name: &[u8],
    strict: bool,
    output: &mut Output<'_>,
) -> io::Result<u8> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut length = filetype::fill(&mut document, &mut chunk)?;
    let head = &chunk[..length];
    let item_type = match filetype::by_name(name).unwrap_or_else(|| filetype::by_content(head)) {
        b'0' if !is_text(&document, head, name)? => b'9',
        item_type => item_type,
    };
    let mut converter = Converter::new(output.charset);
    let mut lines = LineEnds { last: None, stuffed: strict };
    loop {
        match item_type {
            b'0' => lines.send(&converter.piece(&chunk[..length]), output)?,
            _ => output.put(&chunk[..length])?,
        }
        if length < CHUNK_BYTES {
            break;
        }
        length = filetype::fill(&mut document, &mut chunk)?;
    }
    if item_type == b'0' {
        lines.send(&converter.rest(), output)?;
        lines.finish(output)?;
    }
    output.flush()?;
    Ok(item_type)
}

/// Whether the whole document is text. What follows the head is read here and again when it is sent: a script
/// with an archive behind it, or an image that begins with a label, would be damaged by the first line end
/// that is changed.
fn is_text(document: &Document, head: &[u8], name: &[u8]) -> io::Result<bool> {
    let mut evidence = Evidence::default();
    evidence.add(head);
    if head.len() < CHUNK_BYTES || !evidence.is_text(name) {
        return Ok(evidence.is_text(name));
    }
    if document.bytes > TEXT_BYTES_MAX {
        return Ok(false);
    }
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut at = CHUNK_BYTES as u64;
    while at <= TEXT_BYTES_MAX {
        match read_at(&document.file, &mut chunk, at)? {
            0 => return Ok(evidence.is_text(name)),
            length => {
                evidence.add(&chunk[..length]);
                at += length as u64;
            }
        }
    }
    Ok(false)
}

fn read_at(file: &File, chunk: &mut [u8], at: u64) -> io::Result<usize> {
    loop {
        match file.read_at(chunk, at) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// The type that a document is listed as. The extension decides alone, so that a listing need not read
/// every file.
pub(crate) fn item_type(document: &mut Document, name: &[u8]) -> u8 {
    filetype::by_name(name).unwrap_or_else(|| {
        let mut head = vec![0; SNIFF_BYTES];
        let length = filetype::fill(document, &mut head).unwrap_or(0);
        filetype::by_content(&head[..length])
    })
}

/// Makes every line end CR-LF and leaves all else as it is: a CR inside a line, NUL, lines of any length.
#[derive(Debug)]
struct LineEnds {
    /// The last byte of the chunk before, as a line end may be cut in two.
    last: Option<u8>,
    /// RFC 1436 §3.3: a line that begins with a dot gets another, and a dot alone is the end.
    stuffed: bool,
}

impl LineEnds {
    fn send(&mut self, chunk: &[u8], output: &mut Output<'_>) -> io::Result<()> {
        for line in chunk.split_inclusive(|&byte| byte == b'\n') {
            let text = line.strip_suffix(b"\n");
            if self.stuffed && line.starts_with(b".") && matches!(self.last, None | Some(b'\n')) {
                output.put(b".")?;
            }
            output.put(text.unwrap_or(line))?;
            if let Some(text) = text {
                let before = text.last().copied().or(self.last);
                output.put(if before == Some(b'\r') { b"\n" } else { b"\r\n" })?;
            }
            self.last = line.last().copied();
        }
        Ok(())
    }

    /// A last line without an end gets one.
    fn finish(&self, output: &mut Output<'_>) -> io::Result<()> {
        match self.last {
            None | Some(b'\n') => {}
            Some(_) => output.put(b"\r\n")?,
        }
        if self.stuffed { output.put(b".\r\n") } else { Ok(()) }
    }
}
