//! The lines of a gophermap: what an author wrote, understood one line at a time.
//!
//! The dialect is that of gophernicus, whose directives are single characters at the start of a line. Real
//! menus also begin lines with those characters to draw: `==== News ====`, `------`, `* item`. So a directive
//! counts only in its exact form, and everything else is text. No line is an error: a line that makes no
//! sense is shown.

use crate::settings::Dialect;

/// One line. A line that needs the tree to be decided (does the hidden name exist?) is shown as text if the
/// tree says no.
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
    /// `=name`: the map of that name, here. For gophernicus it may also be a command.
    Include(&'a [u8]),
    /// `%FILES%` (motsognir): the directory's files, here.
    Listing,
    /// `%LATEST 5 phlog%`: the newest texts below a directory, here.
    Latest {
        count: Option<usize>,
        directory: &'a [u8],
    },
    /// `*`: the directory's files, and the end.
    ListingAndEnd,
    /// `.`: the end.
    End,
    /// `~`: the users that have a tree.
    Users,
    /// `%`: the virtual hosts.
    Vhosts,
    /// `# comment`, and a link that is commented out.
    Comment(&'a [u8]),
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

/// How the lines of one map are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    pub(crate) dialect: Dialect,
    /// `# text` is a heading and shown, not a comment.
    pub(crate) headings: bool,
}

impl Style {
    /// Many authors write headings as in Markdown, and in other dialects `#` is no directive. A map has
    /// headings if one of its lines can be nothing else: it is of a lower level, `## Friday`; or it stands
    /// alone, as the first line or between blank lines. A `!Title` says that the author knows the directives:
    /// then `# text` is a comment.
    pub(crate) fn of(map: &[u8], dialect: Dialect) -> Style {
        let plain = Style { dialect, headings: false };
        if dialect == Dialect::Bucktooth || !map.contains(&b'#') {
            return plain;
        }
        let all: Vec<&[u8]> = lines(map).collect();
        if all.iter().any(|line| matches!(parse(line, plain), Line::Title(_))) {
            return plain;
        }
        let is_blank = |line: &[u8]| line.trim_ascii().is_empty();
        let mut text = all.iter().skip_while(|line| is_blank(line));
        let begins = text.next().is_some_and(|line| is_comment(line))
            && !text.next().is_some_and(|line| line.starts_with(b"#"));
        let stands_alone =
            all.windows(4).any(|four| is_blank(four[0]) && is_comment(four[1]) && is_blank(four[2]));
        let headings = begins || stands_alone || all.iter().any(|line| is_lower_heading(line));
        Style { dialect, headings }
    }
}

/// `# text`
fn is_comment(line: &[u8]) -> bool {
    line.strip_prefix(b"#").is_some_and(|text| {
        text.first().is_some_and(u8::is_ascii_whitespace) && !text.trim_ascii().is_empty()
    })
}

/// `## text` to `###### text`, but not the frame `## text ##`.
fn is_lower_heading(line: &[u8]) -> bool {
    let level = line.iter().take_while(|&&byte| byte == b'#').count();
    let text = line[level..].trim_ascii();
    (2..=6).contains(&level) && line.get(level) == Some(&b' ') && !text.is_empty() && !text.ends_with(b"#")
}

/// The lines of a map without their ends. A byte order mark is no part of the first one.
pub(crate) fn lines(map: &[u8]) -> impl Iterator<Item = &[u8]> {
    let map = map.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(map);
    let whole = map.strip_suffix(b"\n").unwrap_or(map);
    let lines = whole.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.take(if map.is_empty() { 0 } else { usize::MAX })
}

pub(crate) fn parse(line: &[u8], style: Style) -> Line<'_> {
    match line {
        _ if style.dialect == Dialect::Bucktooth => link(line),
        b"." => Line::End,
        b"%" => Line::Vhosts,
        [b'*', rest @ ..] if rest.trim_ascii().is_empty() => Line::ListingAndEnd,
        [b'~', rest @ ..] if rest.trim_ascii().is_empty() => Line::Users,
        [b'%', _, ..] => inserted(line).unwrap_or_else(|| link(line)),
        [b'#', ..] => comment(line, style),
        [b'!', title @ ..] if title.first().is_some_and(|&byte| byte != b'!') => Line::Title(title),
        [b'-', name @ ..] if is_name(name) => Line::Hide(name),
        [b'=', name @ ..] if name.first().is_some_and(|&byte| byte != b'=') => Line::Include(name),
        [b':', rest @ ..] => retype(rest.trim_ascii_end()).unwrap_or_else(|| link(line)),
        _ => link(line),
    }
}

