//! `/~name`: trees of users, found by a template. No user database is read.

use std::path::{Path, PathBuf};

use crate::listing::NAMES_MAX;
use crate::natural;
use crate::problem::Problem;
use crate::skeleton;
use crate::tree::Tree;

/// The longest user name; that of Linux.
const NAME_BYTES_MAX: usize = 32;

/// `/home/%s/public_gopher`, taken apart at the name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Template {
    /// The directory of all homes: `/home`.
    base: PathBuf,
    /// The path of the tree in a home: `public_gopher`. It may be empty.
    rest: PathBuf,
}

impl Template {
    pub(crate) fn parse(text: &str) -> Result<Template, String> {
        let wrong = || "wants a path that begins with / and has %s as one component".to_owned();
        let (base, rest) = text.split_once("/%s").ok_or_else(wrong)?;
        let plain = |path: &str| path.split('/').all(|part| !part.contains("%s") && part != "..");
        if !(text.starts_with('/')
            && plain(base)
            && plain(rest)
            && (rest.is_empty() || rest.starts_with('/')))
        {
            return Err(wrong());
        }
        let base = if base.is_empty() { "/" } else { base };
        Ok(Template { base: PathBuf::from(base), rest: PathBuf::from(rest.trim_matches('/')) })
    }

    pub(crate) fn open(&self, name: &str) -> Result<Tree, Problem> {
        Tree::open_user(&self.base, name, &self.rest)
    }

    /// The users that have a tree, in order. With a skeleton, one whose tree has nothing else in it is
    /// left out.
    pub(crate) fn names(&self, skeleton: Option<&Path>) -> Users {
        let mut entries = std::fs::read_dir(&self.base).into_iter().flatten().flatten();
        let read = entries.by_ref().take(NAMES_MAX).filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> =
            read.filter(|name| is_name(name) && self.has_pages(name, skeleton)).collect();
        names.sort_by(|a, b| natural::compare(a.as_bytes(), b.as_bytes()));
        Users { names, unread: entries.next().is_some() }
    }

    fn has_pages(&self, name: &str, skeleton: Option<&Path>) -> bool {
        let Ok(tree) = self.open(name) else { return false };
        skeleton.is_none_or(|skeleton| !skeleton::is_all_of(&tree, skeleton))
    }
}

/// The users that a page lists.
#[derive(Debug)]
pub(crate) struct Users {
    pub(crate) names: Vec<String>,
    /// There are more than are looked at.
    pub(crate) unread: bool,
}

/// The name and the rest of a selector `/~name` or `/~name/rest`.
pub(crate) fn split(selector: &[u8]) -> Option<(&str, &[u8])> {
    let after = selector.strip_prefix(b"/").unwrap_or(selector).strip_prefix(b"~")?;
    let end = after.iter().position(|&byte| byte == b'/' || byte == b'?').unwrap_or(after.len());
    let name = std::str::from_utf8(&after[..end]).ok().filter(|name| is_name(name))?;
    Some((name, &after[end..]))
}

/// Any name that useradd(8) can be made to take: letters, digits, `_`, `.` and `-`. A dot at the start would
/// be a hidden name, a hyphen an option, and digits alone a user ID.
fn is_name(name: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    name.len() <= NAME_BYTES_MAX
        && name.bytes().all(inside)
        && !name.starts_with(['.', '-'])
        && !name.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_taken_apart_at_the_name() {
        for (text, base, rest) in [
            ("/home/%s/public_gopher", "/home", "public_gopher"),
            ("/var/gopher/%s", "/var/gopher", ""),
            ("/%s/a/b/", "/", "a/b"),
        ] {
            let expected = Template { base: PathBuf::from(base), rest: PathBuf::from(rest) };
            assert_eq!(Template::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_template_without_a_whole_component_for_the_name_is_refused() {
        for text in ["/home", "home/%s", "/home/%s.d", "/home/u%s/x", "/home/%s/%s", "/home/%s/../x", ""] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_plain_user_names_are_taken() {
        assert_eq!(split(b"/~alice"), Some(("alice", &b""[..])));
        assert_eq!(split(b"~al-1/x"), Some(("al-1", &b"/x"[..])));
        assert_eq!(split(b"/~john.Doe/x"), Some(("john.Doe", &b"/x"[..])));
        assert_eq!(split(b"/~4tune"), Some(("4tune", &b""[..])));
        for selector in [&b"/~"[..], b"/~/x", b"/~../x", b"/~.x", b"/~-a", b"/~1000", b"/~a%2f", b"/~a\0"] {
            assert_eq!(split(selector), None, "{selector:?}");
        }
        assert_eq!(split(["/~", &"a".repeat(33)].concat().as_bytes()), None);
    }
}
