//! From a request to its answer: a header of two digits and a line, and after 20 a document.

use std::io;

use crate::answer::{self, Target};
use crate::clean;
use crate::feed;
use crate::filetype;
use crate::latest;
use crate::output::Output;
use crate::path::TreePath;
use crate::place;
use crate::problem::Problem;
use crate::receive::Received;
use crate::search;
use crate::site::Site;
use crate::tree::{Document, Node, Tree};

use super::gemtext::{self, Page};
use super::media;
use super::url::{self, Url, Wrong};

/// The gemtext that is the page of its directory.
const INDEX: [&[u8]; 2] = [b"index.gmi", b"index.gemini"];

/// The longest text of a header's line.
const META_BYTES_MAX: usize = 1024;

const CHUNK_BYTES: usize = filetype::SNIFF_BYTES;

/// The client's request, and the name that it gave in the TLS handshake.
#[derive(Debug)]
pub(crate) struct Request {
    received: Received,
    handshake_name: Option<String>,
}

impl Request {
    pub(crate) fn of(received: Received, handshake_name: Option<String>) -> Request {
        Request { received, handshake_name: handshake_name.filter(|name| !name.is_empty()) }
    }

    /// The bytes for the log.
    pub(crate) fn line(&self) -> &[u8] {
        match &self.received {
            Received::Line(bytes) | Received::TooLong(bytes) | Received::TimedOut(bytes) => {
                &bytes[..bytes.len().min(url::BYTES_MAX)]
            }
            Received::Nothing | Received::Foreign(_) | Received::Lost => b"",
        }
    }
}

/// The answer that was sent, for the log and the exit status.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) code: u8,
    pub(crate) status: &'static str,
}

/// Sends a header. Its line is one, and short enough, whatever is in it.
pub(crate) fn head(output: &mut Output<'_>, code: u8, meta: &str) -> io::Result<()> {
    let mut line: String = meta.chars().filter(|c| !c.is_control()).collect();
    while line.len() > META_BYTES_MAX {
        line.pop();
    }
    output.put(format!("{code} {line}\r\n").as_bytes())
}

fn only_head(output: &mut Output<'_>, code: u8, meta: &str, status: &'static str) -> io::Result<Sent> {
    head(output, code, meta)?;
    output.flush()?;
    Ok(Sent { code, status })
}

fn refuse(output: &mut Output<'_>, problem: Problem) -> io::Result<Sent> {
    let code = match problem {
        Problem::Misconfigured | Problem::NoRoot => 40,
        Problem::NoOpenat2 => 50,
        Problem::TooLong | Problem::TimedOut => 59,
        Problem::Scheme => 53,
        Problem::Absent | Problem::Forbidden | Problem::Unreadable | Problem::Special | Problem::Program => {
            51
        }
    };
    let message = if problem == Problem::TooLong { "The URL is too long" } else { problem.message() };
    only_head(output, code, message, problem.status())
}

/// Answers a request. An error is output that failed.
pub(crate) fn to(
    tree: Result<Tree, Problem>,
    site: &Site<'_>,
    request: &Request,
    output: &mut Output<'_>,
) -> io::Result<Sent> {
    let line = match &request.received {
        Received::Nothing => return Ok(Sent { code: 0, status: "no-request" }),
        Received::Foreign(protocol) => return Ok(Sent { code: 0, status: protocol }),
        Received::Lost => return Err(io::ErrorKind::ConnectionReset.into()),
        Received::TooLong(_) => return refuse(output, Problem::TooLong),
        Received::TimedOut(_) => return refuse(output, Problem::TimedOut),
        Received::Line(line) => line,
    };
    let url = match url::parse(line) {
        Ok(url) => url,
        Err(Wrong::Malformed) => {
            return only_head(output, 59, "This is not a URL of Gemini that can be asked for", "bad-request");
        }
        Err(Wrong::Scheme) => return only_head(output, 53, "This server is no proxy", "scheme"),
    };
    if !is_for_us(site, &url, request.handshake_name.as_deref()) {
        return only_head(output, 53, "This server does not answer for that host and port", "other-host");
    }
    let tree = match site.vhost_of(&url.host) {
        Some(vhost) => Tree::open_root(&vhost.root),
        None => tree,
    };
    let here = Site { host: url.host.clone(), ..site.clone() };
    match tree {
        Ok(tree) => answer(tree, &here, &url, output),
        Err(problem) => refuse(output, problem),
    }
}

/// Whether a URL is one of this server: its host is the configured name or that of a virtual host, if there is
/// one, and the name of the handshake, if there was one.
fn is_for_us(site: &Site<'_>, url: &Url<'_>, handshake_name: Option<&str>) -> bool {
    let is_the_host = |name: &str| name.trim_end_matches('.').eq_ignore_ascii_case(&url.host);
    let is_named = site.settings.host.is_none() || site.is_ours(url.host.as_bytes());
    let port = site.settings.port.unwrap_or(super::PORT);
    url.port.unwrap_or(super::PORT) == port && is_named && handshake_name.is_none_or(is_the_host)
}

