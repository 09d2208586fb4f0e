//! Menu lines, as RFC 1436 §3.9 has them, and the only place that makes one.

use std::io;

use crate::clean;
use crate::output::Output;
use crate::problem::Problem;
use crate::site::Site;

/// A line of a menu.
#[derive(Debug)]
pub(crate) struct Item<'a> {
    pub(crate) item_type: u8,
    pub(crate) name: &'a [u8],
    pub(crate) selector: &'a [u8],
    pub(crate) host: &'a [u8],
    pub(crate) port: u16,
}

/// Where the lines of a menu go: to the client, or to who wants to know what a page links to. They are clean.
pub(crate) trait Sink {
    fn item(&mut self, item: &Item<'_>) -> io::Result<()>;
}

/// Makes a menu line by line. Whatever bytes it is given, each call makes exactly one line of four fields.
pub(crate) struct Menu<'a> {
    sink: &'a mut (dyn Sink + 'a),
    pub(crate) site: &'a Site<'a>,
}

impl std::fmt::Debug for Menu<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Menu").field("site", &self.site).finish_non_exhaustive()
    }
}

impl<'a> Menu<'a> {
    pub(crate) fn new(sink: &'a mut (dyn Sink + 'a), site: &'a Site<'a>) -> Menu<'a> {
        Menu { sink, site }
    }

    pub(crate) fn info(&mut self, text: &[u8]) -> io::Result<()> {
        self.nowhere(b'i', text, b"", b"null.host")
    }

    pub(crate) fn title(&mut self, text: &[u8]) -> io::Result<()> {
        self.nowhere(b'i', text, b"TITLE", b"null.host")
    }

    pub(crate) fn error(&mut self, text: &[u8]) -> io::Result<()> {
        self.nowhere(b'3', text, b"", b"error.host")
    }

    /// A link to this server, whose selector is whole.
    pub(crate) fn own(&mut self, item_type: u8, name: &[u8], selector: &[u8]) -> io::Result<()> {
        let site = self.site;
        self.item(&Item { item_type, name, selector, host: site.host.as_bytes(), port: site.port })
    }

    pub(crate) fn item(&mut self, item: &Item<'_>) -> io::Result<()> {
        let colors = self.site.settings.colors;
        let name = if colors { clean::colored(item.name) } else { clean::display(item.name) };
        self.sink.item(&Item {
            name: &name,
            selector: &clean::selector(item.selector),
            host: &clean::display(item.host),
            ..*item
        })
    }

    fn nowhere(&mut self, item_type: u8, name: &[u8], selector: &[u8], host: &[u8]) -> io::Result<()> {
        self.item(&Item { item_type, name, selector, host, port: 1 })
    }
}

/// Ends a menu that went to the client. RFC 1436 lets a server leave the last line out; clients that wait for it exist.
pub(crate) fn end(output: &mut Output<'_>) -> io::Result<()> {
    output.put(b".\r\n")?;
    output.flush()
}

/// An error is a menu of one line of type 3, for whatever was asked: a client shows it either way.
pub(crate) fn refusal(output: &mut Output<'_>, site: &Site<'_>, problem: Problem) -> io::Result<()> {
    Menu::new(output, site).error(problem.message().as_bytes())?;
    end(output)
}
