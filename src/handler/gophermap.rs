//! The lines of a gophermap: what an author wrote, understood one line at a time.
//!
//! The dialect is that of gophernicus, whose directives are single characters at the start of a line. Real menus also begin
//! lines with those characters to draw: `==== News ====`, `------`, `* item`. So a directive counts only in its exact form,
//! and everything else is text. No line is an error: one that makes no sense is shown.

use crate::settings::Dialect;

/// One line. What needs the tree to be decided (does the hidden name exist?) keeps the line's own bytes, to be shown instead.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    Text(&'a [u8]),
    /// `!Title`
    Title(&'a [u8]),
    Link(Link<'a>),
    /// `-name`: leave it out of the listing that follows. It can still be fetched.
    Hide(&'a [u8]),
    /// `:ext=T`: files of this extension are of this type.
    Retype(&'a [u8], u8),
    /// `=name`: the map of that name, here.
    Include(&'a [u8]),
    /// `%FILES%` (motsognir): the directory's files, here.
    Listing,
    /// `*`: the directory's files, and the end.
    ListingAndEnd,
    /// `.`: the end.
    End,
    /// `~`: the users that have a tree.
    Users,
    /// `%`: the virtual hosts.
    Vhosts,
    /// `# comment`
    Nothing,
}

/// A link with what the author gave; what is missing is `None` and filled in by the page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Link<'a> {
    pub(crate) item_type: u8,
    pub(crate) name: &'a [u8],
    pub(crate) selector: Option<&'a [u8]>,
    pub(crate) host: Option<&'a [u8]>,
    pub(crate) port: Option<u16>,
}

/// The lines of a map without their ends. A byte order mark is no part of the first one.
pub(crate) fn lines(map: &[u8]) -> impl Iterator<Item = &[u8]> {
    let map = map.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(map);
    let whole = map.strip_suffix(b"\n").unwrap_or(map);
    let lines = whole.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.take(if map.is_empty() { 0 } else { usize::MAX })
}

pub(crate) fn parse(line: &[u8], dialect: Dialect) -> Line<'_> {
    match line {
        _ if dialect == Dialect::Bucktooth => link(line),
        b"*" => Line::ListingAndEnd,
        b"." => Line::End,
        b"~" => Line::Users,
        b"%" => Line::Vhosts,
        b"%FILES%" => Line::Listing,
        [b'#', ..] => Line::Nothing,
        [b'!', title @ ..] if title.first().is_some_and(|&byte| byte != b'!') => Line::Title(title),
        [b'-', name @ ..] if is_name(name) => Line::Hide(name),
        [b'=', name @ ..] if is_name(name.strip_prefix(b"/").unwrap_or(name)) && name[0] != b'=' => {
            Line::Include(name)
        }
        [b':', rest @ ..] => retype(rest).unwrap_or_else(|| link(line)),
        _ => link(line),
    }
}

/// What may be the name of a file. A slash may be in it, as includes and hidden names can be in sub-directories.
fn is_name(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|&byte| byte > b' ' && byte != b'/') && !bytes.contains(&b'\t')
}

fn retype(rest: &[u8]) -> Option<Line<'_>> {
    let (item_type, extension) = rest.split_last()?;
    let extension = extension.strip_suffix(b"=")?;
    let good = !extension.is_empty() && extension.iter().all(u8::is_ascii_alphanumeric);
    (good && item_type.is_ascii_graphic()).then_some(Line::Retype(extension, *item_type))
}

/// `Tname<TAB>selector<TAB>host<TAB>port`, any of the last three missing. What follows a port is for Gopher+ and dropped.
fn link(line: &[u8]) -> Line<'_> {
    let mut fields = line.split(|&byte| byte == b'\t');
    let (Some([item_type, name @ ..]), Some(selector)) = (fields.next(), fields.next()) else {
        return Line::Text(line);
    };
    match item_type {
        b'i' if selector == b"TITLE" => return Line::Title(name),
        b'i' => return Line::Text(name),
        b'-' | b'=' | b'~' | b'%' | b'*' | b'.' | b'!' | b'|' => return Line::Text(line),
        other if !other.is_ascii_graphic() => return Line::Text(line),
        _ => {}
    }
    // A `+` is UMN's way to say "this server", and an empty field says nothing else.
    let given = |field: &'_ [u8]| !matches!(field.trim_ascii(), b"" | b"+");
    let host = fields.next().filter(|field| given(field)).map(<[u8]>::trim_ascii);
    let port = match fields.next().filter(|field| given(field)).map(port) {
        Some(None) => return Line::Text(line),
        given => given.flatten(),
    };
    let selector = Some(selector).filter(|selector| !selector.is_empty());
    Line::Link(Link { item_type: *item_type, name, selector, host, port })
}

