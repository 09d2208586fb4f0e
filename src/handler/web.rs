//! The web: links to it, and browsers that connect to a gopher server by mistake.

use std::io;

use crate::clean;
use crate::output::Output;
use crate::site::Site;

/// The schemes that an `h` link with a selector `URL:…` may have. This list keeps out schemes that run code
/// in the browser. gopher and telnet have item types of their own.
const SCHEMES: &[&str] = &[
    "http", "https", "ftp", "ftps", "mailto", "news", "nntp", "irc", "ircs", "xmpp", "matrix", "gemini",
    "spartan", "nex", "finger", "git", "ssh", "sftp", "magnet", "tel",
];

/// The target of a `URL:` selector. Clients that know the form never ask the server; lynx does.
pub(crate) fn target(selector: &[u8]) -> Option<&[u8]> {
    selector.strip_prefix(b"/").unwrap_or(selector).strip_prefix(b"URL:")
}

/// Whether the target is one to redirect to: a known scheme and only the bytes a URL has.
pub(crate) fn is_allowed(target: &[u8]) -> bool {
    let Some(colon) = target.iter().position(|&byte| byte == b':') else { return false };
    let scheme = target[..colon].to_ascii_lowercase();
    SCHEMES.iter().any(|known| known.as_bytes() == scheme) && target.len() > colon + 1
}

/// The place that a gopher URL names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) item_type: u8,
    pub(crate) selector: Vec<u8>,
    pub(crate) host: Vec<u8>,
    pub(crate) port: u16,
}

/// Takes apart `gopher://host:port/Tselector` (RFC 4266). A menu has fields for that, so every client can
/// follow the link.
pub(crate) fn gopher(url: &[u8]) -> Option<Place> {
    let (scheme, rest) = url.split_at_checked(b"gopher://".len())?;
    if !scheme.eq_ignore_ascii_case(b"gopher://") {
        return None;
    }
    let end = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let colon = authority.iter().rposition(|&byte| byte == b':').filter(|_| !authority.ends_with(b"]"));
    let (host, port) = match colon {
        None => (authority, 70),
        Some(colon) => {
            (&authority[..colon], std::str::from_utf8(&authority[colon + 1..]).ok()?.parse().ok()?)
        }
    };
    let path = path.strip_prefix(b"/").unwrap_or(path);
    let (item_type, selector) = path.split_first().map_or((b'1', &b""[..]), |(first, rest)| (*first, rest));
    let good = !host.is_empty() && item_type.is_ascii_alphanumeric();
    good.then(|| Place { item_type, selector: clean::unescaped(selector), host: host.to_vec(), port })
}

/// The page for a `URL:` selector, by the rules of the proposal that brought the form (Goerzen, 2002): HTML
/// 3.2, a refresh of at most ten seconds, the link in plain sight, nothing loaded.
pub(crate) fn redirect(target: &[u8], output: &mut Output<'_>) -> io::Result<()> {
    let url = clean::html(&clean::url(target));
    let page = [
        &b"<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 3.2//EN\">\r\n<HTML><HEAD>\r\n"[..],
        b"<META HTTP-EQUIV=\"refresh\" CONTENT=\"5;URL=",
        &url,
        b"\">\r\n<TITLE>A link to the web</TITLE>\r\n</HEAD><BODY>\r\n",
        b"<P>This link leads out of gopher. You are taken to it in five seconds; or follow it yourself:</P>\r\n<P><A HREF=\"",
        &url,
        b"\">",
        &url,
        b"</A></P>\r\n</BODY></HTML>\r\n",
    ];
    output.put(&page.concat())?;
    output.flush()
}

/// Whether the line is the first of an HTTP request. A selector `GET /x` without a version is one too,
/// of 1991.
pub(crate) fn is_http(line: &[u8]) -> bool {
    let method = [&b"GET /"[..], b"HEAD /", b"POST /", b"OPTIONS ", b"CONNECT ", b"PUT /"];
    let versioned = line.windows(7).any(|part| part == b" HTTP/1");
    line.starts_with(b"GET /") || (versioned && method.iter().any(|method| line.starts_with(method)))
}

/// The answer to a browser that speaks HTTP to the gopher port: the URL to open with a gopher client.
pub(crate) fn hint(line: &[u8], site: &Site<'_>, output: &mut Output<'_>) -> io::Result<()> {
    let port = if site.port == 70 { String::new() } else { format!(":{}", site.port) };
    let url = clean::html(format!("gopher://{}{port}/", site.host).as_bytes());
    let body = [
        &b"<!DOCTYPE html>\r\n<html><head><title>Gopher, not web</title></head>\r\n"[..],
        b"<body><p>This is a gopher server. Open <a href=\"",
        &url,
        b"\">",
        &url,
        b"</a> with a gopher client, such as lynx.</p></body></html>\r\n",
    ]
    .concat();
    let head = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n",
        body.len()
    );
    output.put(head.as_bytes())?;
    if !line.starts_with(b"HEAD ") {
        output.put(&body)?;
    }
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_schemes_are_followed() {
        for good in ["http://example.org/", "HTTPS://example.org", "mailto:a@example.org", "gemini://x/"] {
            assert!(is_allowed(good.as_bytes()), "{good}");
        }
        for bad in [
            "javascript:alert(1)",
            "data:text/html,x",
            "gopher://x/",
            "telnet://x",
            "//x",
            "",
            "http:",
            " http://x",
        ] {
            assert!(!is_allowed(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn a_gopher_url_is_taken_apart() {
        let place = |item_type, selector: &str, host: &str, port| {
            Some(Place { item_type, selector: selector.into(), host: host.into(), port })
        };
        assert_eq!(gopher(b"gopher://a.example"), place(b'1', "", "a.example", 70));
        assert_eq!(gopher(b"GOPHER://a.example:7070/0/a%20b"), place(b'0', "/a b", "a.example", 7070));
        assert_eq!(gopher(b"gopher://[::1]/1/x"), place(b'1', "/x", "[::1]", 70));
        for url in
            [&b"gopher://"[..], b"gopher:///1/x", b"gopher://a:b/", b"http://a/", b"gopher://a/ x", b"goph"]
        {
            assert_eq!(gopher(url), None, "{url:?}");
        }
    }

    #[test]
    fn http_is_known_by_method_and_version() {
        assert!(is_http(b"GET / HTTP/1.1") && is_http(b"HEAD /x HTTP/1.0") && is_http(b"GET /"));
        assert!(!is_http(b"GETTING STARTED.txt") && !is_http(b"POST /notes") && !is_http(b"/GET /"));
    }
}
