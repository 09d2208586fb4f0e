//! Selectors as paths below the root, checked before the kernel sees them.
//!
//! A selector is never repaired by replacing text in it: one with a component that must not be there is
//! refused whole.

use crate::clean;
use crate::problem::Problem;

/// A path below the content root without leading slash, the root being empty. No component is empty, `.` or
/// `..`, begins with a dot or holds NUL, but where [`TreePath::dotted`] made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TreePath(Vec<u8>);

/// One way to read a selector.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) path: TreePath,
    /// The selector ends with a slash, so only a directory fits.
    pub(crate) directory: bool,
    /// Number of a long listing's page, from 1.
    pub(crate) page: usize,
}

/// The mark between the selector of a listing and the number of one of its further pages. A name that begins
/// with a dot is never served, so no file can be meant.
const PAGE_MARK: &[u8] = b"/.page/";

/// The selector of a further page of what has this selector.
pub(crate) fn page_selector(selector: &[u8], page: usize) -> Vec<u8> {
    let above = selector.strip_suffix(b"/").unwrap_or(selector);
    [above, PAGE_MARK, page.to_string().as_bytes()].concat()
}

/// A selector without the number of its page, and that number.
fn paged(selector: &[u8]) -> (&[u8], usize) {
    let digits = selector.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (above, number) = selector.split_at(selector.len() - digits);
    let number = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok()).unwrap_or(0);
    let above = above
        .strip_suffix(PAGE_MARK)
        .or_else(|| above.strip_suffix(&PAGE_MARK[1..]).filter(|above| above.is_empty()));
    match above {
        Some(above) if number > 1 => (above, number),
        _ => (selector, 1),
    }
}

/// The ways to read a selector, in the order they are tried: as it stands; decoded, once; both again without
/// what follows a `?`, as a client may have made a search of it. The file that really has the name wins:
/// `per%41cent.txt` and `q?.txt` are names that occur, and servers that decode or split first list them and
/// cannot serve them.
pub(crate) fn readings(selector: &[u8]) -> impl Iterator<Item = Result<Reading, Problem>> {
    let before_query = selector.iter().position(|&byte| byte == b'?').map(|at| &selector[..at]);
    let mut spellings: Vec<Vec<u8>> = Vec::new();
    for plain in [Some(selector), before_query].into_iter().flatten() {
        for spelling in [plain.to_vec(), clean::decoded(plain)] {
            if !spellings.contains(&spelling) {
                spellings.push(spelling);
            }
        }
    }
    spellings.into_iter().map(|spelling| {
        let (above, page) = paged(&spelling);
        Ok(Reading { path: TreePath::parse(above)?, directory: above.ends_with(b"/"), page })
    })
}

impl TreePath {
    pub(crate) fn root() -> TreePath {
        TreePath(Vec::new())
    }

    /// Repeated slashes and `.` name the same place and are dropped; anything else that is no plain name
    /// is refused.
    pub(crate) fn parse(selector: &[u8]) -> Result<TreePath, Problem> {
        let mut path = TreePath::root();
        for component in selector.split(|&byte| byte == b'/') {
            match component {
                b"" | b"." => {}
                [b'.', ..] => return Err(Problem::Forbidden),
                name if name.contains(&0) => return Err(Problem::Forbidden),
                name => path.push(name),
            }
        }
        Ok(path)
    }

    /// A path that the author of the tree wrote, for a part of a page: hidden names are theirs to name, `..`
    /// is not.
    pub(crate) fn of_author(written: &[u8]) -> Option<TreePath> {
        let mut path = TreePath::root();
        for component in written.split(|&byte| byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => return None,
                name if name.contains(&0) => return None,
                name => path.push(name),
            }
        }
        Some(path)
    }

    /// `name`, a single plain component, below this path.
    pub(crate) fn join(&self, name: &[u8]) -> Result<TreePath, Problem> {
        if name.is_empty() || name.starts_with(b".") || name.contains(&b'/') || name.contains(&0) {
            return Err(Problem::Forbidden);
        }
        Ok(self.dotted(name))
    }

    /// A name of our own choice below this path, one that may begin with a dot: `.gophermap`.
    pub(crate) fn dotted(&self, name: &[u8]) -> TreePath {
        let mut path = self.clone();
        path.push(name);
        path
    }

    pub(crate) fn parent(&self) -> Option<TreePath> {
        match self.0.iter().rposition(|&byte| byte == b'/') {
            _ if self.is_root() => None,
            Some(slash) => Some(TreePath(self.0[..slash].to_vec())),
            None => Some(TreePath::root()),
        }
    }

    pub(crate) fn name(&self) -> &[u8] {
        self.0.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
    }

    pub(crate) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this is inside a directory; a directory is not inside itself.
    pub(crate) fn is_below(&self, directory: &TreePath) -> bool {
        let rest = self.0.strip_prefix(directory.0.as_slice());
        rest.is_some_and(|rest| if directory.is_root() { !rest.is_empty() } else { rest.starts_with(b"/") })
    }

    pub(crate) fn has_component(&self, name: &[u8]) -> bool {
        self.0.split(|&byte| byte == b'/').any(|component| component == name)
    }

    /// The path for the kernel, relative to the root.
    pub(crate) fn relative(&self) -> &[u8] {
        if self.is_root() { b"." } else { &self.0 }
    }

    /// The path as a client requests it, before any encoding.
    pub(crate) fn selector(&self) -> Vec<u8> {
        [b"/", self.0.as_slice()].concat()
    }

    fn push(&mut self, component: &[u8]) {
        if !self.is_root() {
            self.0.push(b'/');
        }
        self.0.extend_from_slice(component);
    }
}

