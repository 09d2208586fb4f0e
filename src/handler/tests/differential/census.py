"""What of a site reaches its readers: the lines of its maps, and the bytes of its files."""

import re

import reasons

# Directives of gophernicus in their exact form. A hidden name is one if the file is there.
DIRECTIVE = re.compile(rb"[*.~%]\s*|%FILES%\s*|%LATEST.*%\s*|:[A-Za-z0-9]+=.\s*", re.I)

COMMENT = re.compile(rb"#(\s.*)?")


def reduced(text):
    """Letters and digits, and drawn characters: what is left when blanks, colours and old bytes are."""
    text = re.sub(rb"\x1b\[[0-9;]*m", b"", text)
    return re.sub(rb"[^!-~]", b"", text)


def expected(source, exists):
    """The lines of a map that readers should see, and those that may be comments."""
    shown, comments = [], []
    source = source.removeprefix(b"\xef\xbb\xbf")
    titled = re.search(rb"(?m)^![^!]", source)
    for number, line in enumerate(source.replace(b"\r\n", b"\n").split(b"\n")):
        if re.fullmatch(rb"[.]|\*\s*", line):
            break
        if not line.strip() or DIRECTIVE.fullmatch(line):
            continue
        if COMMENT.fullmatch(line) or (line[:1] == b"#" and b"\t" in line):
            comments.append(reduced(line[1:]))
        elif line[:1] == b"-" and exists(line[1:].strip()):
            pass
        elif line[:1] == b"=" and line[1:2] not in (b"=", b""):
            pass  # An include, a command, or a drawing: judged by the tests.
        elif b"\t" in line and line[:1] != b"\t" and line[0] > 32:
            shown.append(reduced(line.split(b"\t")[0][1:]))
        else:
            shown.append(reduced(line.lstrip(b"!") if titled else line))
    return [line for line in shown if line], comments


def lost(wanted, answer):
    """The lines that are nowhere in a menu, whatever blanks and colours are in them."""
    seen = reduced(b"\n".join(line.split(b"\t")[0] for line in answer.split(b"\r\n")))
    whole = reduced(answer)
    return [line for line in wanted if line not in seen and line not in whole]


def altered(content, answer):
    """Whether a file has arrived as anything but itself, or itself with other line ends if it is a text."""
    if answer == content:
        return False
    if b"\0" in content:
        return True
    return reasons.wire_text(answer) != reasons.wire_text(content)
