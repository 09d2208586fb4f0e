//! One file of a log, read from a position on.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Instant, SystemTime};

use crate::lines::Lines;

/// How much is read at once.
const CHUNK_BYTES: usize = 32 * 1024;

/// How many bytes before the position are remembered, to see that the file is still the one that was read.
const TAIL_BYTES: usize = 64;

/// How much is counted ahead of a slow watcher each time.
const COUNT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Not to block on a FIFO (open(2)).
const O_NONBLOCK: i32 = 0o4000;

/// Device and inode number.
pub(crate) type Id = (u64, u64);

#[derive(Debug)]
pub(crate) struct Reader {
    file: File,
    pub(crate) id: Id,
    /// When the file was made, where its file system knows.
    pub(crate) made: Option<SystemTime>,
    /// The next byte to read.
    offset: u64,
    tail: Vec<u8>,
    lines: Lines,
    /// Lines that were read, and those that were counted, up to which byte.
    read: u64,
    counted: u64,
    counted_to: u64,
    /// Size and time of the last change that were found in order.
    checked: Option<(u64, SystemTime)>,
    /// Since when the log has a newer file.
    pub(crate) superseded: Option<Instant>,
    /// Its writer has emptied it at least once.
    pub(crate) was_emptied: bool,
}

/// The result of a read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Some,
    /// Nothing more for now.
    End,
    /// The file no longer has what was read: its writer has emptied it.
    Emptied,
}

impl Reader {
    /// Opens a regular file at its beginning.
    pub(crate) fn open(path: &Path) -> io::Result<Reader> {
        let file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let id = (metadata.dev(), metadata.ino());
        Ok(Reader {
            file,
            id,
            made: metadata.created().ok(),
            offset: 0,
            tail: Vec::new(),
            lines: Lines::default(),
            read: 0,
            counted: 0,
            counted_to: 0,
            checked: None,
            superseded: None,
            was_emptied: false,
        })
    }

