//! Menu lines, as RFC 1436 §3.9 has them, and the only place that writes one.

use std::io;

use crate::clean;
use crate::output::Output;
use crate::problem::Problem;
use crate::site::Site;

/// Host and port of lines that lead nowhere.
const NOWHERE: &str = "null.host\t1";

/// A line that leads somewhere.
#[derive(Debug)]
pub(crate) struct Item<'a> {
    pub(crate) item_type: u8,
    pub(crate) name: &'a [u8],
    pub(crate) selector: &'a [u8],
    pub(crate) host: &'a [u8],
    pub(crate) port: u16,
}

/// Writes a menu line by line. Whatever bytes it is given, each call makes exactly one line of four fields.
#[derive(Debug)]
pub(crate) struct Menu<'a, 'fd> {
    output: &'a mut Output<'fd>,
    pub(crate) site: &'a Site,
}

impl<'a, 'fd> Menu<'a, 'fd> {
    pub(crate) fn new(output: &'a mut Output<'fd>, site: &'a Site) -> Menu<'a, 'fd> {
        Menu { output, site }
    }

    pub(crate) fn info(&mut self, text: &[u8]) -> io::Result<()> {
        self.line(b'i', text, b"", NOWHERE)
    }

    pub(crate) fn title(&mut self, text: &[u8]) -> io::Result<()> {
        self.line(b'i', text, b"TITLE", NOWHERE)
    }

    pub(crate) fn error(&mut self, text: &[u8]) -> io::Result<()> {
        self.line(b'3', text, b"", "error.host\t1")
    }

    /// A link to this server.
    pub(crate) fn own(&mut self, item_type: u8, name: &[u8], selector: &[u8]) -> io::Result<()> {
        let place = format!("{}\t{}", self.site.host, self.site.port);
        self.line(item_type, name, selector, &place)
    }

    pub(crate) fn item(&mut self, item: &Item<'_>) -> io::Result<()> {
        self.output.put(&[item.item_type])?;
        let host = clean::display(item.host);
        let port = item.port.to_string();
        let fields = [&clean::display(item.name), &clean::selector(item.selector), &host, port.as_bytes()];
        self.output.put(&[fields.join(&b'\t').as_slice(), b"\r\n"].concat())
    }

    /// The last line. RFC 1436 lets a server leave it out; clients that wait for it exist.
    pub(crate) fn end(self) -> io::Result<()> {
        self.output.put(b".\r\n")?;
        self.output.flush()
    }

    fn line(&mut self, item_type: u8, text: &[u8], selector: &[u8], place: &str) -> io::Result<()> {
        self.output.put(&[item_type])?;
        let fields = [&clean::display(text), &clean::selector(selector), place.as_bytes()];
        self.output.put(&[fields.join(&b'\t').as_slice(), b"\r\n"].concat())
    }
}

/// An error is a menu of one line of type 3, for whatever was asked: a client shows it either way.
pub(crate) fn refusal(output: &mut Output<'_>, site: &Site, problem: Problem) -> io::Result<()> {
    let mut menu = Menu::new(output, site);
    menu.error(problem.message().as_bytes())?;
    menu.end()
}
