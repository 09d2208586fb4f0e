//! The lines of a map, as an author should hear about them.

use super::hosts::Named;
use super::kinds;
use super::{Lint, SELECTOR_BYTES_RFC};
use crate::answer::{self, Target};
use crate::clean;
use crate::command;
use crate::document;
use crate::gophermap::{self, Line, Link, Style};
use crate::link;
use crate::mapfile::{Form, Map};
use crate::page;
use crate::path::TreePath;
use crate::tree::Node;
use crate::web;

/// This many columns fit beside a client's numbers on a terminal of 80; gophernicus cuts here.
const COLUMNS_MAX: usize = 67;

/// A finding that many lines of one map may have. The author can correct them all at once, so the first line
/// is reported, with the number of the others.
#[derive(Debug, Default)]
struct Repeated {
    first: Option<(usize, String)>,
    more: usize,
}

impl Repeated {
    fn add(&mut self, line: usize, what: impl FnOnce() -> String) {
        match self.first {
            None => self.first = Some((line, what())),
            Some(_) => self.more += 1,
        }
    }
}

impl Lint<'_> {
    pub(super) fn map(&mut self, path: &TreePath, text: &[u8]) {
        let directory = path.parent().unwrap_or_else(TreePath::root);
        let style = Style::of(text, self.site.settings.dialect);
        let lines: Vec<&[u8]> = gophermap::lines(text).collect();
        let mut tally: [Repeated; 6] = Default::default();
        let [wide, comments, not_utf8, controls, broken, commands] = &mut tally;
        for (number, &line) in lines.iter().enumerate().map(|(index, line)| (index + 1, line)) {
            let parsed = gophermap::parse(line, style);
            let shown = match &parsed {
                Line::Text(text) | Line::Title(text) => text,
                Line::Link(link) => link.name,
                _ => b"",
            };
            let columns = String::from_utf8_lossy(&clean::untabbed(shown)).chars().count();
            if columns > COLUMNS_MAX {
                wide.add(number, || {
                    format!("{columns} columns; some clients and servers cut at {COLUMNS_MAX}")
                });
            }
            if std::str::from_utf8(line).is_err() {
                not_utf8.add(number, || "not UTF-8".to_owned());
            }
            if shown.iter().any(|&byte| byte < b' ' && byte != b'\t') && clean::display(shown) != shown {
                controls.add(number, || "control characters are shown as ?".to_owned());
            }
            match &parsed {
                Line::Comment(text) if !text.is_empty() && !text.contains(&b'\t') => {
                    comments.add(number, || "comment: not shown".to_owned());
                }
                Line::End | Line::ListingAndEnd => {
                    if lines[number..].iter().any(|line| !line.trim_ascii().is_empty()) {
                        self.find(path, Some(number), "the page ends here: what follows is not shown");
                    }
                    break;
                }
                Line::Link(link) => self.link(path, &directory, number, link),
                Line::Text(text) if is_broken_link(line, text) => broken.add(number, || {
                    "has a TAB and is no link: the type, the host or the port makes no sense".to_owned()
                }),
                Line::Include(name) if self.is_command(&directory, name) => commands.add(number, || {
                    format!("a command: programs are off, and readers see \"{}\"", page::PROGRAM_NOTICE)
                }),
                _ => {
                    let found = self.other(&directory, line, &parsed);
                    found.into_iter().for_each(|what| self.find(path, Some(number), &what));
                }
            }
        }
        for repeated in tally {
            let Some((line, what)) = repeated.first else { continue };
            let more = if repeated.more > 0 {
                format!(" (and {} more lines)", repeated.more)
            } else {
                String::new()
            };
            self.find(path, Some(line), &(what + &more));
        }
    }

    /// Lines that are neither links nor plain text.
    fn other(&self, directory: &TreePath, line: &[u8], parsed: &Line<'_>) -> Option<String> {
        match parsed {
            Line::Hide(name) if is_name_to_hide(name) && !self.exists(directory, name) => {
                Some(format!("nothing of this name to hide: shown as text, {}", quoted(line)))
            }
            Line::Include(name) => self.include(directory, name),
            Line::Latest { directory: below, .. } if !below.is_empty() && !self.exists(directory, below) => {
                Some(format!("no directory of this name: shown as text, {}", quoted(line)))
            }
            _ => None,
        }
    }

    /// A line that names nothing here, and has blanks in it, as names of maps do not.
    fn is_command(&self, directory: &TreePath, name: &[u8]) -> bool {
        name.trim_ascii().contains(&b' ') && !self.exists(directory, name) && command::could_be(name)
    }

    fn include(&self, directory: &TreePath, name: &[u8]) -> Option<String> {
        let path = page::named(&self.tree, directory, name.trim_ascii_end());
        let document = path.and_then(|path| self.tree.document(&path));
        let what = match document.map(|document| Map::read(document, Form::Gophermap)) {
            Some(Ok(_)) => return None,
            Some(Err(_)) => "a program: programs are off",
            None if command::could_be(name) => "no readable map of this name to include",
            None => return None,
        };
        Some(format!("{what}: readers see \"{}\"", page::PROGRAM_NOTICE))
    }

    pub(super) fn link(&mut self, map: &TreePath, directory: &TreePath, line: usize, link: &Link<'_>) {
        if !link::is_known_type(link.item_type) {
            let prose = link::is_prose(&self.tree, directory, link);
            let shown = if prose { ": shown as text" } else { "" };
            let what = format!("no client knows the item type {}{shown}", char::from(link.item_type));
            return self.find(map, Some(line), &what);
        }
        if link::is_prose(&self.tree, directory, link) {
            if link.selector.is_some_and(is_file_name) {
                let shown = quoted(link.selector.unwrap_or_default());
                self.find(map, Some(line), &format!("a dead link: {shown} (not-found), so shown as text"));
            }
            return;
        }
        let Some(filled) = link::filled_in(&self.site, directory, link) else {
            return self.find(map, Some(line), "leads out of the tree: shown as text");
        };
        let selector = filled.selector;
        if selector.len() > SELECTOR_BYTES_RFC {
            let what = format!("a selector of {} bytes; some clients stop at 255", selector.len());
            self.find(map, Some(line), &what);
        }
        if let Some(target) = web::target(&selector) {
            if !web::is_allowed(target) {
                self.find(map, Some(line), &format!("a link that is not followed: {}", quoted(target)));
            }
            return;
        }
        if matches!(filled.item_type, b'2' | b'3' | b'8' | b'T') {
            return;
        }
        let is_ours = link.host.is_none() || self.site.is_ours(&filled.host);
        if is_ours && filled.port == self.site.port {
            if let Some(what) = self.target(filled.item_type, &selector) {
                self.find(map, Some(line), &what);
            }
        } else if link.host.is_some_and(is_readers_own) {
            self.find(map, Some(line), "names localhost, which is the reader's own computer");
        } else if self.site.settings.host.is_none() && link.host.is_some() {
            let (map, host, item_type) = (map.clone(), filled.host, filled.item_type);
            self.named.push(Named { map, line, host, item_type, selector });
        }
    }

    /// The problem of a link to this site: it is dead, or its type does not fit the file.
    pub(super) fn target(&self, item_type: u8, selector: &[u8]) -> Option<String> {
        let (shown, of_type) = (quoted(selector), format!("of type {}", char::from(item_type)));
        let Target { path, node, .. } = match self.leads_to(selector)? {
            Ok(target) => target,
            Err(problem) => return Some(format!("a dead link: {shown} ({})", problem.status())),
        };
        match (node, item_type) {
            (Node::Directory(_), b'1' | b'+') => None,
            (Node::Directory(_), _) => Some(format!("{of_type}, but {shown} is a directory")),
            (Node::File(_), b'1' | b'+') if answer::form(&self.site, &path).is_some() => None,
            (Node::File(_), _) if answer::form(&self.site, &path).is_some() => {
                Some(format!("{of_type}, but {shown} is a menu"))
            }
            (Node::File(_), b'1') => Some(format!("of type 1, but {shown} is a file")),
            (Node::File(mut document), link) => {
                let file = document::item_type(&mut document, path.name());
                let kind = kinds::kind(file);
                (!kinds::fits(link, file))
                    .then(|| format!("{of_type}, but {shown} is {kind}: type {}", char::from(file)))
            }
        }
    }

    fn exists(&self, directory: &TreePath, name: &[u8]) -> bool {
        let path = page::named(&self.tree, directory, name.trim_ascii_end());
        path.is_some_and(|path| self.tree.holds(&path))
    }
}