    /// Goes to the beginning of the last `count` lines; a line without its end is the next one.
    pub(crate) fn skip_to_last(&mut self, count: u64) -> io::Result<()> {
        let mut start = self.file.metadata()?.len();
        let mut chunk = vec![0; CHUNK_BYTES];
        // The end of the line before them: the last newline of all if there are none.
        let mut wanted = count.saturating_add(1);
        'search: while start > 0 {
            let from = start.saturating_sub(CHUNK_BYTES as u64);
            let length = usize::try_from(start - from).unwrap_or(CHUNK_BYTES);
            self.file.read_exact_at(&mut chunk[..length], from)?;
            for at in (0..length).rev() {
                if chunk[at] == b'\n' {
                    wanted -= 1;
                    if wanted == 0 {
                        start = from + at as u64 + 1;
                        break 'search;
                    }
                }
            }
            start = from;
        }
        self.go_to(start)
    }

    fn go_to(&mut self, offset: u64) -> io::Result<()> {
        (self.offset, self.counted_to) = (offset, offset);
        let length = usize::try_from(offset).unwrap_or(usize::MAX).min(TAIL_BYTES);
        self.tail = vec![0; length];
        self.file.read_exact_at(&mut self.tail, offset - length as u64)
    }

    /// Reads on, and writes the lines to `to`.
    pub(crate) fn read(&mut self, name: &[u8], to: &mut Vec<u8>) -> io::Result<Read> {
        if !self.is_in_order()? {
            return Ok(Read::Emptied);
        }
        let mut chunk = [0; CHUNK_BYTES];
        let length = read_at(&self.file, &mut chunk, self.offset)?;
        if length == 0 {
            return Ok(Read::End);
        }
        let mut piece = &chunk[..length];
        // A writer that goes on where it was after the file was emptied leaves a hole.
        if self.was_emptied && self.lines.is_empty() && self.tail.iter().all(|&byte| byte == 0) {
            piece = &piece[piece.iter().take_while(|&&byte| byte == 0).count()..];
        }
        self.read += self.lines.add(name, piece, to);
        self.offset += length as u64;
        let kept = [&self.tail, &chunk[..length]].concat();
        self.tail = kept[kept.len().saturating_sub(TAIL_BYTES)..].to_vec();
        if self.offset >= self.counted_to {
            (self.counted, self.counted_to) = (self.read, self.offset);
        }
        Ok(Read::Some)
    }

    /// Whether the file still has before the position what was read there.
    fn is_in_order(&mut self) -> io::Result<bool> {
        let metadata = self.file.metadata()?;
        let now = (metadata.len(), metadata.modified()?);
        if self.checked == Some(now) {
            return Ok(true);
        }
        let is_in_order = now.0 >= self.offset && self.has_at_its_position(&self.file)?;
        if is_in_order {
            self.checked = Some(now);
        }
        Ok(is_in_order)
    }

    fn has_at_its_position(&self, file: &File) -> io::Result<bool> {
        let mut found = vec![0; self.tail.len()];
        match file.read_exact_at(&mut found, self.offset - self.tail.len() as u64) {
            Ok(()) => Ok(found == self.tail),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether another file is a copy of what this one had: it has the same before the position, and the
    /// position itself.
    pub(crate) fn is_copied_in(&self, other: &Reader) -> bool {
        other.file.metadata().is_ok_and(|metadata| metadata.len() >= self.offset)
            && self.has_at_its_position(&other.file).unwrap_or(false)
    }

    /// Begins anew, since the file was emptied. The copy, if there is one, goes on from where this one was;
    /// else the number of lines is returned that are known to be lost.
    pub(crate) fn restart(&mut self, copy: Option<&mut Reader>) -> u64 {
        let lines = std::mem::take(&mut self.lines);
        let lost = self.counted - self.read;
        if let Some(copy) = copy {
            copy.lines = lines;
            copy.tail = std::mem::take(&mut self.tail);
            (copy.offset, copy.counted_to) = (self.offset, self.offset);
        }
        (self.offset, self.counted_to, self.read, self.counted) = (0, 0, 0, 0);
        (self.checked, self.was_emptied) = (None, true);
        self.tail.clear();
        lost
    }

    /// Counts lines that the watcher has not read yet, as far as the file has them now.
    pub(crate) fn count_ahead(&mut self) -> io::Result<()> {
        if self.is_in_order()? {
            self.count(COUNT_BYTES_MAX)?;
        }
        Ok(())
    }

    fn count(&mut self, most: u64) -> io::Result<()> {
        let mut chunk = [0; CHUNK_BYTES];
        let end = self.counted_to.saturating_add(most);
        while self.counted_to < end {
            let length = read_at(&self.file, &mut chunk, self.counted_to)?;
            if length == 0 {
                break;
            }
            self.counted += chunk[..length].iter().filter(|&&byte| byte == b'\n').count() as u64;
            self.counted_to += length as u64;
        }
        Ok(())
    }

    /// The number of lines that are given up with this file: all that were not written yet.
    pub(crate) fn unread(mut self) -> io::Result<u64> {
        self.count(u64::MAX)?;
        let mut last = [0];
        let has_unfinished = match self.counted_to {
            0 => false,
            end => {
                self.file.read_exact_at(&mut last, end - 1)?;
                last != *b"\n" && (end > self.offset || !self.lines.is_empty())
            }
        };
        Ok(self.counted - self.read + u64::from(has_unfinished))
    }

    /// Writes the last line of a file that is complete, if it has no end.
    pub(crate) fn finish(&mut self, name: &[u8], to: &mut Vec<u8>) {
        if !self.lines.is_empty() {
            self.lines.finish(name, to);
        }
    }
}

fn read_at(file: &File, chunk: &mut [u8], at: u64) -> io::Result<usize> {
    loop {
        match file.read_at(chunk, at) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}
