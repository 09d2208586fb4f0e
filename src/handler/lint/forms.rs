//! Links in menus of other forms than a gophermap.

use super::Lint;
use crate::gemtext;
use crate::gophermap::{self, Link};
use crate::gph;
use crate::link;
use crate::path::TreePath;
use crate::web;

impl Lint<'_> {
    pub(super) fn gph(&mut self, path: &TreePath, text: &[u8]) {
        let directory = path.parent().unwrap_or_else(TreePath::root);
        for (index, line) in gophermap::lines(text).enumerate() {
            match gph::parse(line) {
                gph::Line::Link(link) if link.item_type != b'i' => {
                    let gph::Link { item_type, name, selector, host, port } = &link;
                    let selector = Some(selector.as_slice()).filter(|selector| !selector.is_empty());
                    let (item_type, host, port) = (*item_type, host.as_deref(), *port);
                    self.link(path, &directory, index + 1, &Link { item_type, name, selector, host, port });
                }
                gph::Line::Gophermap(link) => self.link(path, &directory, index + 1, &link),
                gph::Line::Link(_) | gph::Line::Text(_) => {}
            }
        }
    }

    /// Links of gemtext to files of the tree. Others are for other programs to check.
    pub(super) fn gemtext(&mut self, path: &TreePath, text: &[u8]) {
        let directory = path.parent().unwrap_or_else(TreePath::root);
        let text = String::from_utf8_lossy(text).into_owned();
        for line in gemtext::lines(&text) {
            let gemtext::Line::Link { target, label } = line else { continue };
            let elsewhere = target.contains("://") || web::is_allowed(target.as_bytes());
            if !elsewhere && link::of_gemtext(&self.tree, &self.site, &directory, target, label).is_none() {
                self.find(path, None, &format!("a dead link: {target:?} (not-found), so shown as text"));
            }
        }
    }
}
