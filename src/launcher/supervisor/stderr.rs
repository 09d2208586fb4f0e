//! The handler's stderr as lines: bounded in length and rate, whatever comes.

use std::time::{Duration, Instant};

/// A longer line is cut; the rest up to its end is dropped.
pub(crate) const LINE_MAX: usize = 1024;
/// Lines a second; more are counted, not logged.
const LINES_A_SECOND: u32 = 64;
const SECOND: Duration = Duration::from_secs(1);

/// Splits bytes into lines. Holds at most one line.
#[derive(Debug)]
pub(crate) struct Lines {
    partial: Vec<u8>,
    /// The current line was longer than [`LINE_MAX`] and has been given out already.
    cut: bool,
    second_began: Instant,
    given: u32,
    pub(crate) dropped: u64,
}

impl Lines {
    pub(crate) fn new(now: Instant) -> Lines {
        Lines { partial: Vec::new(), cut: false, second_began: now, given: 0, dropped: 0 }
    }

    /// Takes what was read and gives each whole line to `line`.
    pub(crate) fn push(&mut self, bytes: &[u8], now: Instant, mut line: impl FnMut(&[u8])) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (content, ended) = match part.strip_suffix(b"\n") {
                Some(content) => (content, true),
                None => (part, false),
            };
            let room = LINE_MAX - self.partial.len();
            if !self.cut {
                self.partial.extend_from_slice(&content[..content.len().min(room)]);
                self.cut = content.len() > room;
            }
            if ended {
                self.give(now, &mut line);
            }
        }
    }

    /// A last line without an end.
    pub(crate) fn finish(&mut self, now: Instant, mut line: impl FnMut(&[u8])) {
        if !self.partial.is_empty() {
            self.give(now, &mut line);
        }
    }

    fn give(&mut self, now: Instant, line: &mut impl FnMut(&[u8])) {
        if now.duration_since(self.second_began) >= SECOND {
            self.second_began = now;
            self.given = 0;
        }
        if self.given < LINES_A_SECOND {
            self.given += 1;
            line(self.partial.strip_suffix(b"\r").unwrap_or(&self.partial));
        } else {
            self.dropped += 1;
        }
        self.partial.clear();
        self.cut = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(chunks: &[&[u8]]) -> (Vec<Vec<u8>>, u64) {
        let now = Instant::now();
        let mut lines = Lines::new(now);
        let mut given = Vec::new();
        for chunk in chunks {
            lines.push(chunk, now, |line| given.push(line.to_vec()));
        }
        lines.finish(now, |line| given.push(line.to_vec()));
        (given, lines.dropped)
    }

    #[test]
    fn lines_come_whole_however_they_were_written() {
        let (given, _) = lines_of(&[b"on", b"e\ntwo\r\nthr", b"ee"]);
        assert_eq!(given, [b"one".to_vec(), b"two".to_vec(), b"three".to_vec()]);
    }

    #[test]
    fn a_long_line_is_cut_and_the_next_one_is_whole() {
        let long = vec![b'x'; 5000];
        let (given, _) = lines_of(&[&long, &long, b"\nnext\n"]);
        assert_eq!(given, [vec![b'x'; LINE_MAX], b"next".to_vec()]);
    }

    #[test]
    fn more_lines_than_the_rate_are_counted() {
        let (given, dropped) = lines_of(&[&b"a\n".repeat(100)]);
        assert_eq!((given.len(), dropped), (64, 36));
    }
}
