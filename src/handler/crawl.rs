//! Following links: every page that can be reached from one, and what it links to, within bounds.

use std::collections::{BTreeSet, VecDeque};
use std::io::{self, Read as _};
use std::time::Instant;

use crate::answer::{self, Target};
use crate::menu::{Item, Sink};
use crate::path::{self, TreePath};
use crate::site::Site;
use crate::tree::{Document, Node, Tree};

const PAGES_MAX: usize = 1000;
const LINKS_MAX: usize = 20_000;

/// How much is read of texts, of one and of all.
const TEXT_BYTES_MAX: u64 = 256 * 1024;
const TEXTS_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A file or directory that a page links to; each is found once.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) item_type: u8,
    pub(crate) name: Vec<u8>,
    pub(crate) selector: Vec<u8>,
    pub(crate) path: TreePath,
    /// When it was changed, in seconds since 1970.
    pub(crate) changed: i64,
    /// The link is in a map, so its name is what an author called it.
    pub(crate) named: bool,
    /// The beginning of a text, or the lines of a page that are no links.
    pub(crate) text: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Crawl<'a> {
    tree: &'a Tree,
    site: &'a Site<'a>,
    deadline: Instant,
    /// Texts are read for what they say.
    texts: bool,
    seen: BTreeSet<Vec<u8>>,
    pages: VecDeque<(Found, usize)>,
    read: u64,
    /// A bound was met, so there may be more.
    pub(crate) cut: bool,
}

/// The lines of a page, kept.
#[derive(Debug, Default)]
struct Links {
    texts: Vec<u8>,
    links: Vec<Link>,
    host: Vec<u8>,
    port: u16,
    cut: bool,
}

#[derive(Debug)]
struct Link {
    item_type: u8,
    name: Vec<u8>,
    selector: Vec<u8>,
    listed: bool,
}

impl Sink for Links {
    fn item(&mut self, item: &Item<'_>) -> io::Result<()> {
        if matches!(item.item_type, b'i' | b'3') {
            self.texts.extend_from_slice(item.name);
            self.texts.push(b'\n');
        } else if item.host == self.host && item.port == self.port {
            self.cut |= self.links.len() == LINKS_MAX;
            if !self.cut {
                self.links.push(Link {
                    item_type: item.item_type,
                    name: item.name.to_vec(),
                    selector: item.selector.to_vec(),
                    listed: item.listed,
                });
            }
        }
        Ok(())
    }

    fn follows_links(&self) -> bool {
        true
    }
}

impl<'a> Crawl<'a> {
    pub(crate) fn new(tree: &'a Tree, site: &'a Site<'a>, deadline: Instant) -> Crawl<'a> {
        let (seen, pages) = (BTreeSet::new(), VecDeque::new());
        Crawl { tree, site, deadline, texts: false, seen, pages, read: 0, cut: false }
    }

    /// The crawl, changed to read texts.
    pub(crate) fn with_texts(self) -> Crawl<'a> {
        Crawl { texts: true, ..self }
    }

    /// Shows what can be reached from a selector of the tree to `visit`, nearest first, until that
    /// says enough.
    pub(crate) fn follow(&mut self, start: &[u8], visit: &mut dyn FnMut(Found) -> bool) -> io::Result<()> {
        let Ok(Target { path, page, .. }) = answer::find(self.tree, start) else { return Ok(()) };
        self.seen.insert(path.selector());
        let (name, selector, text) = (Vec::new(), Vec::new(), Vec::new());
        let first = Found { item_type: b'1', name, selector, path, changed: 0, named: false, text };
        self.pages.push_back((first, page));
        let mut pages = 0;
        while let Some((mut found, page)) = self.pages.pop_front() {
            pages += 1;
            if pages > PAGES_MAX || Instant::now() > self.deadline {
                self.cut = true;
                return Ok(());
            }
            // Pages wait without a descriptor, as those are few.
            let Ok(node) = self.tree.open(&found.path) else { continue };
            let mut links =
                Links { host: self.site.host.clone().into_bytes(), port: self.site.port, ..Links::default() };
            // A page that cannot be made has no links. A client that asks for it gets the error.
            let target = Target { path: found.path.clone(), node, page };
            if answer::page(self.tree, self.site, target, &mut links)?.is_err() {
                continue;
            }
            self.cut |= links.cut;
            found.text = links.texts;
            if !found.selector.is_empty() && page == 1 && !visit(found) {
                return Ok(());
            }
            for link in links.links {
                if !self.link(link, visit) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// One link. It counts only if it leads to something of the tree that was not seen yet.
    fn link(&mut self, link: Link, visit: &mut dyn FnMut(Found) -> bool) -> bool {
        let Some(Ok(Target { path, node, page })) =
            self.site.in_tree(&link.selector).map(|selector| answer::find(self.tree, selector))
        else {
            return true;
        };
        if self.seen.len() >= LINKS_MAX {
            self.cut = true;
            return false;
        }
        let seen = if page == 1 { path.selector() } else { path::page_selector(&path.selector(), page) };
        if !self.seen.insert(seen) {
            return true;
        }
        let Link { item_type, name, selector, listed } = link;
        let changed = match &node {
            Node::File(document) => document.changed,
            Node::Directory(directory) => directory.changed,
        };
        let is_page = answer::form(self.site, &path).is_some();
        let mut found = Found { item_type, name, selector, path, changed, named: !listed, text: Vec::new() };
        match node {
            Node::File(document) if !is_page => {
                if item_type == b'0' && self.texts {
                    found.text = self.text(document);
                }
                visit(found)
            }
            Node::Directory(_) | Node::File(_) => {
                self.pages.push_back((found, page));
                true
            }
        }
    }

    fn text(&mut self, document: Document) -> Vec<u8> {
        let mut text = Vec::new();
        let left = TEXTS_BYTES_MAX - self.read;
        if left == 0 || Instant::now() > self.deadline {
            self.cut = true;
            return text;
        }
        self.cut |= document.bytes > TEXT_BYTES_MAX;
        // The part that could be read of a text that fails midway is as good as its beginning.
        document.file.take(TEXT_BYTES_MAX.min(left)).read_to_end(&mut text).unwrap_or_default();
        self.read += text.len() as u64;
        text
    }
}
