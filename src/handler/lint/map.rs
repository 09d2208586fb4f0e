//! The lines of a map, as an author should hear about them.

use super::{Lint, SELECTOR_BYTES_RFC};
use crate::clean;
use crate::gophermap::{self, Line, Link};
use crate::page;
use crate::path::{self, TreePath};
use crate::settings::Dialect;
use crate::tree::Node;
use crate::web;

/// What fits beside a client's numbers on a terminal of 80 columns; where gophernicus cuts.
const COLUMNS_MAX: usize = 67;

/// Item types that clients know.
const KNOWN_TYPES: &[u8] = b"0123456789+TgIhisdpPM;crx:<w";

impl Lint<'_> {
    pub(super) fn map(&mut self, path: &TreePath, text: &[u8]) {
        let directory = path.parent().unwrap_or_else(TreePath::root);
        let lines: Vec<&[u8]> = gophermap::lines(text).collect();
        for (number, &line) in lines.iter().enumerate() {
            let number = number + 1;
            for what in self.line(&directory, line) {
                self.find(path, Some(number), &what);
            }
            let ends =
                matches!(gophermap::parse(line, self.site.settings.dialect), Line::End | Line::ListingAndEnd);
            if ends {
                if lines[number..].iter().any(|line| !line.is_empty()) {
                    self.find(path, Some(number), "the page ends here: what follows is not shown");
                }
                return;
            }
        }
    }

    fn line(&self, directory: &TreePath, line: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        if std::str::from_utf8(line).is_err() {
            found.push("not UTF-8".to_owned());
        }
        let parsed = gophermap::parse(line, self.site.settings.dialect);
        let shown = match &parsed {
            Line::Text(text) | Line::Title(text) => text,
            Line::Link(link) => link.name,
            _ => b"",
        };
        if clean::display(shown) != shown && !shown.contains(&b'\t') {
            found.push("control characters are shown as ?".to_owned());
        }
        let columns = String::from_utf8_lossy(shown).chars().count();
        if columns > COLUMNS_MAX {
            found.push(format!("{columns} columns; some clients and servers cut at {COLUMNS_MAX}"));
        }
        match parsed {
            Line::Text(text) => found.extend(self.text(line, text)),
            Line::Link(link) => found.extend(self.link(directory, &link)),
            Line::Hide(name) if !self.exists(directory, name) => {
                found.push(format!("nothing of this name to hide: shown as text, {}", quoted(line)));
            }
            Line::Include(name) if !self.exists(directory, name) => {
                found.push(format!("no map of this name to include: shown as text, {}", quoted(line)));
            }
            _ => {}
        }
        found
    }

    /// Lines that are text here and something else to another server.
    fn text(&self, line: &[u8], text: &[u8]) -> Option<String> {
        if line.trim_ascii().contains(&b'\t') && line.len() == text.len() {
            return Some(
                "has a TAB and is no link: the type, the host or the port makes no sense".to_owned(),
            );
        }
        let acts = matches!(line, [b'*' | b'.' | b'~' | b'%' | b'-' | b'=' | b':' | b'!', ..]);
        (acts && self.site.settings.dialect == Dialect::Gophernicus)
            .then(|| "text here, but gophernicus takes the first character for a directive".to_owned())
    }

    fn link(&self, directory: &TreePath, link: &Link<'_>) -> Vec<String> {
        let mut found = Vec::new();
        if !KNOWN_TYPES.contains(&link.item_type) {
            found.push(format!("no client knows the item type {}", char::from(link.item_type)));
        }
        let Some(selector) = page::selector_of(&self.site, directory, link) else {
            found.push("leads out of the tree: shown as text".to_owned());
            return found;
        };
        if selector.len() > SELECTOR_BYTES_RFC {
            found.push(format!("a selector of {} bytes; some clients stop at 255", selector.len()));
        }
        let is_ours = link.host.is_none_or(|host| host.eq_ignore_ascii_case(self.site.host.as_bytes()))
            && link.port.is_none_or(|port| port == self.site.port);
        if let Some(target) = web::target(&selector) {
            if !web::is_allowed(target) {
                found.push(format!("a link that is not followed: {}", quoted(target)));
            }
        } else if is_ours && !matches!(link.item_type, b'2' | b'3' | b'8' | b'T') {
            found.extend(self.target(link.item_type, &selector));
        }
        found
    }

    /// Whether something is there, and of the kind that the link says.
    fn target(&self, item_type: u8, selector: &[u8]) -> Option<String> {
        let shown = quoted(selector);
        match (self.leads_to(selector)?, item_type) {
            (Err(problem), _) => Some(format!("a dead link: {shown} ({})", problem.status())),
            (Ok(Node::Directory(_)), b'1' | b'+') => None,
            (Ok(Node::Directory(_)), other) => {
                Some(format!("of type {}, but {shown} is a directory", char::from(other)))
            }
            (Ok(Node::File(_)), b'1') if !selector.ends_with(b".gophermap") => {
                Some(format!("of type 1, but {shown} is a file"))
            }
            (Ok(Node::File(_)), _) => None,
        }
    }

    fn exists(&self, directory: &TreePath, name: &[u8]) -> bool {
        let path = if name.starts_with(b"/") { Some(name.to_vec()) } else { path::resolve(directory, name) };
        path.and_then(|path| TreePath::parse(&path).ok()).is_some_and(|path| self.tree.holds(&path))
    }
}

fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", String::from_utf8_lossy(&clean::display(bytes)))
}
