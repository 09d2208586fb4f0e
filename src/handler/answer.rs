//! What a request gets: the one place where selectors are told apart.

use std::io;

use crate::document;
use crate::fixed;
use crate::menu::{self, Menu};
use crate::output::Output;
use crate::page::Page;
use crate::path::{self, TreePath};
use crate::problem::Problem;
use crate::request::Line;
use crate::site::Site;
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
    tree: &Tree,
    site: &Site,
    line: &Line<'_>,
    output: &mut Output<'_>,
) -> io::Result<Sent> {
    if let Some(sent) = off_the_tree(site, line, output)? {
        return Ok(sent);
    }
    match find(tree, line.selector) {
        Err(Problem::Absent) if fixed::is_caps(line.selector) => {
            fixed::caps(output)?;
            Ok(Sent { item_type: b'0', status: "ok" })
        }
        Ok((path, Node::Directory(directory))) => menu_of(tree, site, path, directory, output),
        Ok((path, Node::File(document))) => file(tree, site, path, document, output),
        Err(problem) => refuse(site, problem, output),
    }
}

pub(crate) fn refuse(site: &Site, problem: Problem, output: &mut Output<'_>) -> io::Result<Sent> {
    menu::refusal(output, site, problem)?;
    Ok(Sent { item_type: b'3', status: problem.status() })
}

/// Requests that are answered without a look at the tree.
fn off_the_tree(site: &Site, line: &Line<'_>, output: &mut Output<'_>) -> io::Result<Option<Sent>> {
    if let Some(target) = web::target(line.selector) {
        if !web::is_allowed(target) {
            return refuse(site, Problem::Scheme, output).map(Some);
        }
        web::redirect(target, output)?;
        return Ok(Some(Sent { item_type: b'h', status: "ok" }));
    }
    if web::is_http(line.selector) {
        web::hint(line.selector, site, output)?;
        return Ok(Some(Sent { item_type: b'h', status: "http" }));
    }
    if line.extra == Some(b"$") {
        fixed::gopher_plus(line.selector, site, output)?;
        return Ok(Some(Sent { item_type: b'+', status: "ok" }));
    }
    Ok(None)
}

/// Opens the first reading of the selector that names something. Only where there is nothing is the next one tried: a
/// reading that is refused ends the search.
fn find(tree: &Tree, selector: &[u8]) -> Result<(TreePath, Node), Problem> {
    for reading in path::readings(selector) {
        let reading = reading?;
        match tree.open(&reading.path) {
            Err(Problem::Absent) => {}
            Err(problem) => return Err(problem),
            Ok(_) if reading.path.has_component(b"cgi-bin") => return Err(Problem::Program),
            Ok(Node::File(_)) if reading.directory => return Err(Problem::Absent),
            Ok(node) => return Ok((reading.path, node)),
        }
    }
    Err(Problem::Absent)
}

/// A directory's page: that of its map if it has one, else its listing. A map that is there but cannot be used is an error and
/// not a reason to list what the author did not mean to.
fn menu_of(
    tree: &Tree,
    site: &Site,
    path: TreePath,
    directory: Directory,
    output: &mut Output<'_>,
) -> io::Result<Sent> {
    for name in [&b"gophermap"[..], b".gophermap"] {
        match tree.open(&path.dotted(name)) {
            Ok(Node::File(map)) => return map_page(tree, site, path, map, output),
            Err(Problem::Absent) | Ok(Node::Directory(_)) => {}
            Err(problem) => return refuse(site, problem, output),
        }
    }
    Page::new(tree, Menu::new(output, site), path).of_directory(directory)?;
    Ok(Sent { item_type: b'1', status: "ok" })
}

fn file(
    tree: &Tree,
    site: &Site,
    path: TreePath,
    document: Document,
    output: &mut Output<'_>,
) -> io::Result<Sent> {
    if path.name() == b"gophermap" {
        return refuse(site, Problem::Forbidden, output);
    }
    if path.name().ends_with(b".gophermap") {
        let directory = path.parent().unwrap_or_else(TreePath::root);
        return map_page(tree, site, directory, document, output);
    }
    let item_type = document::send(document, path.name(), output)?;
    Ok(Sent { item_type, status: "ok" })
}

/// A map that anybody may execute is a program. It is not run, and its source is nobody's business.
fn map_page(
    tree: &Tree,
    site: &Site,
    directory: TreePath,
    map: Document,
    output: &mut Output<'_>,
) -> io::Result<Sent> {
    if map.executable {
        return refuse(site, Problem::Program, output);
    }
    Page::new(tree, Menu::new(output, site), directory).of_map(map)?;
    Ok(Sent { item_type: b'1', status: "ok" })
}
