//! One log: its file, and those of its rotated files that are not read to their end.

use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::cli::OWN_NAME;
use crate::lines;
use crate::reader::{Id, Read, Reader};
use crate::siblings;

/// How long a file is read on after a newer one has its name: its writer opens the new one a little later.
const GRACE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    name: Vec<u8>,
    /// The oldest first; the last has the path's name, or had it until a moment ago.
    readers: VecDeque<Reader>,
    rotations: usize,
    /// Lines that the watcher has yet to be told of.
    lost: u64,
    /// There may have been more.
    lost_more: bool,
    /// The last problem, which is told once.
    problem: Option<String>,
    news: Vec<String>,
}

impl Log {
    /// The log at the path, from its last `since` lines on. One that is not there yet is read from its first
    /// line on when it comes.
    pub(crate) fn follow(path: PathBuf, name: Vec<u8>, since: u64, rotations: usize) -> Log {
        let mut log = Log {
            path,
            name,
            readers: VecDeque::new(),
            rotations,
            lost: 0,
            lost_more: false,
            problem: None,
            news: Vec::new(),
        };
        let opened = Reader::open(&log.path).and_then(|mut reader| {
            reader.skip_to_last(since)?;
            Ok(reader)
        });
        match opened {
            Ok(reader) => {
                log.readers.push_back(reader);
                log.news.push("followed".to_owned());
            }
            Err(error) => log.report(&error),
        }
        log
    }

    fn report(&mut self, error: &io::Error) {
        let text = error.to_string();
        if self.problem.as_ref() != Some(&text) {
            crate::diagnose(&format!("cannot read {}: {text}", self.path.display()));
            self.news.push(format!("cannot be read: {text}"));
            self.problem = Some(text);
        }
    }

    /// Looks whether the path has another file now.
    pub(crate) fn look(&mut self, now: Instant) {
        let id = match std::fs::metadata(&self.path) {
            Ok(metadata) => (metadata.dev(), metadata.ino()),
            // Between the two steps of a rotation there is none.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.readers.is_empty() => return,
            Err(error) => return self.report(&error),
        };
        if self.readers.back().is_some_and(|reader| reader.id == id) {
            return;
        }
        match Reader::open(&self.path) {
            Ok(reader) if self.readers.back().is_some_and(|known| known.id == reader.id) => {}
            Ok(reader) => self.rotated(reader, now),
            Err(error) => self.report(&error),
        }
    }

    /// A new file has the name; others may have had it meanwhile.
    fn rotated(&mut self, newest: Reader, now: Instant) {
        if self.readers.is_empty() {
            self.news.push("followed".to_owned());
        }
        let mut newer = self.missed(newest.id);
        newer.push(newest);
        for reader in newer {
            if let Some(last) = self.readers.back_mut() {
                last.superseded.get_or_insert(now);
            }
            self.readers.push_back(reader);
        }
        self.problem = None;
        self.bound();
    }

    /// Files that had the name after the last one that is known, and before the newest: made in between.
    fn missed(&self, newest: Id) -> Vec<Reader> {
        let Some(last) = self.readers.back().filter(|last| !last.was_emptied) else { return Vec::new() };
        let Some(from) = last.made else { return Vec::new() };
        let known: Vec<Id> = self.readers.iter().map(|reader| reader.id).chain([newest]).collect();
        let mut missed = siblings::unknown(&self.path, &known);
        missed.retain(|reader| reader.made.is_some_and(|made| made > from));
        missed.sort_by_key(|reader| reader.made);
        missed
    }

    /// Gives up the oldest files beyond the number that may be open, and counts their lines.
    fn bound(&mut self) {
        while self.readers.len() > self.rotations + 1 {
            let Some(oldest) = self.readers.pop_front() else { return };
            match oldest.unread() {
                Ok(lines) => self.lost += lines,
                Err(error) => {
                    self.lost_more = true;
                    self.report(&error);
                }
            }
        }
    }

    /// Counts what a watcher that takes nothing now has yet to read of the newest file, which could be emptied.
    pub(crate) fn count_ahead(&mut self) {
        if let Some(Err(error)) = self.readers.back_mut().map(Reader::count_ahead) {
            self.report(&error);
        }
    }

    /// Writes what comes next, and tells whether there was anything.
    pub(crate) fn read(&mut self, to: &mut Vec<u8>, now: Instant) -> bool {
        self.tell(to);
        let mut at = 0;
        while let Some(reader) = self.readers.get_mut(at) {
            match reader.read(&self.name, to) {
                Ok(Read::Some) => return true,
                Ok(Read::End) if reader.superseded.is_some_and(|since| now - since > GRACE) => {
                    reader.finish(&self.name, to);
                    self.readers.remove(at);
                }
                Ok(Read::End) => at += 1,
                Ok(Read::Emptied) => {
                    self.emptied(at, now);
                    self.tell(to);
                    return true;
                }
                Err(error) => {
                    self.report(&error);
                    return false;
                }
            }
        }
        false
    }

    /// The writer has emptied a file. Programs that rotate logs in this way copy the file before: the copy
    /// then has what the watcher has not read.
    fn emptied(&mut self, at: usize, now: Instant) {
        let known: Vec<Id> = self.readers.iter().map(|reader| reader.id).collect();
        let Some(reader) = self.readers.get_mut(at) else { return };
        let mut copies = siblings::unknown(&self.path, &known);
        copies.retain(|copy| reader.is_copied_in(copy));
        copies.sort_by_key(|copy| copy.made);
        match copies.pop() {
            Some(mut copy) => {
                reader.restart(Some(&mut copy));
                copy.superseded = Some(now);
                self.readers.insert(at, copy);
                self.bound();
            }
            None => {
                self.lost += reader.restart(None);
                self.lost_more = true;
            }
        }
    }

    /// Writes what is no line of a file: that it is followed, that lines were lost.
    fn tell(&mut self, to: &mut Vec<u8>) {
        for news in self.news.drain(..) {
            notice(&self.name, &news, to);
        }
        if self.lost > 0 || self.lost_more {
            let more = if self.lost_more { " or more" } else { "" };
            notice(&self.name, &format!("lost lines: {}{more}", self.lost), to);
            (self.lost, self.lost_more) = (0, false);
        }
    }
}

fn notice(name: &[u8], text: &str, to: &mut Vec<u8>) {
    to.extend_from_slice(&[OWN_NAME, b": "].concat());
    lines::escape(name, to);
    to.extend_from_slice(b": ");
    lines::escape(text.as_bytes(), to);
    to.push(b'\n');
}
