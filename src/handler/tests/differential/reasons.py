"""Why an answer differs from that of gophernicus: the reasons of docs/gopher-differences.md, told apart by the bytes."""

import difflib
import re
import urllib.parse

# The headings of docs/gopher-differences.md.
INTENDED = {
    "text-nul", "text-cr", "text-long-line", "text-charset", "type", "exec-off", "drawing", "width",
    "listing", "link-host", "link-web", "info-line", "color", "named-map", "hidden-map", "stray-tab",
    "other-menu", "heading", "command", "tab", "codepage", "link-port", "link-gopher", "link-relative",
}

LINE_BYTES = 1022


def wire_text(content):
    """A text as it must arrive: CR-LF at line ends, and one at the end."""
    wire = re.sub(rb"\r?\n", b"\r\n", content)
    return wire if not wire or wire.endswith(b"\r\n") else wire + b"\r\n"


def menu(answer):
    """The lines of a whole menu without its end, each as four fields; None for anything else."""
    if not answer.endswith(b".\r\n"):
        return None
    lines = [line.split(b"\t") for line in answer[:-3].split(b"\r\n")[:-1]]
    return lines if all(len(line) >= 4 for line in lines) and answer[:1] != b"3" else None


def of_file(content, kind, ours, theirs):
    if kind == "0" and theirs == content:
        return "type", "sent as it is"
    if b"\0" in content:
        return ("text-nul" if kind == "0" else "type", "")
    if kind != "0":
        return ("type", f"{len(ours)} and {len(theirs)} bytes") if theirs != ours else ("unknown", "")
    if re.search(rb"\r(?!\n)", content):
        return "text-cr", ""
    if max(map(len, content.split(b"\n"))) >= LINE_BYTES:
        return "text-long-line", ""
    if not is_utf8(content):
        return "text-charset", ""
    return "unknown", f"{len(ours)} and {len(theirs)} bytes"


def is_utf8(content):
    try:
        content.decode("utf-8")
        return True
    except UnicodeDecodeError:
        return False


def of_menu(ours, theirs, source, has_map, raw):
    """The differences of two menus, each line's own."""
    found = []
    if has_map and raw == wire_text(source):
        return [("named-map", "")]
    if ours and not theirs:
        return [("unknown", raw[:100])]
    footer = [number for number, line in enumerate(theirs) if line[0].startswith(b"i____")]
    if footer:
        theirs = theirs[: footer[-1]]
    if not has_map:
        return listings(ours, theirs)
    a, b = [key(line) for line in ours], [key(line) for line in theirs]
    for what, a1, a2, b1, b2 in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if what == "equal":
            found += [reason for pair in zip(ours[a1:a2], theirs[b1:b2]) for reason in line(*pair)]
            continue
        # Where blank lines stand tells nothing: census.py counts what is lost.
        mine, other = ([line_ for line_ in lines if line_[0] != b"i"] for lines in (ours[a1:a2], theirs[b1:b2]))
        found += [(only_ours(line_), ("only ours", line_)) for line_ in mine]
        found += [(only_theirs(line_, ours[a1:a2]), ("only theirs", line_)) for line_ in other]
    return found


# Lines that gophernicus takes for directives. An i is before them here.
DRAWN = re.compile(rb"i[=*.~%:!-]")


def only_ours(line):
    """Why gophernicus has no such line."""
    if line[0] == PROGRAM:
        return "command"
    if line[0][:2] == b"i#" or line[1] == b"TITLE":
        return "heading"
    if DRAWN.match(line[0]):
        return "drawing"
    if re.search(rb"  \d{4}-\d\d-\d\d +(-|[0-9.]+ .?B)$", line[0]):
        return "listing"
    if line[0][:1] == b"i" and b"  " in line[0]:
        return "tab"
    if not line[0].strip(b"i "):
        return "stray-tab"
    return "codepage" if any(byte > 0x7F for byte in line[0]) else "unknown"


def only_theirs(line, ours):
    """Why we have no such line; there is often one of ours in its place."""
    if line[0] == b"":
        return "stray-tab"
    if any(other[0] == PROGRAM for other in ours):
        return "command"
    if any(b"  " in other[0] or other[0][:1] == b"i" for other in ours) and line[0][:1] != b"i":
        return "tab"
    if not is_utf8(line[0]) or any(byte > 0x7F for byte in line[0]):
        return "codepage"
    return "unknown"


PROGRAM = b"i(this part is a program; programs are off)"


def key(line):
    """By what lines are found to be the same one: the type and the name, as far as neither server changes it."""
    return re.sub(rb"\x1b\[[0-9;]*m", b"", line[0])[:60]


def line(ours, theirs):
    """One line of both."""
    if ours == theirs:
        return []
    found = []
    if ours[0] != theirs[0]:
        if b"\x1b" in theirs[0]:
            found.append(("color", ""))
        elif ours[0].startswith(theirs[0]):
            found.append(("width", ""))
        elif not is_utf8(ours[0]):
            found.append(("text-charset", ""))
        else:
            found.append(("unknown", (ours, theirs)))
    if ours[1:] != theirs[1:]:
        found.append((of_link(ours, theirs), (ours, theirs)))
    return found


def of_link(ours, theirs):
    """Two lines of one name that lead to different places."""
    if ours[0][:1] == b"i":
        return "info-line"
    if theirs[2] in (b"", b"+") and ours[2] == b"localhost" and ours[1].endswith(theirs[1]):
        return "link-host"
    if ours[0][:1] == b"h" and (b"//" in theirs[1] or b":" in theirs[1]):
        return "link-web"
    if re.search(rb"(^|/)\.\.?(/|$)|//", theirs[1]) and ours[2:] == theirs[2:]:
        return "link-relative"
    if b"gopher://" in theirs[1]:
        return "link-gopher"
    if ours[1:3] == theirs[1:3] and ours[3] == b"70":
        return "link-port"
    return "unknown"


def decoded(selector):
    selector = re.sub(rb"#([0-7]{3})", lambda octal: bytes([int(octal.group(1), 8)]), selector)
    return urllib.parse.unquote_to_bytes(selector).rstrip(b"/")


def listings(ours, theirs):
    """Two listings must lead to the same, whatever they look like."""
    def leads(lines):
        return {decoded(line[1]) for line in lines if line[0][:1] not in b"i3"}
    a, b = leads(ours), leads(theirs)
    if a == b:
        return [("listing", "")]
    return [("unknown", f"only ours {sorted(a - b)[:3]}, only theirs {sorted(b - a)[:3]}")]
