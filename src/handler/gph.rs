//! The lines of a `.gph` menu, the form of geomyidae and of programs that write for it, such as
//! stagit-gopher.

use crate::gophermap;

/// A line of such a menu.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    Text(&'a [u8]),
    Link(Link),
    /// A line with TABs in the form of a gophermap, which phd takes as well.
    Gophermap(gophermap::Link<'a>),
}

/// `[type|name|selector|host|port]` without its escapes. The words `server` and `port` are this server, and
/// `None` here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) item_type: u8,
    pub(crate) name: Vec<u8>,
    pub(crate) selector: Vec<u8>,
    pub(crate) host: Option<Vec<u8>>,
    pub(crate) port: Option<u16>,
}

/// Reads one line. A line in brackets that has not exactly five fields is text. A `t` at the start of a text
/// is an escape for texts that begin with a bracket, and left out of all.
pub(crate) fn parse(line: &[u8]) -> Line<'_> {
    if let Some(link) = line.strip_prefix(b"[").and_then(link) {
        return match link.item_type {
            b'i' => Line::Link(Link { selector: Vec::new(), ..link }),
            _ => Line::Link(link),
        };
    }
    if line.contains(&b'\t')
        && let gophermap::Line::Link(link) = gophermap::link(line)
    {
        return Line::Gophermap(link);
    }
    Line::Text(line.strip_prefix(b"t").unwrap_or(line))
}

fn link(rest: &[u8]) -> Option<Link> {
    let [item_type, name, selector, host, port] = fields(rest)?;
    let given = |field: Vec<u8>, own: &[u8]| Some(field).filter(|field| !field.is_empty() && field != own);
    let port = match given(port, b"port") {
        None => None,
        Some(digits) => Some(std::str::from_utf8(&digits).ok()?.trim().parse().ok()?),
    };
    let item_type = *item_type.first().filter(|byte| byte.is_ascii_graphic())?;
    Some(Link { item_type, name, selector, host: given(host, b"server"), port })
}

/// Five fields that end with `|`, the last with `]`. `\|` is a bar inside a field.
fn fields(rest: &[u8]) -> Option<[Vec<u8>; 5]> {
    let mut fields: [Vec<u8>; 5] = Default::default();
    let mut at = 0;
    let mut bytes = rest.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if bytes.peek() == Some(&b'|') => fields.get_mut(at)?.extend(bytes.next()),
            b'|' => at += 1,
            b']' if at == 4 => return Some(fields),
            other => fields.get_mut(at)?.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link_of(line: &[u8]) -> Link {
        match parse(line) {
            Line::Link(link) => link,
            other => panic!("{other:?} is no link"),
        }
    }

    #[test]
    fn five_fields_in_brackets_are_a_link() {
        let link = link_of(b"[0|About \\| me|about.txt|server|port]");
        assert_eq!((link.item_type, link.name.as_slice()), (b'0', &b"About | me"[..]));
        assert_eq!((link.selector.as_slice(), link.host, link.port), (&b"about.txt"[..], None, None));
        let link = link_of(b"[1|Other|/|example.org|7070]");
        assert_eq!((link.host.as_deref(), link.port), (Some(&b"example.org"[..]), Some(7070)));
    }

    #[test]
    fn a_line_that_is_no_link_is_text() {
        for line in [
            &b"[0|four|fields|server]"[..],
            b"[ ] to do",
            b"[0|a|b|server|x]",
            b"[|a|b|server|port]",
            b"[",
            "".as_bytes(),
        ] {
            assert_eq!(parse(line), Line::Text(line), "{line:?}");
        }
    }

    #[test]
    fn a_t_at_the_start_of_a_text_is_an_escape() {
        assert_eq!(parse(b"t[not|a|link|server|port]"), Line::Text(b"[not|a|link|server|port]"));
        assert_eq!(parse(b"tthe end"), Line::Text(b"the end"));
    }

    #[test]
    fn lines_with_tabs_are_those_of_a_gophermap() {
        assert!(matches!(parse(b"1docs\t/docs"), Line::Gophermap(_)));
        assert_eq!(parse(b" a\tb"), Line::Text(b" a\tb"));
    }
}
