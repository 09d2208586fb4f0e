//! Listings of directories: names in order, and a menu row for each.

use std::io::Read as _;

use rustix::fs::{Dir, FileType};

use crate::clean;
use crate::document;
use crate::filetype;
use crate::mapfile::{self, Form};
use crate::names::{self, Renames};
use crate::natural;
use crate::path::{self, TreePath};
use crate::request::SELECTOR_BYTES_MAX;
use crate::site::Site;
use crate::tree::{Directory, Document, Node, Tree};
use crate::web;

/// How many names are read to be put in order; a directory with more is shown in part, and its last page
/// says so.
pub(crate) const NAMES_MAX: usize = 50_000;

/// Columns of a row: name, date and size stay within 67, what a terminal of 80 has left beside a
/// client's numbers.
const NAME_COLUMNS: usize = 43;

/// The longest gophertag that is looked at.
const TAG_BYTES_MAX: u64 = 256;

/// The names of a directory, ordered: directories first, then natural order or the newest first.
#[derive(Debug)]
pub(crate) struct Names {
    names: Vec<Name>,
    /// The directory has more names than are read.
    pub(crate) unread: bool,
    pub(crate) renames: Renames,
}

#[derive(Debug, Clone)]
struct Name {
    is_directory: bool,
    name: Vec<u8>,
}

/// A line of a listing.
#[derive(Debug)]
pub(crate) enum Row {
    Item {
        item_type: u8,
        text: Vec<u8>,
        selector: Vec<u8>,
    },
    /// A file `X.gophermap`: its lines stand in the place of its name.
    Map(Document),
    /// A file whose path is too long for a selector, or a directory whose page is a program.
    Unreachable {
        text: Vec<u8>,
    },
}

impl Names {
    /// The names of one page, the first being 1.
    pub(crate) fn page(&self, page: usize, rows: usize) -> impl Iterator<Item = &[u8]> {
        self.names.iter().skip((page - 1).saturating_mul(rows)).take(rows).map(|entry| entry.name.as_slice())
    }

    /// How many names are left after a page.
    pub(crate) fn after(&self, page: usize, rows: usize) -> usize {
        self.names.len().saturating_sub(page.saturating_mul(rows))
    }
}

/// Reads the names of a directory that can be listed. What cannot be read ends the list, it does not lose it.
pub(crate) fn names(
    tree: &Tree,
    site: &Site<'_>,
    path: &TreePath,
    directory: Directory,
    hidden: &[Vec<u8>],
) -> Names {
    let renames = Renames::read(tree, path);
    let mut names = Vec::new();
    let mut unread = false;
    for entry in Dir::new(directory.fd).into_iter().flatten() {
        let Ok(entry) = entry else { break };
        let name = entry.file_name().to_bytes();
        if is_private(name, site) || renames.hides(name) || hidden.iter().any(|other| other == name) {
            continue;
        }
        let is_directory = match entry.file_type() {
            FileType::Directory => true,
            FileType::RegularFile => false,
            FileType::Symlink | FileType::Unknown => {
                matches!(path.join(name).and_then(|path| tree.open(&path)), Ok(Node::Directory(_)))
            }
            _ => continue,
        };
        if names.len() == NAMES_MAX {
            unread = true;
            break;
        }
        names.push(Name { is_directory, name: name.to_vec() });
    }
    names.sort_by(|a, b| natural::compare(&a.name, &b.name));
    if site.newest_first(path) {
        names.reverse();
        names.sort_by_cached_key(|entry| std::cmp::Reverse(time(tree, path, entry)));
    }
    names.sort_by_key(|entry| !entry.is_directory);
    Names { names, unread, renames }
}

/// The time an entry is of: the date that its name begins with, as those of phlogs do, or the year or month
/// that a directory is named by. Else the time of its last change, which copies of a tree do not keep.
fn time(tree: &Tree, directory: &TreePath, entry: &Name) -> (String, i64) {
    let named = natural::leading_date(&entry.name);
    match named.or_else(|| natural::period(&entry.name).filter(|_| entry.is_directory)) {
        Some(date) => (date, i64::MAX),
        None => {
            let changed = directory.join(&entry.name).map_or(0, |path| tree.changed(&path));
            (natural::date(changed), changed)
        }
    }
}

/// Names that are never listed: hidden ones, those that say how to list, and programs.
fn is_private(name: &[u8], site: &Site<'_>) -> bool {
    let settings = site.settings;
    let is_part = |part: &Option<Vec<u8>>| part.as_deref() == Some(name);
    name.starts_with(b".")
        || matches!(name, b"gophermap" | b"gophertag" | b"cgi-bin")
        || is_part(&settings.header)
        || is_part(&settings.footer)
        || settings.hide.iter().any(|pattern| names::matches(pattern, name))
}

