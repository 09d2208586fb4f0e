//! The rotated files of a log: those beside it whose names begin with its own.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::reader::{Id, Reader};

/// Files that are no longer text.
const COMPRESSED: [&[u8]; 5] = [b".gz", b".xz", b".bz2", b".zst", b".lz4"];

/// How many names beside a log are looked at.
const NAMES_MAX: usize = 10_000;

/// The files beside a log that are not known yet: `NAME.1`, `NAME-20261129`. One that cannot be opened is none.
pub(crate) fn unknown(path: &Path, known: &[Id]) -> Vec<Reader> {
    let (Some(directory), Some(own)) = (path.parent(), path.file_name()) else { return Vec::new() };
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let is_rotated = |name: &[u8]| {
        let rest = name.strip_prefix(own.as_bytes());
        rest.is_some_and(|rest| matches!(rest.first(), Some(b'.' | b'-' | b'_')))
            && !COMPRESSED.iter().any(|suffix| name.ends_with(suffix))
    };
    entries
        .take(NAMES_MAX)
        .flatten()
        .filter(|entry| is_rotated(entry.file_name().as_bytes()))
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .filter_map(|entry| Reader::open(&entry.path()).ok())
        .filter(|reader| !known.contains(&reader.id))
        .collect()
}