/// A line that begins like a link, with a type that is a digit, and is none.
fn is_broken_link(line: &[u8], text: &[u8]) -> bool {
    line.len() == text.len() && line.first().is_some_and(u8::is_ascii_digit) && line.contains(&b'\t')
}

/// `secret.txt` and `drafts`, and not `->`, `--`, `o-` or `Ann`: lines that begin with a hyphen are mostly
/// drawn, or signed.
fn is_name_to_hide(name: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-/".contains(byte);
    let small = name.first().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let whole =
        name.len() > 1 && name.iter().all(plain) && name.last().is_some_and(u8::is_ascii_alphanumeric);
    whole && small || is_file_name(name)
}

/// `song.mp3`, `dir/song.mp3`
fn is_file_name(name: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-/~".contains(byte);
    let dot = name.iter().rposition(|&byte| byte == b'.');
    name.iter().all(plain)
        && name.iter().any(u8::is_ascii_alphanumeric)
        && dot.is_some_and(|dot| name.get(dot + 1).is_some_and(u8::is_ascii_alphanumeric))
}

fn is_readers_own(host: &[u8]) -> bool {
    host.eq_ignore_ascii_case(b"localhost") || host.starts_with(b"127.") || host == b"::1" || host == b"[::1]"
}

fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", String::from_utf8_lossy(&clean::display(bytes)))
}
