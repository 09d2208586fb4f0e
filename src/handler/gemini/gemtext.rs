//! Menus of gopher as gemtext: texts in blocks that keep their columns, links as lines with a URL.

use std::io;

use crate::charset::Charset;
use crate::clean;
use crate::menu::{Item, Sink};
use crate::output::Output;
use crate::site::Site;
use crate::web;

use super::answer::head;

/// The kind of page that a menu becomes.
pub(crate) const MEDIA: &str = "text/gemini; charset=utf-8";

/// Begins and ends a block of text that is shown as it is.
const FENCE: &[u8] = b"```";

/// A page that is sent as it is made. Its header goes out with its first line, so that a page which cannot be
/// made is an error and no empty page.
#[derive(Debug)]
pub(crate) struct Page<'a, 'fd> {
    output: &'a mut Output<'fd>,
    site: &'a Site<'a>,
    begun: bool,
    in_block: bool,
}

impl<'a, 'fd> Page<'a, 'fd> {
    pub(crate) fn new(output: &'a mut Output<'fd>, site: &'a Site<'a>) -> Page<'a, 'fd> {
        Page { output, site, begun: false, in_block: false }
    }

    /// Sends what is left of a page that was made.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        self.begin()?;
        self.block(false)?;
        self.output.flush()
    }

    fn begin(&mut self) -> io::Result<()> {
        if self.begun {
            return Ok(());
        }
        self.begun = true;
        head(self.output, 20, MEDIA)
    }

    fn block(&mut self, wanted: bool) -> io::Result<()> {
        if self.in_block == wanted {
            return Ok(());
        }
        self.in_block = wanted;
        self.output.put(&[FENCE, b"\n"].concat())
    }

    fn text(&mut self, text: &[u8]) -> io::Result<()> {
        if text.is_empty() && !self.in_block {
            return self.output.put(b"\n");
        }
        self.block(true)?;
        // Such a line would end the block.
        let guard = if text.starts_with(FENCE) { &b" "[..] } else { b"" };
        self.output.put(&[guard, text, b"\n"].concat())
    }
}

impl Sink for Page<'_, '_> {
    fn item(&mut self, item: &Item<'_>) -> io::Result<()> {
        self.begin()?;
        let name = Charset::Utf8.converted(item.name);
        if item.item_type == b'i' && item.selector == b"TITLE" {
            self.block(false)?;
            return self.output.put(&[b"# ", name.trim_ascii(), b"\n"].concat());
        }
        match target(self.site, item) {
            None => self.text(name.trim_ascii_end()),
            Some(url) => {
                self.block(false)?;
                let label = if item.listed { unspaced(&name) } else { name.trim_ascii().to_vec() };
                let blank: &[u8] = if label.is_empty() { b"" } else { b" " };
                self.output.put(&[b"=> ", url.as_slice(), blank, &label, b"\n"].concat())
            }
        }
    }
}

/// The columns of a listing without the blanks between them, which readers of links do not keep.
fn unspaced(name: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(name);
    let columns: Vec<&str> = text.split("  ").map(str::trim).filter(|column| !column.is_empty()).collect();
    columns.join("  ").into_bytes()
}

/// The URL that a line of a menu leads to; `None` is a line without a link.
fn target(site: &Site<'_>, item: &Item<'_>) -> Option<Vec<u8>> {
    let selector = item.selector;
    match item.item_type {
        b'i' | b'3' => None,
        b'8' | b'T' => Some([b"telnet://", &authority(item, 23)[..], b"/"].concat()),
        b'h' if web::target(selector).is_some() => {
            web::target(selector).filter(|url| web::is_allowed(url)).map(clean::url)
        }
        item_type if site.is_ours(item.host) && is_our_port(site, item.port) => {
            Some(own(site, item, item_type))
        }
        item_type => {
            let kind = [item_type];
            let whole = [b"gopher://", &authority(item, 70)[..], b"/", &kind, &clean::encoded(selector)];
            Some(whole.concat())
        }
    }
}

/// Our port, or that of the same tree in the other protocol.
fn is_our_port(site: &Site<'_>, port: u16) -> bool {
    port == site.port || matches!(port, 70 | super::PORT)
}

