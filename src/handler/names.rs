//! Other names for the entries of a listing, none at all for some: `.names` files and patterns.

use std::io::Read as _;

use crate::path::TreePath;
use crate::tree::Tree;

/// The longest `.names` file that is read.
const NAMES_BYTES_MAX: u64 = 64 * 1024;

/// The entries of a directory's `.names`, in the form of the UMN server: blocks of `Path=./file`, `Name=Shown
/// so`, and `Type=X` for a file that is not to be listed.
#[derive(Debug, Default)]
pub(crate) struct Renames(Vec<Rename>);

#[derive(Debug, Default, PartialEq, Eq)]
struct Rename {
    path: Vec<u8>,
    name: Option<Vec<u8>>,
    hidden: bool,
}

impl Renames {
    pub(crate) fn read(tree: &Tree, directory: &TreePath) -> Renames {
        let mut text = Vec::new();
        let file = tree.document(&directory.dotted(b".names")).map(|document| document.file);
        match file.map(|file| file.take(NAMES_BYTES_MAX).read_to_end(&mut text)) {
            Some(Ok(_)) => Renames::parse(&text),
            Some(Err(_)) | None => Renames::default(),
        }
    }

    /// A block begins with its path. What is not understood is passed over.
    fn parse(text: &[u8]) -> Renames {
        let mut renames: Vec<Rename> = Vec::new();
        for line in text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii) {
            if let Some(path) = line.strip_prefix(b"Path=") {
                let path = path.strip_prefix(b"./").unwrap_or(path).to_vec();
                renames.push(Rename { path, ..Rename::default() });
            }
            let Some(last) = renames.last_mut() else { continue };
            if let Some(name) = line.strip_prefix(b"Name=").filter(|name| !name.is_empty()) {
                last.name = Some(name.to_vec());
            }
            last.hidden |= matches!(line, b"Type=X" | b"Type=-");
        }
        Renames(renames)
    }

    pub(crate) fn name_of(&self, file: &[u8]) -> Option<&[u8]> {
        self.0.iter().find(|rename| rename.path == file)?.name.as_deref()
    }

    pub(crate) fn hides(&self, file: &[u8]) -> bool {
        self.0.iter().any(|rename| rename.hidden && rename.path == file)
    }
}

/// Whether a name is of a pattern, in which `*` is any bytes and `?` is one. Time is bounded by the product
/// of the lengths: only the last `*` is ever tried again.
pub(crate) fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut in_name) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while in_name < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, in_name));
                at += 1;
            }
            Some(&byte) if byte == b'?' || byte == name[in_name] => (at, in_name) = (at + 1, in_name + 1),
            _ => match star {
                None => return false,
                Some((after, from)) => {
                    star = Some((after, from + 1));
                    (at, in_name) = (after + 1, from + 1);
                }
            },
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_rename_and_hide() {
        let renames =
            Renames::parse(b"# UMN\nName=lost\nPath=./a.txt\r\nName=A text\r\n\nPath=b\nType=X\nNumb=1\n");
        assert_eq!(renames.name_of(b"a.txt"), Some(&b"A text"[..]));
        assert_eq!(renames.name_of(b"b"), None);
        assert!(renames.hides(b"b") && !renames.hides(b"a.txt"));
    }

    #[test]
    fn patterns_are_of_any_bytes_and_single_ones() {
        for (pattern, name) in [("*.bak", "a.bak"), ("a?c", "abc"), ("*", "x"), ("*a*b", "xaybab"), ("", "")]
        {
            assert!(matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        for (pattern, name) in [("*.bak", "a.bak2"), ("a?c", "ac"), ("", "x"), ("a*", "ba"), ("*a*b", "xayc")]
        {
            assert!(!matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_time() {
        assert!(!matches(&b"*a".repeat(200), &[b'b'; 255]));
        assert!(!matches(&[&b"a*".repeat(100)[..], b"c"].concat(), &[b'a'; 255]));
    }
}
