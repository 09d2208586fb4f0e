//! From a request to its answer: the one place where selectors are told apart.

use std::io;

use crate::attributes;
use crate::document;
use crate::feed;
use crate::fixed;
use crate::latest;
use crate::mapfile::{Form, Map};
use crate::menu::{self, Menu, Sink};
use crate::output::Output;
use crate::page::Page;
use crate::path::{self, Reading, TreePath};
use crate::place;
use crate::problem::Problem;
use crate::request::Line;
use crate::search;
use crate::site::Site;
use crate::stats;
use crate::tree::{Directory, Document, Node, Tree};
use crate::web;

/// The answer that was sent, for the log and the exit status.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) item_type: u8,
    pub(crate) status: &'static str,
}

/// Answers a request line. An error is output that failed; a selector that leads nowhere is an answer like
/// any other.
pub(crate) fn request(
    tree: Tree,
    site: &Site<'_>,
    line: &Line<'_>,
    output: &mut Output<'_>,
) -> io::Result<Sent> {
    if let Some(sent) = off_the_tree(site, line, output)? {
        return Ok(sent);
    }
    let place = match place::find(tree, site, line.selector) {
        Ok(place) => place,
        Err(problem) => return refuse(site, problem, output),
    };
    let (tree, site) = (&place.tree, &place.site);
    let found = find(tree, &place.selector);
    let is_search = || search::query(site, &place.selector, line.extra).is_some();
    if site.settings.gopher_plus && line.extra == Some(b"!") && !is_search() {
        attributes::send(tree, site, found, output)?;
        return Ok(Sent { item_type: b'+', status: "ok" });
    }
    match found {
        Err(Problem::Absent) => match made(tree, site, &place.selector, line.extra, output)? {
            Some(item_type) => Ok(Sent { item_type, status: "ok" }),
            None => refuse(site, Problem::Absent, output),
        },
        Ok(Target { path, node: Node::File(document), page: 1 }) if form(site, &path).is_none() => {
            let item_type = document::send(document, path.name(), site.settings.strict_rfc1436, output)?;
            Ok(Sent { item_type, status: "ok" })
        }
        Ok(Target { path, node: Node::File(_), .. }) if form(site, &path).is_none() => {
            refuse(site, Problem::Absent, output)
        }
        Ok(target) => match page(tree, site, target, output)? {
            Err(problem) => refuse(site, problem, output),
            Ok(()) => {
                menu::end(output)?;
                Ok(Sent { item_type: b'1', status: "ok" })
            }
        },
        Err(problem) => refuse(site, problem, output),
    }
}

/// Answers that are made where the tree has no file of the name, and their item type.
fn made(
    tree: &Tree,
    site: &Site<'_>,
    selector: &[u8],
    extra: Option<&[u8]>,
    output: &mut Output<'_>,
) -> io::Result<Option<u8>> {
    if fixed::is_caps(selector) {
        fixed::caps(site, output)?;
        return Ok(Some(b'0'));
    }
    if let Some(query) = search::query(site, selector, extra) {
        search::answer(tree, site, &query, output)?;
        return Ok(Some(b'7'));
    }
    if let Some(below) = feed::asked_for(tree, site, selector) {
        feed::answer(tree, site, &below, output)?;
        return Ok(Some(b'h'));
    }
    if let Some(below) = latest::asked_for(tree, site, selector) {
        latest::answer(tree, site, &below, output)?;
        return Ok(Some(b'1'));
    }
    Ok(None)
}

pub(crate) fn refuse(site: &Site<'_>, problem: Problem, output: &mut Output<'_>) -> io::Result<Sent> {
    menu::refusal(output, site, problem)?;
    Ok(Sent { item_type: b'3', status: problem.status() })
}

