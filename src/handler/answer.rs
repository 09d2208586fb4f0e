//! What a request gets: the one place where selectors are told apart.

use std::io;

use crate::attributes;
use crate::document;
use crate::fixed;
use crate::menu::{self, Menu, Sink};
use crate::output::Output;
use crate::page::Page;
use crate::path::{self, TreePath};
use crate::place;
use crate::problem::Problem;
use crate::request::Line;
use crate::search;
use crate::site::Site;
use crate::stats;
use crate::tree::{Directory, Document, Node, Tree};
use crate::web;

/// What was sent, for the log and the exit status.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) item_type: u8,
    pub(crate) status: &'static str,
}

/// Answers a request line. An error is output that failed; a selector that leads nowhere is an answer like any other.
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
    if line.extra == Some(b"!") && search::query(site, &place.selector, line.extra).is_none() {
        attributes::send(tree, site, found, output)?;
        return Ok(Sent { item_type: b'+', status: "ok" });
    }
    match found {
        Err(Problem::Absent) if fixed::is_caps(&place.selector) => {
            fixed::caps(site, output)?;
            Ok(Sent { item_type: b'0', status: "ok" })
        }
        Err(Problem::Absent) => match search::query(site, &place.selector, line.extra) {
            None => refuse(site, Problem::Absent, output),
            Some(query) => {
                search::answer(tree, site, &query, output)?;
                Ok(Sent { item_type: b'7', status: "ok" })
            }
        },
        Ok((path, Node::File(document))) if !is_map(&path) => {
            let item_type = document::send(document, path.name(), site.settings.strict_rfc1436, output)?;
            Ok(Sent { item_type, status: "ok" })
        }
        Ok((path, node)) => match page(tree, site, path, node, output)? {
            Err(problem) => refuse(site, problem, output),
            Ok(()) => {
                menu::end(output)?;
                Ok(Sent { item_type: b'1', status: "ok" })
            }
        },
        Err(problem) => refuse(site, problem, output),
    }
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
    if line.extra == Some(b"$") {
        fixed::gopher_plus(line.selector, site, output)?;
        return Ok(Some(Sent { item_type: b'+', status: "ok" }));
    }
    if stats::is_asked_for(site, line.selector) {
        stats::answer(site, output)?;
        return Ok(Some(Sent { item_type: b'1', status: "ok" }));
    }
    Ok(None)
}

/// Opens the first reading of the selector that names something. Only where there is nothing is the next one tried: a
/// reading that is refused ends the search.
pub(crate) fn find(tree: &Tree, selector: &[u8]) -> Result<(TreePath, Node), Problem> {
    for reading in path::readings(selector) {
        let reading = reading?;
        match tree.open(&reading.path) {
            Err(Problem::Absent) => {}
            Err(problem) => return Err(problem),
            Ok(_) if reading.path.has_component(b"cgi-bin") => return Err(Problem::Program),
            Ok(Node::File(_)) if reading.path.name() == b"gophermap" => return Err(Problem::Forbidden),
            Ok(Node::File(_)) if reading.directory => return Err(Problem::Absent),
            Ok(node) => return Ok((reading.path, node)),
        }
    }
    Err(Problem::Absent)
}

/// `X.gophermap` is a page when asked for by name.
pub(crate) fn is_map(path: &TreePath) -> bool {
    path.name().ends_with(b".gophermap")
}

/// The lines of a directory's page, or those of a map that was asked for by its name.
pub(crate) fn page<'a>(
    tree: &'a Tree,
    site: &'a Site<'a>,
    path: TreePath,
    node: Node,
    sink: &'a mut (dyn Sink + 'a),
) -> io::Result<Result<(), Problem>> {
    match node {
        Node::Directory(directory) => directory_page(tree, site, path, directory, sink),
        Node::File(map) => {
            let directory = path.parent().unwrap_or_else(TreePath::root);
            map_page(tree, site, directory, map, sink)
        }
    }
}

/// A directory's page: that of its map if it has one, else its listing. A map that is there but cannot be used is an error and
/// not a reason to list what the author did not mean to.
fn directory_page<'a>(
    tree: &'a Tree,
    site: &'a Site<'a>,
    path: TreePath,
    directory: Directory,
    sink: &'a mut (dyn Sink + 'a),
) -> io::Result<Result<(), Problem>> {
    for name in [&b"gophermap"[..], b".gophermap"] {
        match tree.open(&path.dotted(name)) {
            Ok(Node::File(map)) => return map_page(tree, site, path, map, sink),
            Err(Problem::Absent) | Ok(Node::Directory(_)) => {}
            Err(problem) => return Ok(Err(problem)),
        }
    }
    Page::new(tree, Menu::new(sink, site), path).of_directory(directory).map(Ok)
}

/// A map that anybody may execute is a program. It is not run, and its source is nobody's business.
fn map_page<'a>(
    tree: &'a Tree,
    site: &'a Site<'a>,
    directory: TreePath,
    map: Document,
    sink: &'a mut (dyn Sink + 'a),
) -> io::Result<Result<(), Problem>> {
    if map.executable {
        return Ok(Err(Problem::Program));
    }
    Page::new(tree, Menu::new(sink, site), directory).of_map(map).map(Ok)
}
