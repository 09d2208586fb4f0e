//! A menu page: a map carried out line by line, or the listing of a directory that has none.

use std::io::{self, Read as _};

use crate::gophermap::{self, Line, Link};
use crate::listing::{self, Row};
use crate::menu::{Item, Menu};
use crate::path::{self, TreePath};
use crate::tree::{Directory, Document, Tree};

/// The longest map that is read; the page says where it was cut.
const MAP_BYTES_MAX: u64 = 1024 * 1024;

/// Maps within maps: how deep, and how many on a page, as each may name several.
const INCLUDE_DEPTH_MAX: usize = 4;
const INCLUDES_MAX: usize = 64;

/// The page being made. Hidden names and types given by a map are in force from their line to the end of the page.
#[derive(Debug)]
pub(crate) struct Page<'a, 'fd> {
    tree: &'a Tree,
    menu: Menu<'a, 'fd>,
    directory: TreePath,
    hidden: Vec<Vec<u8>>,
    retyped: Vec<(Vec<u8>, u8)>,
    depth: usize,
    includes: usize,
}

/// Whether the map that asked goes on.
#[derive(PartialEq, Eq)]
enum Flow {
    On,
    End,
}

impl<'a, 'fd> Page<'a, 'fd> {
    pub(crate) fn new(tree: &'a Tree, menu: Menu<'a, 'fd>, directory: TreePath) -> Page<'a, 'fd> {
        Page { tree, menu, directory, hidden: Vec::new(), retyped: Vec::new(), depth: 0, includes: 0 }
    }

    /// The page of a map.
    pub(crate) fn of_map(mut self, map: Document) -> io::Result<()> {
        self.map(map)?;
        self.menu.end()
    }

    /// The page of a directory without one: a title, the way up, what is in it.
    pub(crate) fn of_directory(mut self, directory: Directory) -> io::Result<()> {
        let title =
            listing::tag(self.tree, &self.directory).unwrap_or_else(|| match self.directory.is_root() {
                true => self.menu.site.host.clone().into_bytes(),
                false => [self.directory.selector().as_slice(), b"/"].concat(),
            });
        self.menu.title(&title)?;
        self.menu.info(b"")?;
        let parent = self.directory.parent().and_then(|parent| listing::fetchable(self.tree, &parent));
        if let Some(selector) = parent {
            self.menu.own(b'1', b"..", &selector)?;
        }
        self.listing(directory)?;
        self.menu.end()
    }

    fn map(&mut self, map: Document) -> io::Result<()> {
        let mut text = Vec::new();
        let long = map.bytes > MAP_BYTES_MAX;
        let read = map.file.take(MAP_BYTES_MAX).read_to_end(&mut text);
        for line in gophermap::lines(&text) {
            if self.line(line)? == Flow::End {
                return Ok(());
            }
        }
        if long || read.is_err() {
            self.menu.info(b"(the rest of this menu is not shown)")?;
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8]) -> io::Result<Flow> {
        match gophermap::parse(line) {
            Line::Nothing => {}
            Line::Text(text) => self.menu.info(text)?,
            Line::Title(title) => self.menu.title(title)?,
            Line::Link(link) => self.link(line, &link)?,
            Line::Retype(extension, item_type) => {
                self.retyped.push((extension.to_ascii_lowercase(), item_type))
            }
            Line::Hide(name) => match self.named(name) {
                Some(path) if self.tree.holds(&path) => self.hidden.push(name.to_vec()),
                _ => self.menu.info(line)?,
            },
            Line::Include(name) => self.include(line, name)?,
            Line::Listing => self.listing_here()?,
            Line::ListingAndEnd => {
                self.listing_here()?;
                return Ok(Flow::End);
            }
            Line::End => return Ok(Flow::End),
        }
        Ok(Flow::On)
    }

    /// Fills in what the author left out, as gophernicus does: the selector is the name, the host and the port are ours.
    fn link(&mut self, line: &[u8], link: &Link<'_>) -> io::Result<()> {
        let written = link.selector.unwrap_or(link.name);
        let as_written = link.host.is_some()
            || written.starts_with(b"/")
            || written.starts_with(b"URL:")
            || written.starts_with(b"GET ")
            || matches!(link.item_type, b'3' | b'8' | b'T');
        let selector =
            if as_written { Some(written.to_vec()) } else { path::resolve(&self.directory, written) };
        let Some(selector) = selector else { return self.menu.info(line) };
        let host = link.host.map_or_else(|| self.menu.site.host.clone().into_bytes(), <[u8]>::to_vec);
        let port = link.port.unwrap_or(self.menu.site.port);
        self.menu.item(&Item {
            item_type: link.item_type,
            name: link.name,
            selector: &selector,
            host: &host,
            port,
        })
    }

    /// Another map in this place. A name that leads to no file is text, as drawings begin with `=` too. A map that is a program
    /// is not run, and never shown: its source may hold what its output would not.
    fn include(&mut self, line: &[u8], name: &[u8]) -> io::Result<()> {
        match self.named(name).and_then(|path| self.tree.document(&path)) {
            None => self.menu.info(line),
            Some(map) if map.executable => self.menu.info(b"(this part is a program, and programs are off)"),
            Some(map) => self.nested(map),
        }
    }

    fn nested(&mut self, map: Document) -> io::Result<()> {
        if self.depth == INCLUDE_DEPTH_MAX || self.includes == INCLUDES_MAX {
            return self.menu.info(b"(more menus within menus are not shown)");
        }
        self.includes += 1;
        self.depth += 1;
        let result = self.map(map);
        self.depth -= 1;
        result
    }

    /// A file that a map names: below its directory, or below the root if it begins with a slash.
    fn named(&self, name: &[u8]) -> Option<TreePath> {
        let path = if name.starts_with(b"/") { name.to_vec() } else { path::resolve(&self.directory, name)? };
        TreePath::parse(&path).ok()
    }

    fn listing_here(&mut self) -> io::Result<()> {
        match self.tree.open(&self.directory) {
            Ok(crate::tree::Node::Directory(directory)) => self.listing(directory),
            _ => self.menu.info(b"(the files here cannot be listed)"),
        }
    }

    fn listing(&mut self, directory: Directory) -> io::Result<()> {
        let names = listing::names(self.tree, &self.directory, directory, &self.hidden);
        let mut shown = 0;
        for name in names.shown() {
            match listing::row(self.tree, &self.directory, name, &self.retyped) {
                None => continue,
                Some(Row::Map(map)) => self.nested(map)?,
                Some(Row::Item { item_type, text, selector }) => {
                    self.menu.own(item_type, &text, &selector)?
                }
                Some(Row::Unreachable { text }) => self.menu.info(&text)?,
            }
            shown += 1;
        }
        match names.notice() {
            Some(notice) => self.menu.info(notice.as_bytes()),
            None if shown == 0 => self.menu.info(b"(empty)"),
            None => Ok(()),
        }
    }
}
