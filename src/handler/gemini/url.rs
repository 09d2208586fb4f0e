//! The request of Gemini: one URL, at most 1024 bytes, ended by CR-LF. Nothing here does input or output.

use crate::request::Scan;

/// The longest URL of a request, without its CR-LF.
pub(crate) const BYTES_MAX: usize = 1024;

/// A request's URL, with only what Gemini allows in one. Path and query are encoded as they came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Url<'a> {
    /// In lower case, without a dot at its end; an IPv6 address has its brackets.
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    /// Empty, or it begins with a slash.
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// No absolute URL, or one with bytes or parts that a request must not have.
    Malformed,
    /// A URL of another scheme: this server is no proxy.
    Scheme,
}

/// Looks for the end of the request. Only CR-LF ends one.
pub(crate) fn scan(bytes: &[u8]) -> Scan {
    if bytes.starts_with(&[0x16, 0x03]) {
        return Scan::Foreign("tls");
    }
    match bytes.windows(2).position(|two| two == b"\r\n") {
        Some(end) if end <= BYTES_MAX => Scan::Line(end),
        None if bytes.len() < BYTES_MAX + 2 => Scan::More,
        Some(_) | None => Scan::TooLong,
    }
}

pub(crate) fn parse(line: &[u8]) -> Result<Url<'_>, Wrong> {
    let text = std::str::from_utf8(line).ok().filter(|text| is_spelled_well(text)).ok_or(Wrong::Malformed)?;
    let (scheme, rest) = text.split_once(':').ok_or(Wrong::Malformed)?;
    let letters = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.chars().all(letters) {
        return Err(Wrong::Malformed);
    }
    if !scheme.eq_ignore_ascii_case("gemini") {
        return Err(Wrong::Scheme);
    }
    let rest = rest.strip_prefix("//").ok_or(Wrong::Malformed)?;
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (rest, None),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (host, port) = authority_of(authority).ok_or(Wrong::Malformed)?;
    // Brackets are for addresses.
    let has_brackets = |part: &str| part.contains(['[', ']']);
    if has_brackets(path) || query.is_some_and(has_brackets) {
        return Err(Wrong::Malformed);
    }
    Ok(Url { host, port, path, query })
}

/// Only bytes of a URL (RFC 3986), each `%` before two digits, and no fragment: that is the client's.
fn is_spelled_well(text: &str) -> bool {
    let bytes = text.as_bytes();
    let whole =
        |at: usize| bytes.get(at + 1..at + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
    bytes.iter().enumerate().all(|(at, &byte)| match byte {
        b'%' => whole(at),
        byte => byte.is_ascii_alphanumeric() || b"-._~:/?[]@!$&'()*+,;=".contains(&byte),
    })
}

/// Host and port. A user's name is refused, as the protocol says.
fn authority_of(authority: &str) -> Option<(String, Option<u16>)> {
    let colon = authority.rfind(':').filter(|&colon| authority.find(']').is_none_or(|end| end < colon));
    let (host, port) = match colon {
        Some(colon) => (&authority[..colon], &authority[colon + 1..]),
        None => (authority, ""),
    };
    let port = match port {
        "" => None,
        digits if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
            Some(digits.parse().ok().filter(|&port| port != 0)?)
        }
        _ => return None,
    };
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let is_address = || {
        let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        inside.is_some_and(|inside| inside.parse::<std::net::Ipv6Addr>().is_ok())
    };
    let is_name = || !host.is_empty() && !host.contains(['[', ']', ':', '@', '%']);
    (is_name() || is_address()).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Parts<'a> = (String, Option<u16>, &'a str, Option<&'a str>);

    fn url(text: &str) -> Result<Parts<'_>, Wrong> {
        parse(text.as_bytes()).map(|url| (url.host, url.port, url.path, url.query))
    }

    #[test]
    fn a_request_is_one_url_of_1024_bytes_at_most_and_ends_with_cr_lf() {
        assert_eq!(scan(b"gemini://a/\r\n"), Scan::Line(11));
        assert_eq!(scan(b"gemini://a/\n"), Scan::More);
        assert_eq!(scan(&[&[b'a'; BYTES_MAX][..], b"\r\n"].concat()), Scan::Line(BYTES_MAX));
        assert_eq!(scan(&[&[b'a'; BYTES_MAX][..], b"\r"].concat()), Scan::More);
        assert_eq!(scan(&[&[b'a'; BYTES_MAX + 1][..], b"\r\n"].concat()), Scan::TooLong);
        assert_eq!(scan(&[b'a'; BYTES_MAX + 2]), Scan::TooLong);
        assert_eq!(scan(b"\x16\x03\x01"), Scan::Foreign("tls"));
    }

    #[test]
    fn a_url_has_a_host_and_may_have_port_path_and_query() {
        let host = |name: &str| name.to_owned();
        assert_eq!(url("gemini://A.example"), Ok((host("a.example"), None, "", None)));
        assert_eq!(url("GEMINI://a.:1965/x%20y?b%3F"), Ok((host("a"), Some(1965), "/x%20y", Some("b%3F"))));
        assert_eq!(url("gemini://a:/"), Ok((host("a"), None, "/", None)));
        assert_eq!(url("gemini://[2001:DB8::1]:70/"), Ok((host("[2001:db8::1]"), Some(70), "/", None)));
        assert_eq!(url("gemini://[::1]"), Ok((host("[::1]"), None, "", None)));
        assert_eq!(url("gemini://a?q?r"), Ok((host("a"), None, "", Some("q?r"))));
    }

    #[test]
    fn a_url_that_a_request_must_not_have_is_malformed() {
        for text in [
            "",
            "/",
            "a/b",
            "//a/",
            "gemini:",
            "gemini:a",
            "gemini:/a",
            "gemini:///x",
            "gemini://:1965/",
            "1x://a/",
            "gemini://u@a/",
            "gemini://u:p@a/",
            "gemini://a/#f",
            "gemini://a/%",
            "gemini://a/%2",
            "gemini://a/%zz",
            "gemini://a/a b",
            "gemini://a/\t",
            "gemini://a/ä",
            "gemini://a/\"",
            "gemini://a/<",
            "gemini://a\\b/",
            "gemini://a:0/",
            "gemini://a:65536/",
            "gemini://a:+1/",
            "gemini://a:x/",
            "gemini://[::1/",
            "gemini://::1/",
            "gemini://[a]/",
            "gemini://[::1]x/",
            "gemini://a/[",
            "gemini://a/?]",
            "gemini://a%2eb/",
            "gemini://./",
        ] {
            assert_eq!(url(text), Err(Wrong::Malformed), "{text:?}");
        }
        assert_eq!(parse(b"gemini://a/\xff"), Err(Wrong::Malformed));
    }

    #[test]
    fn a_url_of_another_scheme_is_for_a_proxy() {
        for text in ["https://a/", "gopher://a/1", "mailto:a@b.example", "titan://a/"] {
            assert_eq!(url(text), Err(Wrong::Scheme), "{text:?}");
        }
    }
}
