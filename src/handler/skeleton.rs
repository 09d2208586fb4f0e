//! Finds users who have only the pages that a new account begins with: a list of users can leave them out.

use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::Dir;

use crate::path::TreePath;
use crate::tree::{Node, Tree};

/// A tree with more in it has been used.
const ENTRIES_MAX: usize = 64;
const DEPTH_MAX: usize = 4;

/// The longest file that is compared; a page to begin with is short.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Whether every file of the tree is one of the skeleton, with the same content. Files that the user has
/// removed do not count, nor do hidden ones and those that nobody may read: no reader can meet them.
pub(crate) fn is_all_of(tree: &Tree, skeleton: &Path) -> bool {
    let mut left = ENTRIES_MAX;
    directory(tree, &TreePath::root(), skeleton, DEPTH_MAX, &mut left)
}

fn directory(tree: &Tree, path: &TreePath, skeleton: &Path, depth: usize, left: &mut usize) -> bool {
    let Ok(Node::Directory(opened)) = tree.open(path) else { return true };
    let Ok(entries) = Dir::new(opened.fd) else { return true };
    for entry in entries.flatten() {
        let Ok(below) = path.join(entry.file_name().to_bytes()) else { continue };
        *left = match left.checked_sub(1) {
            Some(left) => left,
            None => return false,
        };
        let same = match tree.open(&below) {
            Ok(Node::File(document)) => {
                let original = skeleton.join(std::ffi::OsStr::from_bytes(below.relative()));
                is_copy(document.file, document.bytes, &original)
            }
            Ok(Node::Directory(_)) => depth > 0 && directory(tree, &below, skeleton, depth - 1, left),
            Err(_) => true,
        };
        if !same {
            return false;
        }
    }
    true
}

fn is_copy(file: fs::File, bytes: u64, original: &Path) -> bool {
    if bytes > FILE_BYTES_MAX {
        return false;
    }
    let mut content = Vec::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content);
    read.is_ok() && fs::read(original).is_ok_and(|original| original == content)
}
