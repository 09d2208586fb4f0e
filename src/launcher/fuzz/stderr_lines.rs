//! Lines of a handler's stderr: the same however the bytes are cut into pieces, bounded in length and number,
//! and printable after escaping. The first byte is the size of a piece.
//!
//! Run by the fuzzer, and over its seeds by the tests.

use crate::log::escape;
use crate::supervisor::stderr::{LINE_MAX, Lines};
use std::time::Instant;

fn lines_of<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, u64) {
    let now = Instant::now();
    let mut lines = Lines::new(now);
    let mut given = Vec::new();
    for piece in pieces {
        lines.push(piece, now, |line| given.push(line.to_vec()));
    }
    lines.finish(now, |line| given.push(line.to_vec()));
    (given, lines.dropped)
}

pub fn check(data: &[u8]) {
    let Some((size, text)) = data.split_first() else { return };
    let whole = lines_of(std::iter::once(text));
    assert_eq!(lines_of(text.chunks(usize::from(*size).max(1))), whole);
    let (given, dropped) = whole;
    let ends = text.iter().filter(|byte| **byte == b'\n').count();
    let open = usize::from(text.last().is_some_and(|last| *last != b'\n'));
    assert_eq!(given.len() + usize::try_from(dropped).unwrap(), ends + open);
    for line in given {
        assert!(line.len() <= LINE_MAX && !line.contains(&b'\n'));
        let shown = escape(&line);
        assert!(!shown.chars().any(char::is_control));
    }
}