/// The row of a name, or `None` if it cannot be fetched: a dangling link, a file that is not for everybody.
pub(crate) fn row(
    tree: &Tree,
    site: &Site<'_>,
    directory: &TreePath,
    name: &[u8],
    retyped: &[(Vec<u8>, u8)],
    renames: &Renames,
) -> Option<Row> {
    let path = directory.join(name).ok()?;
    let renamed = renames.name_of(name);
    let (item_type, text) = match tree.open(&path).ok()? {
        Node::File(document) if name.ends_with(b".gophermap") => return Some(Row::Map(document)),
        Node::File(mut document) => {
            let item_type = item_type(&mut document, site, name, retyped);
            (item_type, columns(renamed.unwrap_or(name), document.changed, &natural::size(document.bytes)))
        }
        Node::Directory(node) => {
            let shown = renamed.map(<[u8]>::to_vec).or_else(|| tag(tree, &path));
            let shown = shown.unwrap_or_else(|| [name, b"/"].concat());
            (b'1', columns(&shown, node.changed, "-"))
        }
    };
    let leads_somewhere = item_type != b'1' || !mapfile::is_program(tree, &path);
    Some(match fetchable(tree, site, &path).filter(|_| leads_somewhere) {
        Some(selector) => Row::Item { item_type, text, selector },
        None => Row::Unreachable { text },
    })
}

fn item_type(document: &mut Document, site: &Site<'_>, name: &[u8], retyped: &[(Vec<u8>, u8)]) -> u8 {
    if Form::of(site.settings, name).is_some() {
        return b'1';
    }
    let by_map = filetype::extension(name).and_then(|extension| {
        let row = retyped.iter().rev().find(|(other, _)| other.eq_ignore_ascii_case(extension));
        row.map(|(_, item_type)| *item_type)
    });
    by_map.unwrap_or_else(|| document::item_type(document, name))
}

/// The selector that fetches a path: encoded as clients like it, unless that is the very name of
/// another file, which would be found first, or asks for something that is no file; then as it is, then
/// encoded whole.
pub(crate) fn fetchable(tree: &Tree, site: &Site<'_>, path: &TreePath) -> Option<Vec<u8>> {
    let literal = path.selector();
    let spellings = [clean::encoded(&literal), literal.clone(), clean::encoded_whole(&literal)];
    let spelling = spellings.into_iter().find(|selector| {
        let is_other = || TreePath::parse(selector).is_ok_and(|other| other != *path && tree.holds(&other));
        let length = site.host_prefix.len() + site.user_prefix.len() + selector.len();
        let fits = length <= SELECTOR_BYTES_MAX && clean::selector(selector) == *selector;
        fits && web::target(selector).is_none() && !site.is_reserved(selector) && !is_other()
    });
    spelling.map(|spelling| site.selector(&spelling))
}

/// The selector of a page of a listing.
pub(crate) fn page_selector(tree: &Tree, site: &Site<'_>, path: &TreePath, page: usize) -> Option<Vec<u8>> {
    let selector = fetchable(tree, site, path)?;
    let selector = if page == 1 { selector } else { path::page_selector(&selector, page) };
    (selector.len() <= SELECTOR_BYTES_MAX).then_some(selector)
}

/// The name a directory gives itself: the first line of its `gophertag`.
pub(crate) fn tag(tree: &Tree, directory: &TreePath) -> Option<Vec<u8>> {
    let document = tree.document(&directory.join(b"gophertag").ok()?)?;
    let mut text = Vec::new();
    document.file.take(TAG_BYTES_MAX).read_to_end(&mut text).ok()?;
    let line = text.split(|&byte| byte == b'\n').next()?.trim_ascii();
    (!line.is_empty()).then(|| line.to_vec())
}

/// Name, date and size in columns. A name that is too long is cut at a character, with dots to show it.
fn columns(name: &[u8], changed: i64, size: &str) -> Vec<u8> {
    let shown = clean::display(name);
    let text = String::from_utf8_lossy(&shown);
    let length = text.chars().count();
    let (cut, dots) = if length > NAME_COLUMNS { (NAME_COLUMNS - 3, "...") } else { (length, "") };
    let mut row: String = text.chars().take(cut).collect();
    row.push_str(dots);
    let padding = " ".repeat(NAME_COLUMNS - row.chars().count());
    format!("{row}{padding}  {}  {size:>9}", natural::date(changed)).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_stays_within_67_columns() {
        for name in [&b"a"[..], &[b'x'; 300], "ä".repeat(200).as_bytes(), &[0xFF; 60]] {
            let row = columns(name, 0, "1023.9 KB");
            assert!(String::from_utf8_lossy(&row).chars().count() <= 67, "{row:?}");
        }
    }

    #[test]
    fn pages_share_out_the_names() {
        let name = |number: usize| Name { is_directory: false, name: number.to_string().into_bytes() };
        let names = Names { names: (0..25).map(name).collect(), unread: false, renames: Renames::default() };
        assert_eq!((names.page(1, 10).count(), names.after(1, 10)), (10, 15));
        assert_eq!(names.page(2, 10).next(), Some(&b"10"[..]));
        assert_eq!((names.page(3, 10).count(), names.after(3, 10)), (5, 0));
        assert_eq!((names.page(usize::MAX, 10).count(), names.after(usize::MAX, 10)), (0, 0));
    }
}
