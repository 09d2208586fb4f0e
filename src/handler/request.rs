//! From the bytes of a connection to what is asked for. Nothing here does input or output.

/// The longest selector that is looked at. RFC 1436 has 255, real menus have longer ones.
pub(crate) const SELECTOR_BYTES_MAX: usize = 1024;

/// The longest line, with its search words. What is longer is not read to its end.
pub(crate) const LINE_BYTES_MAX: usize = 4096;

/// The signature of PROXY protocol version 2, which looks like an empty request.
const PROXY_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The state of a request line after the bytes so far.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Scan {
    More,
    /// A line of this many bytes without its end.
    Line(usize),
    TooLong,
    /// The first bytes of a protocol in which a gopher answer would be noise.
    Foreign(&'static str),
}

/// Looks for the end of the request line. A line ends with LF, with or without CR: some clients send LF only,
/// and RFC 1436 has CR-LF. A CR alone ends nothing.
pub(crate) fn scan(bytes: &[u8]) -> Scan {
    if bytes.starts_with(&[0x16, 0x03]) {
        return Scan::Foreign("tls");
    }
    if bytes.starts_with(PROXY_V2) {
        return Scan::Foreign("proxy-v2");
    }
    let end = bytes.iter().position(|&byte| byte == b'\n');
    let line = without_cr(&bytes[..end.unwrap_or(bytes.len())]);
    let selector = line.iter().position(|&byte| byte == b'\t').unwrap_or(line.len());
    if selector > SELECTOR_BYTES_MAX || line.len() > LINE_BYTES_MAX {
        return Scan::TooLong;
    }
    end.map_or(Scan::More, |_| Scan::Line(line.len()))
}

/// A request line taken apart at its first TAB.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) selector: &'a [u8],
    /// Search words of a type 7 item, or a suffix of Gopher+.
    pub(crate) extra: Option<&'a [u8]>,
}

pub(crate) fn split(line: &[u8]) -> Line<'_> {
    match line.iter().position(|&byte| byte == b'\t') {
        Some(tab) => Line { selector: &line[..tab], extra: Some(&line[tab + 1..]) },
        None => Line { selector: line, extra: None },
    }
}

pub(crate) fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cr_lf_and_lf_end_a_line() {
        assert_eq!(scan(b"/a\r\n"), Scan::Line(2));
        assert_eq!(scan(b"/a\n/b\n"), Scan::Line(2));
        assert_eq!(scan(b"/a\r"), Scan::More);
        assert_eq!(scan(b"/a\rb"), Scan::More);
    }

    #[test]
    fn the_selector_may_have_1024_bytes_and_no_more() {
        let mut longest = vec![b'a'; SELECTOR_BYTES_MAX];
        longest.extend_from_slice(b"\tsome words\r\n");
        assert_eq!(scan(&longest), Scan::Line(SELECTOR_BYTES_MAX + 11));
        longest.insert(0, b'/');
        assert_eq!(scan(&longest), Scan::TooLong);
    }

    #[test]
    fn search_words_are_bounded_too() {
        assert_eq!(scan(&[&b"/s\t"[..], &[b'w'; LINE_BYTES_MAX]].concat()), Scan::TooLong);
    }

    #[test]
    fn a_tls_hello_is_known_by_its_first_two_bytes() {
        assert_eq!(scan(&[0x16]), Scan::More);
        assert_eq!(scan(&[0x16, 0x03, 0x01]), Scan::Foreign("tls"));
    }

    #[test]
    fn a_tab_ends_the_selector() {
        assert_eq!(split(b"/s\tfoo\tbar"), Line { selector: b"/s", extra: Some(b"foo\tbar") });
        assert_eq!(split(b"/s"), Line { selector: b"/s", extra: None });
    }
}