fn authority(item: &Item<'_>, default_port: u16) -> Vec<u8> {
    let host: Vec<u8> = item.host.iter().copied().filter(|byte| byte.is_ascii_graphic()).collect();
    let host = clean::url(&host);
    if item.port == default_port { host } else { [&host[..], format!(":{}", item.port).as_bytes()].concat() }
}

/// A path of this server. That of a directory ends with a slash, which spares clients a redirection.
fn own(site: &Site<'_>, item: &Item<'_>, item_type: u8) -> Vec<u8> {
    let mut selector = item.selector;
    let mut url = Vec::new();
    if !item.host.eq_ignore_ascii_case(site.host.as_bytes()) {
        url.extend_from_slice(&[b"gemini://", &authority(item, super::PORT)[..]].concat());
        // The name is in the URL, so that the selector need not have it.
        let named = [b"/;", item.host].concat();
        selector = selector.strip_prefix(named.as_slice()).unwrap_or(selector);
    }
    url.extend_from_slice(&path(selector));
    let name = selector.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let is_search = site.settings.search.as_deref() == Some(selector);
    if item_type == b'1' && !name.is_empty() && !name.contains(&b'.') && !is_search {
        url.push(b'/');
    }
    url
}

/// A selector as the path of a URL. What is encoded stays; readings of a path try it both ways.
pub(crate) fn path(selector: &[u8]) -> Vec<u8> {
    let below = selector.iter().position(|&byte| byte != b'/').map_or(&b""[..], |start| &selector[start..]);
    let mut path = vec![b'/'];
    for (at, &byte) in below.iter().enumerate() {
        let two = below.get(at + 1..at + 3);
        let is_escape = byte == b'%' && two.is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
        if is_escape { path.push(byte) } else { path.extend_from_slice(&clean::encoded(&[byte])) }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn url(item_type: u8, selector: &str, host: &str, port: u16) -> Option<String> {
        let settings = Settings { host: Some("a.example".to_owned()), ..Settings::default() }.for_gemini();
        let site = Site::find(&settings, io::stdin());
        let (selector, host) = (selector.as_bytes(), host.as_bytes());
        let item = Item { item_type, name: b"", selector, host, port, listed: false };
        target(&site, &item).map(|url| String::from_utf8(url).unwrap_or_default())
    }

    #[test]
    fn links_to_this_server_are_paths_whatever_the_port_of_gopher() {
        let own = |item_type, selector| url(item_type, selector, "A.example", 70);
        assert_eq!(own(b'0', "/a b.txt").as_deref(), Some("/a%20b.txt"));
        assert_eq!(own(b'0', "a%20b?.txt").as_deref(), Some("/a%20b%3F.txt"));
        assert_eq!(own(b'0', "/100%.txt").as_deref(), Some("/100%25.txt"));
        assert_eq!(own(b'1', "/docs").as_deref(), Some("/docs/"));
        assert_eq!(own(b'1', "").as_deref(), Some("/"));
        assert_eq!(own(b'7', "/search").as_deref(), Some("/search"));
        // Not the URL of another host.
        assert_eq!(own(b'0', "//b.example/x").as_deref(), Some("/b.example/x"));
    }

    #[test]
    fn links_to_others_are_whole_urls() {
        assert_eq!(url(b'1', "/x y", "b.example", 70).as_deref(), Some("gopher://b.example/1/x%20y"));
        assert_eq!(url(b'0', "/x", "b.example", 7070).as_deref(), Some("gopher://b.example:7070/0/x"));
        assert_eq!(url(b'8', "", "b.example", 23).as_deref(), Some("telnet://b.example/"));
        let web = url(b'h', "URL:https://b.example/\"", "a.example", 70);
        assert_eq!(web.as_deref(), Some("https://b.example/%22"));
        assert_eq!(url(b'h', "URL:javascript:x", "a.example", 70), None);
        assert_eq!(url(b'i', "/x", "a.example", 70), None);
    }

    #[test]
    fn the_columns_of_a_listing_become_words() {
        assert_eq!(unspaced(b"a b.txt      2026-11-20     1.2 KB"), b"a b.txt  2026-11-20  1.2 KB");
    }
}
