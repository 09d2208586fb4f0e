//! The bytes of a log in pieces of any size: each line comes out once, as one line of plain text.
//!
//! Run by the fuzzer, and over its seeds by the tests.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what the check finds is a panic")]

use crate::lines::{LINE_BYTES_MAX, Lines};

/// The first byte says how long pieces are.
pub fn check(data: &[u8]) {
    let Some((&size, text)) = data.split_first() else { return };
    let (mut lines, mut written) = (Lines::default(), Vec::new());
    let mut count = 0;
    for piece in text.chunks(usize::from(size) + 1) {
        count += lines.add(b"n", piece, &mut written);
    }
    let written = String::from_utf8(written).expect("plain text");
    assert!(!written.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "{written:?}");
    let whole: Vec<&[u8]> = match text.iter().rposition(|&byte| byte == b'\n') {
        Some(end) => text[..end].split(|&byte| byte == b'\n').collect(),
        None => Vec::new(),
    };
    assert_eq!(count, whole.len() as u64);
    assert_eq!(written.lines().count(), whole.len());
    for (line, bytes) in written.lines().zip(whole) {
        let line = line.strip_prefix("n: ").expect("the name");
        match bytes.len() {
            0..=LINE_BYTES_MAX => assert_eq!(unescaped(line), bytes, "{line:?}"),
            length => assert!(line.ends_with(&format!("\\[{} bytes more]", length - LINE_BYTES_MAX))),
        }
    }
}

/// The bytes that an escaped line stands for.
fn unescaped(line: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = line;
    while let Some((plain, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        match escape.strip_prefix('x') {
            Some(digits) => {
                bytes.push(u8::from_str_radix(&digits[..2], 16).expect("two digits"));
                rest = &digits[2..];
            }
            None => {
                bytes.push(b'\\');
                rest = escape.strip_prefix('\\').expect("a backslash");
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

#[test]
fn seeds_of_log_lines_pass() {
    let directory = format!("{}/../../fuzz/seeds/log_lines", env!("CARGO_MANIFEST_DIR"));
    let seeds: Vec<_> = std::fs::read_dir(directory).unwrap().map(|seed| seed.unwrap().path()).collect();
    assert!(!seeds.is_empty());
    for seed in seeds {
        check(&std::fs::read(&seed).unwrap());
    }
}