/// Requests that are answered without a look at the tree.
fn off_the_tree(site: &Site<'_>, line: &Line<'_>, output: &mut Output<'_>) -> io::Result<Option<Sent>> {
    if let Some(target) = web::target(line.selector) {
        if !web::is_allowed(target) {
            return refuse(site, Problem::Scheme, output).map(Some);
        }
        web::redirect(target, output)?;
        return Ok(Some(Sent { item_type: b'h', status: "ok" }));
    }
    if site.settings.http_hint && web::is_http(line.selector) {
        web::hint(line.selector, site, output)?;
        return Ok(Some(Sent { item_type: b'h', status: "http" }));
    }
    if site.settings.gopher_plus && line.extra == Some(b"$") {
        fixed::gopher_plus(line.selector, site, output)?;
        return Ok(Some(Sent { item_type: b'+', status: "ok" }));
    }
    if stats::is_asked_for(site, line.selector) {
        stats::answer(site, output)?;
        return Ok(Some(Sent { item_type: b'1', status: "ok" }));
    }
    Ok(None)
}

/// The place that a selector leads to.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) path: TreePath,
    pub(crate) node: Node,
    /// Number of the listing's page, from 1.
    pub(crate) page: usize,
}

/// Opens the first reading of the selector that names something. Only where there is nothing is the next one
/// tried: a reading that is refused ends the search.
pub(crate) fn find(tree: &Tree, selector: &[u8]) -> Result<Target, Problem> {
    for reading in path::readings(selector) {
        let Reading { path, directory, page } = reading?;
        match tree.open(&path) {
            Err(Problem::Absent) => {}
            Err(problem) => return Err(problem),
            Ok(_) if path.has_component(b"cgi-bin") => return Err(Problem::Program),
            Ok(Node::File(_)) if path.name() == b"gophermap" => return Err(Problem::Forbidden),
            Ok(Node::File(_)) if directory => return Err(Problem::Absent),
            Ok(node) => return Ok(Target { path, node, page }),
        }
    }
    Err(Problem::Absent)
}

/// A file that is a page when asked for by name, such as `X.gophermap`.
pub(crate) fn form(site: &Site<'_>, path: &TreePath) -> Option<Form> {
    Form::of(site.settings, path.name())
}

/// The lines of a directory's page, or those of a map that was asked for by its name.
pub(crate) fn page<'a>(
    tree: &'a Tree,
    site: &'a Site<'a>,
    target: Target,
    sink: &'a mut (dyn Sink + 'a),
) -> io::Result<Result<(), Problem>> {
    let Target { path, node, page } = target;
    match node {
        Node::Directory(directory) => directory_page(tree, site, path, directory, page, sink),
        Node::File(map) => {
            let form = form(site, &path).unwrap_or(Form::Gophermap);
            map_page(tree, site, path, map, form, page, sink)
        }
    }
}

/// The names of the map that is a directory's page; the first that is there counts.
pub(crate) const DIRECTORY_MAPS: [(&[u8], Form); 3] =
    [(b"gophermap", Form::Gophermap), (b".gophermap", Form::Gophermap), (b"index.gph", Form::Gph)];

/// A directory's page: that of its map if it has one, else its listing. A map that is there but cannot be
/// used is an error and not a reason to list what the author did not mean to.
fn directory_page<'a>(
    tree: &'a Tree,
    site: &'a Site<'a>,
    path: TreePath,
    directory: Directory,
    page: usize,
    sink: &'a mut (dyn Sink + 'a),
) -> io::Result<Result<(), Problem>> {
    for (name, form) in DIRECTORY_MAPS {
        match tree.open(&path.dotted(name)) {
            Ok(Node::File(map)) => return map_page(tree, site, path, map, form, page, sink),
            Err(Problem::Absent) | Ok(Node::Directory(_)) => {}
            Err(problem) => return Ok(Err(problem)),
        }
    }
    Page::new(tree, Menu::new(sink, site), path.clone(), path, page).of_directory(directory)
}

/// The page of a map, which is that of a directory or of the map's own name.
fn map_page<'a>(
    tree: &'a Tree,
    site: &'a Site<'a>,
    path: TreePath,
    map: Document,
    form: Form,
    page: usize,
    sink: &'a mut (dyn Sink + 'a),
) -> io::Result<Result<(), Problem>> {
    let map = match Map::read(map, form) {
        Ok(map) => map,
        Err(problem) => return Ok(Err(problem)),
    };
    let directory = match crate::answer::form(site, &path) {
        Some(_) => path.parent().unwrap_or_else(TreePath::root),
        None => path.clone(),
    };
    Page::new(tree, Menu::new(sink, site), directory, path, page).of_map(&map)
}
