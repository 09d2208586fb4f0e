//! Sending a file: text with CR-LF at its line ends, everything else byte by byte.

use std::io;

use crate::filetype::{self, SNIFF_BYTES};
use crate::output::Output;
use crate::tree::Document;

const CHUNK_BYTES: usize = 64 * 1024;

/// Sends a document of this name and tells its type.
///
/// Text ends with the connection: no terminator, and lines that begin with a dot are left alone. RFC 1436 wants both done, but
/// of seven clients in use none undoes the second and four show the first, so doing it changes what readers see.
pub(crate) fn send(mut document: Document, name: &[u8], output: &mut Output<'_>) -> io::Result<u8> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut length = filetype::fill(&mut document, &mut chunk)?;
    let head = &chunk[..length.min(SNIFF_BYTES)];
    let item_type = filetype::by_name(name).unwrap_or_else(|| filetype::by_content(head));
    let mut lines = LineEnds::default();
    loop {
        match item_type {
            b'0' => lines.send(&chunk[..length], output)?,
            _ => output.put(&chunk[..length])?,
        }
        if length < CHUNK_BYTES {
            break;
        }
        length = filetype::fill(&mut document, &mut chunk)?;
    }
    if item_type == b'0' {
        lines.finish(output)?;
    }
    output.flush()?;
    Ok(item_type)
}

/// Makes every line end CR-LF and leaves all else as it is: a CR inside a line, NUL, lines of any length.
#[derive(Debug, Default)]
struct LineEnds {
    /// The last byte of the chunk before, as a line end may be cut in two.
    last: Option<u8>,
}

impl LineEnds {
    fn send(&mut self, chunk: &[u8], output: &mut Output<'_>) -> io::Result<()> {
        for line in chunk.split_inclusive(|&byte| byte == b'\n') {
            let text = line.strip_suffix(b"\n");
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
            None | Some(b'\n') => Ok(()),
            Some(_) => output.put(b"\r\n"),
        }
    }
}