fn answer(tree: Tree, site: &Site<'_>, url: &Url<'_>, output: &mut Output<'_>) -> io::Result<Sent> {
    let selector = if url.path.is_empty() { b"/" } else { url.path.as_bytes() };
    // An encoded slash is part of a name, and no name has one.
    if selector.windows(3).any(|three| three.eq_ignore_ascii_case(b"%2f")) {
        return refuse(output, Problem::Forbidden);
    }
    let place = match place::find(tree, site, selector) {
        Ok(place) => place,
        Err(problem) => return refuse(output, problem),
    };
    let (tree, site) = (&place.tree, &place.site);
    match answer::find(tree, &place.selector) {
        Ok(target)
            if matches!(target.node, Node::Directory(_)) && !selector.ends_with(b"/") && target.page == 1 =>
        {
            redirect(site, &target.path, output)
        }
        Ok(target) => found(tree, site, target, output),
        Err(Problem::Absent) => made(tree, site, &place.selector, url.query, output),
        Err(problem) => refuse(output, problem),
    }
}

/// To the same place with a slash at its end: relative links of a directory's page begin there.
fn redirect(site: &Site<'_>, path: &TreePath, output: &mut Output<'_>) -> io::Result<Sent> {
    only_head(output, 31, &[url_of(site, path), "/".to_owned()].concat(), "ok")
}

/// The URL of a path of the tree, without a slash at its end.
fn url_of(site: &Site<'_>, path: &TreePath) -> String {
    let port = site.settings.port.filter(|&port| port != super::PORT);
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    let selector = site.selector(&clean::encoded(&path.selector()));
    let path = String::from_utf8_lossy(&gemtext::path(&selector)).into_owned();
    format!("gemini://{}{port}{}", site.host, path.trim_end_matches('/'))
}

fn found(tree: &Tree, site: &Site<'_>, target: Target, output: &mut Output<'_>) -> io::Result<Sent> {
    let Target { path, node, page } = target;
    let is_map = answer::form(site, &path).is_some();
    match node {
        Node::File(document) if !is_map && page == 1 => send(document, path.name(), output),
        Node::File(_) if !is_map => refuse(output, Problem::Absent),
        Node::Directory(directory) => {
            let index = INDEX.iter().find_map(|name| Some((tree.document(&path.dotted(name))?, *name)));
            match index.filter(|_| page == 1) {
                Some((document, name)) => send(document, name, output),
                None => menu(tree, site, Target { path, node: Node::Directory(directory), page }, output),
            }
        }
        node => menu(tree, site, Target { path, node, page }, output),
    }
}

/// A menu of gopher as gemtext.
fn menu(tree: &Tree, site: &Site<'_>, target: Target, output: &mut Output<'_>) -> io::Result<Sent> {
    let mut page = Page::new(output, site);
    match answer::page(tree, site, target, &mut page)? {
        Ok(()) => {
            page.end()?;
            Ok(Sent { code: 20, status: "ok" })
        }
        Err(problem) => refuse(output, problem),
    }
}

/// A document byte by byte.
fn send(mut document: Document, name: &[u8], output: &mut Output<'_>) -> io::Result<Sent> {
    let mut chunk = media::head(&mut document)?;
    head(output, 20, &media::of(name, &chunk))?;
    while !chunk.is_empty() {
        output.put(&chunk)?;
        if chunk.len() < CHUNK_BYTES {
            break;
        }
        let length = filetype::fill(&mut document, &mut chunk)?;
        chunk.truncate(length);
    }
    output.flush()?;
    Ok(Sent { code: 20, status: "ok" })
}

/// Pages that are made where the tree has nothing of the name: the search and the latest texts.
fn made(
    tree: &Tree,
    site: &Site<'_>,
    selector: &[u8],
    query: Option<&str>,
    output: &mut Output<'_>,
) -> io::Result<Sent> {
    let name = clean::unescaped(selector);
    let name = name.strip_suffix(b"/").unwrap_or(&name);
    let words = clean::unescaped(query.unwrap_or_default().as_bytes());
    if let Some(query) = search::query(site, name, Some(&words)) {
        if words.trim_ascii().is_empty() {
            return only_head(output, 10, "Words to search for", "ok");
        }
        let mut page = Page::new(output, site);
        search::page(tree, site, &query, &mut page)?;
        page.end()?;
        return Ok(Sent { code: 20, status: "ok" });
    }
    // A page of dated links is what readers of Gemini subscribe to.
    if let (Some(below), Some(latest)) = (feed::asked_for(tree, site, name), &site.settings.latest) {
        let latest = String::from_utf8_lossy(&clean::encoded(latest)).into_owned();
        return only_head(output, 30, &format!("{}/{latest}", url_of(site, &below)), "ok");
    }
    if let Some(below) = latest::asked_for(tree, site, name) {
        let mut page = Page::new(output, site);
        latest::page(tree, site, &below, &mut page)?;
        page.end()?;
        return Ok(Sent { code: 20, status: "ok" });
    }
    refuse(output, Problem::Absent)
}
