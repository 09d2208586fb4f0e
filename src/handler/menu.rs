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
    /// The name is the server's, with a date and a size, not an author's.
    pub(crate) listed: bool,
}

/// A receiver of the clean lines of a menu: the client, or code that looks for the links of a page.
pub(crate) trait Sink {
    fn item(&mut self, item: &Item<'_>) -> io::Result<()>;

    /// Whether the lines are wanted for the links in them. A page that itself follows links then leaves that
    /// out, or two such pages would follow each other without end.
    fn follows_links(&self) -> bool {
        false
    }
}

/// Makes a menu line by line. Whatever bytes it is given, each call makes exactly one line of four fields.
pub(crate) struct Menu<'a> {
    sink: &'a mut (dyn Sink + 'a),
    /// Lines are made and not sent: those that a further page of a listing has before it on the first.
    pub(crate) muted: bool,
    pub(crate) site: &'a Site<'a>,
}

impl std::fmt::Debug for Menu<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Menu").field("site", &self.site).finish_non_exhaustive()
    }
}

impl<'a> Menu<'a> {
    pub(crate) fn new(sink: &'a mut (dyn Sink + 'a), site: &'a Site<'a>) -> Menu<'a> {
        Menu { sink, muted: false, site }
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
        let (host, port) = (site.host.as_bytes(), site.port);
        self.item(&Item { item_type, name, selector, host, port, listed: false })
    }

    /// A row of a listing.
    pub(crate) fn row(&mut self, item_type: u8, name: &[u8], selector: &[u8]) -> io::Result<()> {
        let (host, port) = (self.site.host.as_bytes(), self.site.port);
        self.item(&Item { item_type, name, selector, host, port, listed: true })
    }

    pub(crate) fn follows_links(&self) -> bool {
        self.sink.follows_links()
    }

    pub(crate) fn item(&mut self, item: &Item<'_>) -> io::Result<()> {
        if self.muted {
            return Ok(());
        }
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
        self.item(&Item { item_type, name, selector, host, port: 1, listed: false })
    }
}

/// Ends a menu that went to the client. RFC 1436 lets a server leave the last line out; clients that wait for
/// it exist.
pub(crate) fn end(output: &mut Output<'_>) -> io::Result<()> {
    output.put(b".\r\n")?;
    output.flush()
}

/// An error is a menu of one line of type 3, for whatever was asked: a client shows it either way.
pub(crate) fn refusal(output: &mut Output<'_>, site: &Site<'_>, problem: Problem) -> io::Result<()> {
    Menu::new(output, site).error(problem.message().as_bytes())?;
    end(output)
}
