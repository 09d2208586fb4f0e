//! The newest texts below a directory as an Atom feed (RFC 4287): `/feed.xml`, `/phlog/feed.xml`.

use std::io;

use crate::charset::Charset;
use crate::clean;
use crate::latest::{self, Entry};
use crate::natural;
use crate::output::Output;
use crate::path::TreePath;
use crate::site::Site;
use crate::tree::Tree;

/// The directory whose feed a selector asks for.
pub(crate) fn asked_for(tree: &Tree, site: &Site<'_>, selector: &[u8]) -> Option<TreePath> {
    latest::directory_of(tree, selector, site.settings.feed.as_deref()?)
}

pub(crate) fn answer(
    tree: &Tree,
    site: &Site<'_>,
    below: &TreePath,
    output: &mut Output<'_>,
) -> io::Result<()> {
    let entries = latest::entries(tree, site, below, site.settings.latest_entries)?.entries;
    let page = site.selector(&below.selector());
    let own =
        [page.strip_suffix(b"/").unwrap_or(&page), b"/", site.settings.feed.as_deref().unwrap_or_default()]
            .concat();
    // An Atom feed has a time; that of an empty one is when time began.
    let updated = entries.iter().map(time).max().unwrap_or_else(|| natural::timestamp(0));
    let author = match (site.user_prefix.strip_prefix(b"/"), &site.settings.admin) {
        (Some(user), _) if !user.is_empty() => String::from_utf8_lossy(user).into_owned(),
        (_, Some(admin)) => admin.clone(),
        (_, None) => site.host.clone(),
    };
    output.put(
        b"<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<feed xmlns=\"http://www.w3.org/2005/Atom\">\r\n",
    )?;
    let title = format!("{}{}", site.host, String::from_utf8_lossy(&page));
    let head = [
        element("title", title.strip_suffix('/').unwrap_or(&title)),
        element("id", &url(site, b'1', &page)),
        format!("<link rel=\"self\" href=\"{}\"/>\r\n", text(&url(site, b'h', &own))),
        format!("<link href=\"{}\"/>\r\n", text(&url(site, b'1', &page))),
        element("updated", &updated),
        format!("<author>{}</author>\r\n", element("name", &author).trim_end()),
    ];
    output.put(head.concat().as_bytes())?;
    for entry in &entries {
        output.put(xml(site, entry).as_bytes())?;
    }
    output.put(b"</feed>\r\n")?;
    output.flush()
}

fn xml(site: &Site<'_>, entry: &Entry) -> String {
    let url = url(site, entry.item_type, &entry.selector);
    let summary = if entry.summary.is_empty() { String::new() } else { element("summary", &entry.summary) };
    [
        "<entry>\r\n".to_owned(),
        element("title", &entry.title),
        element("id", &url),
        format!("<link href=\"{}\"/>\r\n", text(&url)),
        element("updated", &time(entry)),
        summary,
        "</entry>\r\n".to_owned(),
    ]
    .concat()
}

/// When an entry is of: the moment if it is known, else the beginning of the day.
fn time(entry: &Entry) -> String {
    entry.seconds.map_or_else(|| format!("{}T00:00:00Z", entry.date), natural::timestamp)
}

/// A gopher URL (RFC 4266). The selector is encoded as it is: what a `%` in it stands for is the server's
/// to decide.
fn url(site: &Site<'_>, item_type: u8, selector: &[u8]) -> String {
    let port = if site.port == 70 { String::new() } else { format!(":{}", site.port) };
    let path = String::from_utf8_lossy(&clean::encoded(selector)).into_owned();
    format!("gopher://{}{port}/{}{path}", site.host, char::from(item_type))
}

fn element(name: &str, content: &str) -> String {
    format!("<{name}>{}</{name}>\r\n", text(content))
}

/// Text in XML: no markup, and no control character, which XML 1.0 cannot have.
fn text(content: &str) -> String {
    let clean = clean::html(&Charset::Utf8.converted(&clean::display(content.as_bytes())));
    let unusual = |c: char| matches!(c, '\u{fffe}' | '\u{ffff}');
    String::from_utf8_lossy(&clean).replace(unusual, "?")
}