/// The selector of a link that a map in `directory` wrote as `relative`, by text alone: `.` and `..` are
/// resolved, and `None` is a link that leaves the tree.
pub(crate) fn resolve(directory: &TreePath, relative: &[u8]) -> Option<Vec<u8>> {
    let mut components: Vec<&[u8]> =
        directory.0.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).collect();
    for component in relative.split(|&byte| byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => drop(components.pop()?),
            name => components.push(name),
        }
    }
    let mut selector = [b"/", components.join(&b'/').as_slice()].concat();
    if relative.ends_with(b"/") && !components.is_empty() {
        selector.push(b'/');
    }
    Some(selector)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(selector: &[u8]) -> Vec<Result<Vec<u8>, Problem>> {
        readings(selector).map(|reading| reading.map(|reading| reading.path.0)).collect()
    }

    #[test]
    fn the_literal_name_is_tried_before_the_decoded_one() {
        assert_eq!(
            read(b"/a%20b?c"),
            [Ok(b"a%20b?c".to_vec()), Ok(b"a b?c".to_vec()), Ok(b"a%20b".to_vec()), Ok(b"a b".to_vec())]
        );
    }

    #[test]
    fn a_parent_component_is_refused_however_it_is_spelled() {
        for selector in
            [&b"../x"[..], b"/a/../b", b"/..", b"/a/%2e%2e/b", b"/a/%2E./b", b"/a%2f..%2fb", b"/#056#056/b"]
        {
            assert_eq!(read(selector).pop(), Some(Err(Problem::Forbidden)), "{selector:?}");
        }
    }

    #[test]
    fn what_was_encoded_twice_stays_encoded_once() {
        assert_eq!(read(b"/%252e%252e/x").pop(), Some(Ok(b"%2e%2e/x".to_vec())));
    }

    #[test]
    fn hidden_names_and_nul_are_refused() {
        for selector in [&b"/.x"[..], b"/a/.git/config", b"/%2ehidden", b"/a\0b", b"/a%00b"] {
            assert_eq!(read(selector).pop(), Some(Err(Problem::Forbidden)), "{selector:?}");
        }
    }

    #[test]
    fn the_pages_of_a_listing_have_numbers() {
        let page = |selector: &[u8]| {
            readings(selector)
                .next()
                .map(|reading| reading.map(|reading| (reading.path.selector(), reading.page)))
        };
        assert_eq!(page(b"/a/.page/2"), Some(Ok((b"/a".to_vec(), 2))));
        assert_eq!(page(b"/.page/12"), Some(Ok((b"/".to_vec(), 12))));
        assert_eq!(page(b".page/3"), Some(Ok((b"/".to_vec(), 3))));
        for selector in
            [&b"/a/.page/1"[..], b"/a/.page/0", b"/a/.page/", b"/a/.page/2x", b"/a/.page", b"/a.page/2/.x"]
        {
            assert_eq!(page(selector), Some(Err(Problem::Forbidden)), "{selector:?}");
        }
        assert_eq!(page_selector(b"/", 2), b"/.page/2");
        assert_eq!(page_selector(b"/a", 3), b"/a/.page/3");
    }

    #[test]
    fn slashes_and_single_dots_are_squeezed() {
        assert_eq!(read(b"//a/./b//"), [Ok(b"a/b".to_vec())]);
    }

    #[test]
    fn links_of_a_map_are_resolved_by_text() {
        let directory = TreePath(b"a/b".to_vec());
        assert_eq!(resolve(&directory, b"c.txt").as_deref(), Some(&b"/a/b/c.txt"[..]));
        assert_eq!(resolve(&directory, b"./c/").as_deref(), Some(&b"/a/b/c/"[..]));
        assert_eq!(resolve(&directory, b"../../").as_deref(), Some(&b"/"[..]));
        assert_eq!(resolve(&directory, b"../../../x"), None);
    }

    /// All selectors of up to five of the pieces that could make one leave the tree.
    #[test]
    fn no_reading_of_any_selector_has_a_component_that_is_not_a_plain_name() {
        let pieces = [&b"."[..], b"/", b"%2e", b"%2F", b"%00", b"#056", b"?", b"a", b".page/2"];
        let mut selectors = vec![Vec::new()];
        let mut longest = selectors.clone();
        for _ in 0..5 {
            let longer = longest
                .iter()
                .flat_map(|start| pieces.iter().map(move |piece| [start.as_slice(), piece].concat()));
            longest = longer.collect();
            selectors.extend_from_slice(&longest);
        }
        for path in
            selectors.iter().flat_map(|selector| read(selector)).flatten().filter(|path| !path.is_empty())
        {
            let plain = |name: &[u8]| !name.is_empty() && !name.starts_with(b".") && !name.contains(&0);
            assert!(path.split(|&byte| byte == b'/').all(plain), "{path:?}");
        }
    }
}