fn port(field: &[u8]) -> Option<u16> {
    std::str::from_utf8(field.trim_ascii()).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &[u8]) -> Line<'_> {
        super::parse(line, Dialect::Gophernicus)
    }

    #[test]
    fn bucktooth_has_links_and_text_and_no_directives() {
        for line in [&b"!Title"[..], b"# note", b"*", b".", b"-x", b"=x", b":a=9", b"%", b"~", b"%FILES%"] {
            assert_eq!(super::parse(line, Dialect::Bucktooth), Line::Text(line), "{line:?}");
        }
        assert!(matches!(super::parse(b"1docs\t", Dialect::Bucktooth), Line::Link(_)));
    }

    fn link_of(line: &[u8]) -> Link<'_> {
        match parse(line) {
            Line::Link(link) => link,
            other => panic!("{other:?} is no link"),
        }
    }

    #[test]
    fn a_line_without_tab_is_text() {
        assert_eq!(parse(b"Welcome"), Line::Text(b"Welcome"));
        assert_eq!(parse(b""), Line::Text(b""));
    }

    #[test]
    fn directives_count_in_their_exact_form() {
        assert_eq!(parse(b"!Hello"), Line::Title(b"Hello"));
        assert_eq!(parse(b"# no"), Line::Nothing);
        assert_eq!(parse(b"*"), Line::ListingAndEnd);
        assert_eq!(parse(b"."), Line::End);
        assert_eq!(parse(b"-secret.txt"), Line::Hide(b"secret.txt"));
        assert_eq!(parse(b"=inc.gophermap"), Line::Include(b"inc.gophermap"));
        assert_eq!(parse(b":log=9"), Line::Retype(b"log", b'9'));
        assert_eq!(parse(b"%FILES%"), Line::Listing);
    }

    #[test]
    fn drawing_and_lists_are_text() {
        let drawn = [
            "==== WELCOME =====",
            "- item",
            "* text",
            ".::::.",
            "***",
            "~~~~~",
            "%%%",
            "=",
            "-",
            "!!!!",
            ": note",
            "..",
        ];
        for line in drawn {
            assert_eq!(parse(line.as_bytes()), Line::Text(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn missing_fields_are_left_to_the_page() {
        let expected = Link { item_type: b'1', name: b"docs", selector: None, host: None, port: None };
        for line in [&b"1docs\t"[..], b"1docs\t\t\t", b"1docs\t\t+\t+", b"1docs\t\t \t "] {
            assert_eq!(link_of(line), expected, "{line:?}");
        }
    }

    #[test]
    fn a_full_line_is_taken_as_it_is_and_what_follows_the_port_is_dropped() {
        let expected = Link {
            item_type: b'0',
            name: b"a b",
            selector: Some(b"/x y"),
            host: Some(b"example.org"),
            port: Some(7070),
        };
        assert_eq!(link_of(b"0a b\t/x y\texample.org\t 7070\t+"), expected);
    }

    #[test]
    fn a_line_that_makes_no_sense_is_shown() {
        for line in [&b"0a\t/a\th\tabc"[..], b"0a\t/a\th\t70000", b"\tfile", b" x\ty", b"\xC3\xA9\tx"] {
            assert_eq!(parse(line), Line::Text(line), "{line:?}");
        }
    }

    #[test]
    fn an_info_line_of_any_shape_is_text() {
        assert_eq!(parse(b"iText\tfake\t(NULL)\t0"), Line::Text(b"Text"));
        assert_eq!(parse(b"i\t"), Line::Text(b""));
    }

    #[test]
    fn line_ends_of_all_kinds_and_a_byte_order_mark_are_no_part_of_a_line() {
        let collected: Vec<&[u8]> = lines(b"\xEF\xBB\xBFa\r\n\nb").collect();
        assert_eq!(collected, [&b"a"[..], b"", b"b"]);
        assert_eq!(lines(b"").count(), 0);
        assert_eq!(lines(b"a\n").count(), 1);
    }
}
