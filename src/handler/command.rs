//! Telling a command from a drawing, in the lines of a map that begin with `=` and name no map.
//!
//! gophernicus runs such a line in a shell, so it may hold a password or the address of an internal
//! host. Nothing of it may be shown. Real menus also have such lines as rules and headings, and those
//! must be shown.

/// Whether the rest of a line after its `=` could be meant as a command.
pub(crate) fn could_be(rest: &[u8]) -> bool {
    let Some(&first) = rest.first() else { return false };
    if first.is_ascii_whitespace() {
        return looks_like_shell(rest.trim_ascii());
    }
    let starts = first.is_ascii_alphanumeric() || b"/._~$\"'`({\\".contains(&first);
    starts && has_word(rest) && !is_heading(rest)
}

/// A command has a name. The one-letter ones that exist are lower case: `w`.
fn has_word(rest: &[u8]) -> bool {
    let pairs = rest.windows(2).any(|pair| pair.iter().all(u8::is_ascii_alphanumeric));
    pairs || matches!(rest, [b'a'..=b'z'])
}

/// `=Welcome=`, `=news=`, `=O=O=`: closed by another `=`, and either one word or written like a title. A
/// command can end with `=` too, as base64 does, but has blanks and begins with a small letter.
fn is_heading(rest: &[u8]) -> bool {
    let Some(inner) = rest.strip_suffix(b"=") else { return false };
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b" =,.!?&-".contains(byte);
    let one_word =
        !inner.contains(&b' ') && inner.iter().all(|byte| *byte == b'=' || byte.is_ascii_alphanumeric());
    let title = inner.first().is_some_and(u8::is_ascii_uppercase) && !inner.contains(&b'=');
    inner.iter().all(plain) && (one_word || title)
}

/// `= curl -s http://…`: a blank after the `=` is as good as none to gophernicus, and usual in headings.
fn looks_like_shell(text: &[u8]) -> bool {
    let name = text.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    let is_name = name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"/._+-".contains(byte));
    let small = name.first().is_some_and(|&byte| byte.is_ascii_lowercase() || byte == b'/' || byte == b'.');
    let has = |mark: &[u8]| text.windows(mark.len()).any(|part| part == mark);
    let marks = [&b" -"[..], b"|", b"$", b"`", b"://", b"; ", b"&&", b" /", b" >", b" <"];
    is_name
        && small
        && has_word(text)
        && (name.contains(&b'/') || marks.iter().any(|mark| has(mark)))
        && !text.ends_with(b"=")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_known() {
        for line in [
            "curl -s http://10.0.0.1/x?key=abc",
            "curl -u a:c2VjcmV0= http://x/",
            "uptime",
            "w",
            "date +%F",
            "/usr/bin/figlet -f mono12 \"Thunix\"",
            "./counter.sh",
            "../bin/x",
            "~/bin/x",
            ".hidden/x",
            "API_KEY=abc curl x",
            "$HOME/bin/x",
            "$(cat /etc/passwd)",
            "`id`",
            "\"/opt/my prog\" -x",
            "(cd /srv; ls)",
            "{ date; }",
            "echo \"a\tb\"",
            "/bin/sed 's/,/\t/g' /var/x",
            "cat key=",
            " curl -s http://10.0.0.1/",
            " /usr/bin/uptime",
            "footer.gophermap",
        ] {
            assert!(could_be(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn drawings_headings_and_links_of_gemtext_are_no_commands() {
        for line in [
            "",
            "==== News ====",
            "-=-=-=-",
            " Title =",
            " Title",
            " a list of things",
            "> /x A link",
            "> gemini://example.org/ A link",
            "Welcome=",
            "Hello, World!=",
            "news=",
            "O=O=",
            "o=o",
            "~~~=",
            "(o_o)=",
            "._.=",
            ")",
            "*=*",
            "¡Hola",
            "^.^=",
        ] {
            assert!(!could_be(line.as_bytes()), "{line}");
        }
    }
}
