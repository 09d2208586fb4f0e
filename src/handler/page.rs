//! A menu page: a map carried out line by line, or the listing of a directory that has none.

use std::io::{self, Read as _};

use crate::gophermap::{self, Line, Link};
use crate::listing::{self, Row};
use crate::menu::{Item, Menu};
use crate::path::{self, TreePath};
use crate::site::Site;
use crate::tree::{Directory, Document, Tree};

/// The longest map that is read; the page says where it was cut.
const MAP_BYTES_MAX: u64 = 1024 * 1024;

/// Maps within maps: how deep, and how many on a page, as each may name several.
const INCLUDE_DEPTH_MAX: usize = 4;
const INCLUDES_MAX: usize = 64;

/// The page being made. Hidden names and types given by a map are in force from their line to the end of the page.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    tree: &'a Tree,
    menu: Menu<'a>,
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

impl<'a> Page<'a> {
    pub(crate) fn new(tree: &'a Tree, menu: Menu<'a>, directory: TreePath) -> Page<'a> {
        Page { tree, menu, directory, hidden: Vec::new(), retyped: Vec::new(), depth: 0, includes: 0 }
    }

    /// The page of a map.
    pub(crate) fn of_map(mut self, map: Document) -> io::Result<()> {
        self.map(map)
    }

    /// The page of a directory without one: a title, the way up, what is in it; between a header and a footer, where the
    /// site has them. A header is there for what stands above, so it has the title too.
    pub(crate) fn of_directory(mut self, directory: Directory) -> io::Result<()> {
        let site = self.menu.site;
        if !self.part(site.settings.header.as_deref())? {
            self.menu.title(&self.name())?;
            self.menu.info(b"")?;
        }
        let parent = self.directory.parent().filter(|_| site.settings.parent_link);
        let parent = parent.and_then(|parent| listing::fetchable(self.tree, site, &parent));
        if let Some(selector) = parent {
            self.menu.own(b'1', b"..", &selector)?;
        }
        self.listing(directory)?;
        self.part(site.settings.footer.as_deref()).map(drop)
    }

    fn name(&self) -> Vec<u8> {
        let site = self.menu.site;
        let below = || match (self.directory.is_root(), site.user_prefix.is_empty()) {
            (true, true) => site.host.clone().into_bytes(),
            (true, false) => [site.user_prefix.as_slice(), b"/"].concat(),
            (false, _) => [site.user_prefix.as_slice(), &self.directory.selector(), b"/"].concat(),
        };
        listing::tag(self.tree, &self.directory).unwrap_or_else(below)
    }

    /// A header or footer, and whether there is one.
    fn part(&mut self, name: Option<&[u8]>) -> io::Result<bool> {
        let map = name.and_then(|name| self.named(name)).and_then(|path| self.tree.document(&path));
        match map.filter(|map| !map.executable) {
            Some(map) => self.nested(map).map(|()| true),
            None => Ok(false),
        }
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
        match gophermap::parse(line, self.menu.site.settings.dialect) {
            Line::Nothing => {}
            Line::Users => self.users(line)?,
            Line::Vhosts => self.vhosts()?,
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
        let site = self.menu.site;
        let selector = selector_of(site, &self.directory, link);
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

    /// The users that have a tree, as `~` asks; without users the line is text, as in gophernicus.
    fn users(&mut self, line: &[u8]) -> io::Result<()> {
        let site = self.menu.site;
        let Some(template) = &site.settings.users else { return self.menu.info(line) };
        for name in template.names().into_iter().take(listing::ROWS_MAX) {
            let selector = site.absolute(format!("/~{name}").as_bytes());
            self.menu.own(b'1', format!("~{name}").as_bytes(), &selector)?;
        }
        Ok(())
    }

    /// The virtual hosts, as `%` asks. A link names the host, and the form that reaches it where it shares our address.
    fn vhosts(&mut self) -> io::Result<()> {
        let site = self.menu.site;
        for vhost in &site.settings.vhosts {
            let selector = format!("/;{}", vhost.name);
            self.menu.item(&Item {
                item_type: b'1',
                name: vhost.name.as_bytes(),
                selector: selector.as_bytes(),
                host: vhost.name.as_bytes(),
                port: site.port,
            })?;
        }
        Ok(())
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
        let (tree, site) = (self.tree, self.menu.site);
        let names = listing::names(tree, site, &self.directory, directory, &self.hidden);
        let mut shown = 0;
        for name in names.shown() {
            match listing::row(tree, site, &self.directory, name, &self.retyped, &names.renames) {
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

/// The selector of a link in a map of `directory`; `None` leads out of the tree.
pub(crate) fn selector_of(site: &Site<'_>, directory: &TreePath, link: &Link<'_>) -> Option<Vec<u8>> {
    // With a host of its own an empty selector is that host's root. Without, the name stands for it.
    let written = match (link.selector, link.host) {
        (Some(selector), _) => selector,
        (None, Some(_)) => b"",
        (None, None) => link.name,
    };
    if link.item_type == b'h' && (written.starts_with(b"http://") || written.starts_with(b"https://")) {
        return Some([b"URL:", written].concat());
    }
    let as_written = link.host.is_some()
        || written.starts_with(b"/")
        || written.starts_with(b"URL:")
        || written.starts_with(b"GET ")
        || matches!(link.item_type, b'3' | b'8' | b'T');
    match as_written {
        true if link.host.is_none() && written.starts_with(b"/") => Some(site.absolute(written)),
        true => Some(written.to_vec()),
        false => path::resolve(directory, written).map(|path| site.selector(&path)),
    }
}