/// `##` and `#word` are text. A `#` before a link, which has a TAB, is there to take it out of the page.
fn comment(line: &[u8], style: Style) -> Line<'_> {
    let text = &line[1..];
    match text.first() {
        None => Line::Comment(b""),
        Some(byte) if byte.is_ascii_whitespace() && style.headings => Line::Text(line),
        Some(byte) if byte.is_ascii_whitespace() => Line::Comment(text.trim_ascii()),
        Some(_) if matches!(link(text), Line::Link(_)) => Line::Comment(text),
        Some(_) => Line::Text(line),
    }
}

/// `%FILES%` and `%LATEST COUNT DIRECTORY%`, in any case; count and directory may be left out.
fn inserted(line: &[u8]) -> Option<Line<'_>> {
    let inner = line.trim_ascii_end().strip_prefix(b"%")?.strip_suffix(b"%")?;
    let end = inner.iter().position(|&byte| byte == b' ').unwrap_or(inner.len());
    let (word, rest) = inner.split_at(end);
    let rest = rest.trim_ascii();
    if word.eq_ignore_ascii_case(b"FILES") && rest.is_empty() {
        return Some(Line::Listing);
    }
    if !word.eq_ignore_ascii_case(b"LATEST") {
        return None;
    }
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match rest.get(digits) {
        _ if digits == 0 => Some(Line::Latest { count: None, directory: rest }),
        None | Some(b' ') => {
            let count = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
            Some(Line::Latest { count: Some(count), directory: rest[digits..].trim_ascii() })
        }
        Some(_) => Some(Line::Latest { count: None, directory: rest }),
    }
}

/// Whether this may be the name of a file. A slash may be in it, as includes and hidden names can be
/// in sub-directories.
fn is_name(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|&byte| byte > b' ' && byte != b'/') && !bytes.contains(&b'\t')
}

fn retype(rest: &[u8]) -> Option<Line<'_>> {
    let (item_type, extension) = rest.split_last()?;
    let extension = extension.strip_suffix(b"=")?;
    let good = !extension.is_empty() && extension.iter().all(u8::is_ascii_alphanumeric);
    (good && item_type.is_ascii_graphic()).then_some(Line::Retype(extension, *item_type))
}

