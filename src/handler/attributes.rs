//! `selector TAB !`: what Gopher+ clients ask to learn about an item before they fetch it.

use std::io;

use crate::answer::{self, Target};
use crate::document;
use crate::listing;
use crate::natural;
use crate::output::Output;
use crate::path::TreePath;
use crate::problem::Problem;
use crate::site::Site;
use crate::tree::{Node, Tree};

/// Answers with the three blocks that every server has: the item, its administrator, its views.
pub(crate) fn send(
    tree: &Tree,
    site: &Site<'_>,
    found: Result<Target, Problem>,
    output: &mut Output<'_>,
) -> io::Result<()> {
    let described = match found {
        Ok(Target { path, node, .. }) => describe(tree, site, &path, node),
        Err(problem) => Err(problem),
    };
    match described {
        Ok(blocks) => output.put(&blocks)?,
        Err(problem) => output.put(format!("--1\r\n1 {}\r\n.\r\n", problem.message()).as_bytes())?,
    }
    output.flush()
}

fn describe(tree: &Tree, site: &Site<'_>, path: &TreePath, node: Node) -> Result<Vec<u8>, Problem> {
    let selector = listing::fetchable(tree, site, path).ok_or(Problem::Absent)?;
    let (item_type, changed, view, bytes) = match node {
        Node::Directory(directory) => (b'1', directory.changed, "application/gopher-menu", None),
        Node::File(map) if answer::form(site, path).is_some() => {
            (b'1', map.changed, "application/gopher-menu", None)
        }
        Node::File(mut file) => {
            let item_type = document::item_type(&mut file, path.name());
            let view = if item_type == b'0' { "text/plain" } else { "application/octet-stream" };
            (item_type, file.changed, view, Some(file.bytes))
        }
    };
    let name = if path.is_root() { site.host.clone().into_bytes() } else { path.name().to_vec() };
    let admin = site.settings.admin.as_deref().unwrap_or("not told");
    let size = bytes.map_or_else(|| "512b".to_owned(), |bytes| format!("{}k", bytes.div_ceil(1024)));
    let date = natural::date(changed).replace('-', "");
    let text = format!(
        "\t{}\t{}\r\n+ADMIN:\r\n Admin: {admin}\r\n Mod-Date: <{date}000000>\r\n+VIEWS:\r\n {view}: <{size}>\r\n.\r\n",
        site.host, site.port
    );
    let info = [&b"+-1\r\n+INFO: "[..], &[item_type], &crate::clean::display(&name), b"\t", &selector];
    Ok([info.concat().as_slice(), text.as_bytes()].concat())
}
