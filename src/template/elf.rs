//! The parts of ELF that say whether a handler can be executed in a template: elf(5).

/// The kind of a file, by its first bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An ELF executable or library. With the loader that it asks for, if it is dynamically linked.
    Elf {
        loader: Option<String>,
    },
    /// Begins with `#!`.
    Script,
    Other,
}

const PT_INTERP: u32 = 3;
/// e_phoff, e_phentsize and e_phnum of a 64-bit header.
const PROGRAM_HEADERS: usize = 32;
const ENTRY_SIZE: usize = 54;
const ENTRY_COUNT: usize = 56;
/// A program header of a 64-bit file.
const ENTRY: usize = 56;

/// Reads a whole file, 64-bit and little-endian: no other machine is supported.
pub(crate) fn kind(file: &[u8]) -> Kind {
    if file.starts_with(b"#!") {
        return Kind::Script;
    }
    if !file.starts_with(b"\x7fELF\x02\x01") {
        return Kind::Other;
    }
    Kind::Elf { loader: loader(file) }
}

fn loader(file: &[u8]) -> Option<String> {
    let table = usize::try_from(word(file, PROGRAM_HEADERS)?).ok()?;
    let size = usize::from(half(file, ENTRY_SIZE)?);
    let count = usize::from(half(file, ENTRY_COUNT)?);
    if size < ENTRY {
        return None;
    }
    (0..count).find_map(|index| {
        let entry = file.get(table.checked_add(index * size)?..)?.get(..ENTRY)?;
        let kind = u32::from_le_bytes(*entry.first_chunk()?);
        if kind != PT_INTERP {
            return None;
        }
        let offset = usize::try_from(word(entry, 8)?).ok()?;
        let length = usize::try_from(word(entry, 32)?).ok()?;
        let path = file.get(offset..offset.checked_add(length)?)?;
        Some(String::from_utf8_lossy(path.split(|byte| *byte == 0).next()?).into_owned())
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
    use super::*;

    #[test]
    fn the_loader_of_a_dynamic_program_is_found() {
        let shell = std::fs::read("/bin/sh").unwrap();
        let Kind::Elf { loader: Some(loader) } = kind(&shell) else { panic!("/bin/sh is not dynamic") };
        assert!(std::path::Path::new(&loader).exists(), "{loader}");
    }

    #[test]
    fn scripts_and_other_files_are_told_apart() {
        assert_eq!(kind(b"#!/bin/sh\n"), Kind::Script);
        assert_eq!(kind(b"hello"), Kind::Other);
        assert_eq!(kind(b""), Kind::Other);
    }

    #[test]
    fn a_broken_header_asks_for_no_loader_and_harms_nobody() {
        let shell = std::fs::read("/bin/sh").unwrap();
        for end in (0..200).chain([1000, 2000]) {
            kind(shell.get(..end).unwrap());
        }
        let mut lying = shell.get(..64).unwrap().to_vec();
        for at in 32..64 {
            lying[at] = 0xff;
            assert_eq!(kind(&lying), Kind::Elf { loader: None });
        }
    }
}