/// `Tname<TAB>selector<TAB>host<TAB>port`, any of the last three missing. What follows a port is for Gopher+
/// and dropped.
pub(crate) fn link(line: &[u8]) -> Line<'_> {
    let mut fields = line.split(|&byte| byte == b'\t');
    let (Some([item_type, name @ ..]), Some(selector)) = (fields.next(), fields.next()) else {
        return Line::Text(line);
    };
    match item_type {
        b'i' if selector == b"TITLE" => return Line::Title(name),
        b'i' if fields.next().is_none() && is_prose(name, selector) => return Line::Text(line),
        b'i' => return Line::Text(name),
        b'-' | b'=' | b'~' | b'%' | b'*' | b'.' | b'!' | b'|' | b'#' => return Line::Text(line),
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

/// `it is<TAB>so`: text with a TAB in it that begins with an i. Info lines have a selector that leads
/// nowhere: `fake`, `/`, `null.host`.
fn is_prose(name: &[u8], selector: &[u8]) -> bool {
    let nowhere: [&[u8]; 8] = [b"fake", b"null", b"nothing", b"none", b"err", b"error", b"false", b"invalid"];
    name.first().is_some_and(u8::is_ascii_lowercase)
        && selector.iter().any(u8::is_ascii_alphanumeric)
        && !selector.iter().any(|byte| b"/.(".contains(byte))
        && !nowhere.iter().any(|word| selector.eq_ignore_ascii_case(word))
}

fn port(field: &[u8]) -> Option<u16> {
    std::str::from_utf8(field.trim_ascii()).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUCKTOOTH: Style = Style { dialect: Dialect::Bucktooth, headings: false };

    fn parse(line: &[u8]) -> Line<'_> {
        super::parse(line, Style { dialect: Dialect::Gophernicus, headings: false })
    }

    #[test]
    fn bucktooth_has_links_and_text_and_no_directives() {
        for line in [&b"!Title"[..], b"# note", b"*", b".", b"-x", b"=x", b":a=9", b"%", b"~", b"%FILES%"] {
            assert_eq!(super::parse(line, BUCKTOOTH), Line::Text(line), "{line:?}");
        }
        assert!(matches!(super::parse(b"1docs\t", BUCKTOOTH), Line::Link(_)));
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
        assert_eq!(parse(b"# no"), Line::Comment(b"no"));
        assert_eq!(parse(b"*"), Line::ListingAndEnd);
        assert_eq!(parse(b"."), Line::End);
        assert_eq!(parse(b"-secret.txt"), Line::Hide(b"secret.txt"));
        assert_eq!(parse(b"=inc.gophermap"), Line::Include(b"inc.gophermap"));
        assert_eq!(parse(b":log=9"), Line::Retype(b"log", b'9'));
        assert_eq!(parse(b"%FILES%"), Line::Listing);
        assert_eq!(parse(b"*  "), Line::ListingAndEnd);
        assert_eq!(parse(b"~\t"), Line::Users);
        assert_eq!(parse(b"%files% "), Line::Listing);
        assert_eq!(parse(b"#0draft\tdraft.txt"), Line::Comment(b"0draft\tdraft.txt"));
    }

    #[test]
    fn the_latest_texts_may_have_a_number_and_a_directory() {
        let latest = |count, directory| Line::Latest { count, directory };
        assert_eq!(parse(b"%LATEST%"), latest(None, b""));
        assert_eq!(parse(b"%latest 5%"), latest(Some(5), b""));
        assert_eq!(parse(b"%Latest 5 /my phlog% "), latest(Some(5), b"/my phlog"));
        assert_eq!(parse(b"%LATEST phlog%"), latest(None, b"phlog"));
        assert_eq!(parse(b"%LATEST 2026-notes%"), latest(None, b"2026-notes"));
        for line in [&b"%LATER 5%"[..], b"%LATEST", b"%LATEST 5", b"%5%"] {
            assert_eq!(parse(line), Line::Text(line), "{line:?}");
        }
    }

    #[test]
    fn hash_marks_that_are_no_comment_are_text() {
        for line in [&b"##"[..], b"## Friday", b"#hashtag text", b"#####", b"#1 in the charts", b"#1"] {
            assert_eq!(parse(line), Line::Text(line), "{line:?}");
        }
    }

    #[test]
    fn a_map_has_headings_if_it_is_written_like_markdown() {
        let headings = |map: &str| Style::of(map.as_bytes(), Dialect::Gophernicus).headings;
        for map in [
            "# My journal\n## Friday\n",
            "text\n## Friday\n",
            "# About\n\ntext\n",
            "\n# About\n",
            "x\n\n# Sunday\n\ny\n",
        ] {
            assert!(headings(map), "{map:?}");
        }
        for map in [
            "# one\n# two\n",
            "#\n# boxed\n#\n",
            "text\n# note\n",
            "text\n\n# note\ntext\n",
            "text\n\n# note\n",
            "## frame ##\n# note\n",
            "######\n# note\n",
            "!Title\n# note\n## x\n",
            "",
        ] {
            assert!(!headings(map), "{map:?}");
        }
        assert!(!Style::of(b"# About\n", Dialect::Bucktooth).headings);
    }

    #[test]
    fn text_that_begins_with_an_i_and_has_a_tab_is_whole() {
        assert_eq!(parse(b"it is\tso"), Line::Text(b"it is\tso"));
        for line in
            [&b"iit is\tfake"[..], b"iit is\t", b"iit is\t/", b"iit is\tx\th\t70", b"iit is\tnull.host"]
        {
            assert_eq!(parse(line), Line::Text(b"it is"), "{line:?}");
        }
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
