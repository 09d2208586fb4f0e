//! Links: from the fields that an author wrote to a whole menu line.

use crate::answer;
use crate::document;
use crate::gophermap::Link;
use crate::listing;
use crate::menu::Item;
use crate::path::{self, TreePath};
use crate::site::Site;
use crate::tree::{Node, Tree};
use crate::web;

/// Item types that clients know.
const KNOWN_TYPES: &[u8] = b"0123456789+TgIhisdpPM;crx:<w";

/// A menu line but for its name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Filled {
    pub(crate) item_type: u8,
    pub(crate) selector: Vec<u8>,
    pub(crate) host: Vec<u8>,
    pub(crate) port: u16,
}

impl Filled {
    pub(crate) fn of<'a>(&'a self, name: &'a [u8]) -> Item<'a> {
        let Filled { item_type, selector, host, port } = self;
        Item { item_type: *item_type, name, selector, host, port: *port, listed: false }
    }

    fn own(site: &Site<'_>, item_type: u8, selector: Vec<u8>) -> Filled {
        Filled { item_type, selector, host: site.host.clone().into_bytes(), port: site.port }
    }
}

impl From<web::Place> for Filled {
    fn from(place: web::Place) -> Filled {
        let web::Place { item_type, selector, host, port } = place;
        Filled { item_type, selector, host, port }
    }
}

pub(crate) fn is_known_type(item_type: u8) -> bool {
    KNOWN_TYPES.contains(&item_type)
}

/// Whether a line that has the form of a link is text with a TAB in it: `Name:<TAB>value`, `some
/// text<TAB>more`. It is if its first character is no item type, or a letter that begins a word, and nothing
/// is there that the rest could name.
pub(crate) fn is_prose(tree: &Tree, directory: &TreePath, link: &Link<'_>) -> bool {
    let Some(selector) = link.selector.filter(|_| link.port.is_none()) else { return false };
    let is_known = is_known_type(link.item_type);
    if link.host.is_some_and(|host| is_known || host.contains(&b'.')) {
        return false;
    }
    let begins_a_word = link.item_type.is_ascii_alphabetic()
        && link.name.first().is_some_and(|&byte| byte.is_ascii_lowercase() || byte == b' ');
    let doubtful = !is_known || begins_a_word;
    let is_url =
        web::target(selector).is_some() || web::is_allowed(selector) || web::gopher(selector).is_some();
    doubtful && !is_url && !selector.starts_with(b"/") && !leads_to_something(tree, directory, selector)
}

fn leads_to_something(tree: &Tree, directory: &TreePath, selector: &[u8]) -> bool {
    let readings =
        path::resolve(directory, selector).map(|selector| path::readings(&selector).collect::<Vec<_>>());
    readings.into_iter().flatten().flatten().any(|reading| tree.holds(&reading.path))
}

/// A link of a map in `directory` with what the author left out; `None` leads out of the tree. As with
/// gophernicus, a missing selector is the name, and a missing host or port is ours. The port of another host
/// is 70.
pub(crate) fn filled_in(site: &Site<'_>, directory: &TreePath, link: &Link<'_>) -> Option<Filled> {
    if let Some(url) = link.selector.filter(|_| link.item_type == b'h')
        && let Some(place) = web::gopher(web::target(url).unwrap_or(url))
    {
        return Some(place.into());
    }
    let selector = selector_of(site, directory, link)?;
    let ours = site.host.clone().into_bytes();
    let (host, default_port) = match link.host {
        None => (ours, site.port),
        Some(host) if site.is_ours(host) => (host.to_vec(), site.port),
        Some(host) => (host.to_vec(), 70),
    };
    // Gemtext is a menu here, whatever the type by which texts are linked.
    let item_type = match link.item_type {
        b'0' if link.host.is_none() && site.is_gemtext(&selector) => b'1',
        item_type => item_type,
    };
    Some(Filled { item_type, selector, host, port: link.port.unwrap_or(default_port) })
}

/// The selector of a link in a map of `directory`; `None` leads out of the tree.
pub(crate) fn selector_of(site: &Site<'_>, directory: &TreePath, link: &Link<'_>) -> Option<Vec<u8>> {
    // If the link has a host, an empty selector is that host's root; if not, the name replaces it.
    let written = match (link.selector, link.host) {
        (Some(selector), _) => selector,
        (None, Some(_)) => b"",
        (None, None) => link.name,
    };
    if link.item_type == b'h' && web::is_allowed(written) {
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
        false => site.relative(directory, written),
    }
}

/// The link of a gemtext line; `None` leads nowhere that a gopher client could follow.
pub(crate) fn of_gemtext(
    tree: &Tree,
    site: &Site<'_>,
    directory: &TreePath,
    target: &str,
    label: &str,
) -> Option<Filled> {
    let url = target.as_bytes();
    if let Some(place) = web::gopher(url) {
        return Some(place.into());
    }
    let relative = || target.split(['?', '#']).next().is_some_and(|path| !path.contains(':'));
    if web::is_allowed(url) || !relative() {
        let link =
            Link { item_type: b'h', name: label.as_bytes(), selector: Some(url), host: None, port: None };
        return web::is_allowed(url).then(|| filled_in(site, directory, &link))?;
    }
    let path = if target.starts_with('/') { Some(url.to_vec()) } else { path::resolve(directory, url) }?;
    let answer::Target { path, node, .. } = answer::find(tree, &path).ok()?;
    let item_type = match node {
        Node::File(_) if answer::form(site, &path).is_some() => b'1',
        Node::File(mut document) => document::item_type(&mut document, path.name()),
        Node::Directory(_) => b'1',
    };
    Some(Filled::own(site, item_type, listing::fetchable(tree, site, &path)?))
}
