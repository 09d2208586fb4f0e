//! A menu page: a map carried out line by line, or the listing of a directory that has none.

use std::io;

use crate::clean;
use crate::command;
use crate::gemtext;
use crate::gophermap::{self, Line, Link, Style};
use crate::gph;
use crate::latest;
use crate::link;
use crate::listing::{self, Names, Row};
use crate::mapfile::{self, Form, Map};
use crate::menu::{Item, Menu};
use crate::path::{self, TreePath};
use crate::problem::Problem;
use crate::tree::{Directory, Document, Node, Tree};

/// Maps within maps: how deep, and how many on a page, as each may name several.
const INCLUDE_DEPTH_MAX: usize = 4;
const INCLUDES_MAX: usize = 64;

/// The text that readers see in the place of a program.
pub(crate) const PROGRAM_NOTICE: &str = "(this part is a program; programs are off)";

/// The page being made. Hidden names and types given by a map are in force from their line to the end of
/// the page.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    tree: &'a Tree,
    menu: Menu<'a>,
    directory: TreePath,
    /// The path by which the page was requested: the directory, or a map in it.
    own: TreePath,
    /// Number of the first listing's page, from 1. The lines around the listing are on the first.
    number: usize,
    listed: bool,
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
    pub(crate) fn new(
        tree: &'a Tree,
        mut menu: Menu<'a>,
        directory: TreePath,
        own: TreePath,
        number: usize,
    ) -> Page<'a> {
        menu.muted = number > 1;
        let (hidden, retyped) = (Vec::new(), Vec::new());
        Page { tree, menu, directory, own, number, listed: false, hidden, retyped, depth: 0, includes: 0 }
    }

    /// The page of a map.
    pub(crate) fn of_map(mut self, map: &Map) -> io::Result<Result<(), Problem>> {
        self.map(map)?;
        Ok(self.is_there())
    }

    /// The page of a directory without a map: a title, the way up, and the listing; between a header and a
    /// footer, where the site has them. A header stands above everything, so it has the title too.
    pub(crate) fn of_directory(mut self, directory: Directory) -> io::Result<Result<(), Problem>> {
        let site = self.menu.site;
        if !self.part(site.settings.header.as_deref())? {
            self.menu.title(&self.name())?;
            self.menu.info(b"")?;
        }
        let parent = self.directory.parent().filter(|_| site.settings.parent_link);
        let parent = parent.filter(|parent| !mapfile::is_program(self.tree, parent));
        let parent = parent.and_then(|parent| listing::fetchable(self.tree, site, &parent));
        if let Some(selector) = parent {
            self.menu.own(b'1', b"..", &selector)?;
        }
        self.listing(directory)?;
        self.part(site.settings.footer.as_deref())?;
        Ok(self.is_there())
    }

    /// A further page is there if the listing reached it.
    fn is_there(&self) -> Result<(), Problem> {
        if self.number == 1 || self.listed { Ok(()) } else { Err(Problem::Absent) }
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

    /// A header or footer, and whether there is one. A program is none.
    fn part(&mut self, name: Option<&[u8]>) -> io::Result<bool> {
        match name.and_then(|name| self.document(name)).map(|(document, form)| Map::read(document, form)) {
            Some(Ok(map)) => self.nested(&map).map(|()| true),
            Some(Err(_)) | None => Ok(false),
        }
    }

    fn map(&mut self, map: &Map) -> io::Result<()> {
        let flow = match map.form {
            Form::Gophermap => self.gophermap(&map.text)?,
            Form::Gph => self.gph(&map.text)?,
            Form::Gemtext => self.gemtext(&map.text)?,
        };
        match flow {
            Flow::On if map.cut => self.menu.info(b"(the rest of this menu is not shown)"),
            Flow::On | Flow::End => Ok(()),
        }
    }

    fn gophermap(&mut self, text: &[u8]) -> io::Result<Flow> {
        let style = Style::of(text, self.menu.site.settings.dialect);
        let mut first = self.depth == 0;
        for line in gophermap::lines(text) {
            match gophermap::parse(line, style) {
                // The first line of a text with headings is its title.
                Line::Text([b'#', b' ' | b'\t', title @ ..]) if first && style.headings => {
                    self.menu.title(title.trim_ascii())?;
                }
                parsed => {
                    if self.line(line, parsed)? == Flow::End {
                        return Ok(Flow::End);
                    }
                }
            }
            first &= line.trim_ascii().is_empty();
        }
        Ok(Flow::On)
    }

    fn gph(&mut self, text: &[u8]) -> io::Result<Flow> {
        for line in gophermap::lines(text) {
            match gph::parse(line) {
                gph::Line::Text(text) => self.text(text)?,
                gph::Line::Link(link) if link.item_type == b'i' => self.text(&link.name)?,
                gph::Line::Link(link) => {
                    let (item_type, port) = (link.item_type, link.port);
                    let selector = Some(link.selector.as_slice()).filter(|selector| !selector.is_empty());
                    let host = link.host.as_deref();
                    self.link(line, &Link { item_type, name: &link.name, selector, host, port })?;
                }
                gph::Line::Gophermap(link) => self.link(line, &link)?,
            }
        }
        Ok(Flow::On)
    }

    fn gemtext(&mut self, text: &[u8]) -> io::Result<Flow> {
        let text = String::from_utf8_lossy(text);
        for line in gemtext::lines(&text) {
            match line {
                gemtext::Line::Text(text) => self.text(text.as_bytes())?,
                gemtext::Line::Title(title) => self.menu.title(title.as_bytes())?,
                gemtext::Line::Link { target, label } => {
                    let item = link::of_gemtext(self.tree, self.menu.site, &self.directory, target, label);
                    match item {
                        Some(item) => self.menu.item(&item.of(label.as_bytes()))?,
                        None => self.text(format!("{label} ({target})").as_bytes())?,
                    }
                }
            }
        }
        Ok(Flow::On)
    }

    fn line(&mut self, line: &[u8], parsed: Line<'_>) -> io::Result<Flow> {
        match parsed {
            Line::Comment(_) => {}
            Line::Users => self.users(line)?,
            Line::Vhosts => self.vhosts()?,
            Line::Text(text) => self.text(text)?,
            Line::Title(title) => self.menu.title(title)?,
            Line::Link(link) => self.link(line, &link)?,
            Line::Retype(extension, item_type) => {
                self.retyped.push((extension.to_ascii_lowercase(), item_type))
            }
            Line::Hide(name) => match self.existing(name) {
                Some(name) => self.hidden.push(name.to_vec()),
                None => self.text(line)?,
            },
            Line::Include(name) => self.include(line, name)?,
            Line::Listing => self.listing_here()?,
            Line::Latest { count, directory } => self.latest(line, count, directory)?,
            Line::ListingAndEnd => {
                self.listing_here()?;
                return Ok(Flow::End);
            }
            Line::End => return Ok(Flow::End),
        }
        Ok(Flow::On)
    }

    fn text(&mut self, text: &[u8]) -> io::Result<()> {
        self.menu.info(&clean::untabbed(text))
    }

    /// A link, with what the author left out filled in. One that leads nowhere at all is shown as it
    /// was written.
    fn link(&mut self, line: &[u8], link: &Link<'_>) -> io::Result<()> {
        if link::is_prose(self.tree, &self.directory, link) {
            return self.text(line);
        }
        match link::filled_in(self.menu.site, &self.directory, link) {
            Some(item) => self.menu.item(&item.of(link.name)),
            None => self.menu.info(line),
        }
    }

    /// The users that have a tree, as `~` asks; without users the line is text, as in gophernicus.
    fn users(&mut self, line: &[u8]) -> io::Result<()> {
        let site = self.menu.site;
        let Some(template) = &site.settings.users else { return self.menu.info(line) };
        let users = template.names(site.settings.users_skeleton.as_deref());
        for name in users.names {
            let selector = site.absolute(format!("/~{name}").as_bytes());
            self.menu.own(b'1', format!("~{name}").as_bytes(), &selector)?;
        }
        if users.unread { self.menu.info(b"(there are more users than are listed)") } else { Ok(()) }
    }

    /// The virtual hosts, as `%` asks. A link names the host, and the form that reaches it where it shares
    /// our address.
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
                listed: false,
            })?;
        }
        Ok(())
    }

    /// Another map in this place. A name that leads to no map may be a command, of which nothing is shown;
    /// else it is a drawing. A map that is a program is not run, and never shown.
    fn include(&mut self, line: &[u8], name: &[u8]) -> io::Result<()> {
        match self.document(name).map(|(document, form)| Map::read(document, form)) {
            Some(Ok(map)) => self.nested(&map),
            Some(Err(_)) => self.menu.info(PROGRAM_NOTICE.as_bytes()),
            None if command::could_be(name) => self.menu.info(PROGRAM_NOTICE.as_bytes()),
            None => self.text(line),
        }
    }

    fn nested(&mut self, map: &Map) -> io::Result<()> {
        if self.depth == INCLUDE_DEPTH_MAX || self.includes == INCLUDES_MAX {
            return self.menu.info(b"(more menus within menus are not shown)");
        }
        self.includes += 1;
        self.depth += 1;
        let result = self.map(map);
        self.depth -= 1;
        result
    }

    /// A file that the author names as a part of the page. It may be hidden, so that readers meet it
    /// only there.
    fn document(&self, name: &[u8]) -> Option<(Document, Form)> {
        let path = self.named(self.existing(name)?)?;
        let form = Form::of(self.menu.site.settings, path.name()).unwrap_or(Form::Gophermap);
        self.tree.document(&path).map(|document| (document, form))
    }

    /// The name, or the name without blanks at its end, whichever is there.
    fn existing<'n>(&self, name: &'n [u8]) -> Option<&'n [u8]> {
        let is_there = |name: &[u8]| self.named(name).is_some_and(|path| self.tree.holds(&path));
        [name, name.trim_ascii_end()].into_iter().find(|name| is_there(name))
    }

    fn named(&self, name: &[u8]) -> Option<TreePath> {
        named(self.tree, &self.directory, name)
    }

    fn listing_here(&mut self) -> io::Result<()> {
        match self.tree.open(&self.directory) {
            Ok(Node::Directory(directory)) => self.listing(directory),
            _ => self.menu.info(b"(the files here cannot be listed)"),
        }
    }

    /// A listing, or on a further page that part of the first one, with a title and the way back.
    fn listing(&mut self, directory: Directory) -> io::Result<()> {
        let (tree, site) = (self.tree, self.menu.site);
        let names = listing::names(tree, site, &self.directory, directory, &self.hidden);
        if self.number == 1 {
            return self.rows(&names);
        }
        if self.listed || names.after(self.number - 1, site.settings.page_rows) == 0 {
            return Ok(());
        }
        (self.listed, self.menu.muted) = (true, false);
        self.menu.title(&[&self.name()[..], format!(" (page {})", self.number).as_bytes()].concat())?;
        self.menu.info(b"")?;
        if let Some(selector) = listing::page_selector(tree, site, &self.own, self.number - 1) {
            self.menu.own(b'1', b"(back)", &selector)?;
        }
        self.rows(&names)?;
        self.menu.muted = true;
        Ok(())
    }

    fn rows(&mut self, names: &Names) -> io::Result<()> {
        let (tree, site) = (self.tree, self.menu.site);
        let rows = site.settings.page_rows;
        let mut shown = 0;
        for name in names.page(self.number, rows) {
            match listing::row(tree, site, &self.directory, name, &self.retyped, &names.renames) {
                None => continue,
                Some(Row::Map(document)) => match Map::read(document, Form::Gophermap) {
                    Ok(map) => self.nested(&map)?,
                    Err(_) => continue,
                },
                Some(Row::Item { item_type, text, selector }) => {
                    self.menu.row(item_type, &text, &selector)?
                }
                Some(Row::Unreachable { text }) => self.menu.info(&text)?,
            }
            shown += 1;
        }
        let left = names.after(self.number, rows);
        if left > 0 {
            let text = format!("({left} more)");
            return match listing::page_selector(tree, site, &self.own, self.number + 1) {
                Some(selector) => self.menu.row(b'1', text.as_bytes(), &selector),
                None => self.menu.info(text.as_bytes()),
            };
        }
        match names.unread {
            true => self.menu.info(b"(more files are here than can be listed)"),
            false if shown == 0 => self.menu.info(b"(empty)"),
            false => Ok(()),
        }
    }

    /// The newest texts below a directory. Code that follows links gets the directory instead: its listing if
    /// it is this one, else a link.
    fn latest(&mut self, line: &[u8], count: Option<usize>, directory: &[u8]) -> io::Result<()> {
        let site = self.menu.site;
        let below = if directory.is_empty() { Some(self.directory.clone()) } else { self.named(directory) };
        let below = below.filter(|path| matches!(self.tree.open(path), Ok(Node::Directory(_))));
        let Some(below) = below else { return self.text(line) };
        if self.menu.follows_links() {
            return match listing::fetchable(self.tree, site, &below) {
                _ if below == self.directory => self.listing_here(),
                Some(selector) => self.menu.own(b'1', b"", &selector),
                None => Ok(()),
            };
        }
        let count = count.unwrap_or(site.settings.latest_entries);
        for entry in latest::entries(self.tree, site, &below, count)?.entries {
            self.menu.own(entry.item_type, &entry.line(), &entry.selector)?;
        }
        Ok(())
    }
}

/// A path of the tree that a map names: below its directory, or below the root if it begins with a slash, or
/// a path of the host that leads into the tree. Hidden names are allowed: the author has named them.
pub(crate) fn named(tree: &Tree, directory: &TreePath, name: &[u8]) -> Option<TreePath> {
    if !name.starts_with(b"/") {
        return TreePath::of_author(&path::resolve(directory, name)?);
    }
    let path = TreePath::of_author(name).filter(|path| tree.holds(path));
    path.or_else(|| TreePath::of_author(tree.inside(name)?))
}
