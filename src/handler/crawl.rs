//! Following links: every page that can be reached from one, and what it links to, within bounds.

use std::collections::{BTreeSet, VecDeque};
use std::io::{self, Read as _};
use std::time::Instant;

use crate::answer;
use crate::menu::{Item, Sink};
use crate::path::TreePath;
use crate::site::Site;
use crate::tree::{Node, Tree};

const PAGES_MAX: usize = 1000;
const LINKS_MAX: usize = 20_000;

/// How much is read of texts, of one and of all.
const TEXT_BYTES_MAX: u64 = 256 * 1024;
const TEXTS_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Something of the tree that a page links to, each once.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) item_type: u8,
    pub(crate) name: Vec<u8>,
    pub(crate) selector: Vec<u8>,
    /// Of a text its beginning; of a page the lines that are no links.
    pub(crate) text: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Crawl<'a> {
    tree: &'a Tree,
    site: &'a Site<'a>,
    deadline: Instant,
    seen: BTreeSet<Vec<u8>>,
    pages: VecDeque<(Found, TreePath)>,
    read: u64,
    /// A bound was met, so there may be more.
    pub(crate) cut: bool,
}

/// The lines of a page, kept.
#[derive(Debug, Default)]
struct Links {
    texts: Vec<u8>,
    links: Vec<Found>,
    host: Vec<u8>,
    port: u16,
}

impl Sink for Links {
    fn item(&mut self, item: &Item<'_>) -> io::Result<()> {
        if matches!(item.item_type, b'i' | b'3') {
            self.texts.extend_from_slice(item.name);
            self.texts.push(b'\n');
        } else if item.host == self.host && item.port == self.port && self.links.len() < LINKS_MAX {
            self.links.push(Found {
                item_type: item.item_type,
                name: item.name.to_vec(),
                selector: item.selector.to_vec(),
                text: Vec::new(),
            });
        }
        Ok(())
    }
}

impl<'a> Crawl<'a> {
    pub(crate) fn new(tree: &'a Tree, site: &'a Site<'a>, deadline: Instant) -> Crawl<'a> {
        Crawl { tree, site, deadline, seen: BTreeSet::new(), pages: VecDeque::new(), read: 0, cut: false }
    }

    /// Shows what can be reached from a selector of the tree to `visit`, nearest first, until that says enough.
    pub(crate) fn follow(&mut self, start: &[u8], visit: &mut dyn FnMut(Found) -> bool) -> io::Result<()> {
        let Ok((path, _)) = answer::find(self.tree, start) else { return Ok(()) };
        self.seen.insert(path.selector());
        let found = Found { item_type: b'1', name: Vec::new(), selector: Vec::new(), text: Vec::new() };
        self.pages.push_back((found, path));
        let mut pages = 0;
        while let Some((mut page, path)) = self.pages.pop_front() {
            pages += 1;
            if pages > PAGES_MAX || Instant::now() > self.deadline {
                self.cut = true;
                return Ok(());
            }
            // Pages wait without a descriptor, as those are few.
            let Ok(node) = self.tree.open(&path) else { continue };
            let mut links =
                Links { host: self.site.host.clone().into_bytes(), port: self.site.port, ..Links::default() };
            // A page that cannot be made has no links; what stands in its way is told to those who ask for it.
            if answer::page(self.tree, self.site, path, node, &mut links)?.is_err() {
                continue;
            }
            page.text = links.texts;
            if !page.selector.is_empty() && !visit(page) {
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

    /// One link, of which only what is in the tree and was not seen yet counts.
    fn link(&mut self, mut link: Found, visit: &mut dyn FnMut(Found) -> bool) -> bool {
        let Some(Ok((path, node))) =
            self.site.in_tree(&link.selector).map(|selector| answer::find(self.tree, selector))
        else {
            return true;
        };
        if self.seen.len() >= LINKS_MAX {
            self.cut = true;
            return false;
        }
        if !self.seen.insert(path.selector()) {
            return true;
        }
        match node {
            Node::File(document) if !answer::is_map(&path) => {
                if link.item_type == b'0' {
                    link.text = self.text(document.file);
                }
                visit(link)
            }
            Node::Directory(_) | Node::File(_) => {
                self.pages.push_back((link, path));
                true
            }
        }
    }

    fn text(&mut self, file: std::fs::File) -> Vec<u8> {
        let mut text = Vec::new();
        let left = TEXTS_BYTES_MAX - self.read;
        if left == 0 || Instant::now() > self.deadline {
            self.cut = true;
            return text;
        }
        // What could be read of a text that fails midway is as good as its beginning.
        file.take(TEXT_BYTES_MAX.min(left)).read_to_end(&mut text).unwrap_or_default();
        self.read += text.len() as u64;
        text
    }
}
