"""The handler, gophernicus and pygopherd side by side over whole sites: every difference must be one that is meant.

usage: differential.py HANDLER GOPHERNICUS PYGOPHERD DIR...

Every directory and file of each DIR is asked of all, and our links are followed. Prints what each server loses, and ends with 1
where ours loses or changes a page, a line or a file, a link that we made cannot be fetched, or a difference from gophernicus
has no reason that docs/gopher-differences.md gives. PYGOPHERD may be empty.
"""

import collections
import concurrent.futures
import os
import re
import subprocess
import sys
import urllib.parse

import census
import reasons
from peers import Gophernicus, Pygopherd, ask


class Site:
    def __init__(self, handler, gophernicus, pygopherd, top):
        self.top = os.fsencode(os.path.realpath(top))
        self.handler = handler
        self.ours = [handler, "--host", "localhost", "--port", "70", "--root", self.top]
        self.theirs = Gophernicus(gophernicus, self.top)
        self.others = [Pygopherd(pygopherd, self.top)] if pygopherd else []
        self.same, self.failures, self.asked = 0, [], 0
        self.found = collections.defaultdict(list)
        self.count = collections.Counter()

    def published(self):
        """What readers may have: no dotfiles, no maps, nothing that is not for everybody, by its path from the top."""
        for directory, names, files in os.walk(self.top):
            names[:] = sorted(n for n in names if not n.startswith(b".") and n != b"cgi-bin")
            for name in [b"", *sorted(files)]:
                path = os.path.join(directory, name)
                served = os.path.exists(path) and os.stat(path).st_mode & 4
                if served and not name.startswith(b".") and not os.path.islink(path):
                    yield path.rstrip(b"/"), name == b""

    def run(self):
        listed = set()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for links in pool.map(lambda entry: self.compare(*entry), list(self.published())):
                listed |= links
            for failure in pool.map(self.fetch, sorted(listed)):
                self.failures += failure
                self.count["dead links of ours"] += len(failure)
        for server in [self.theirs, *self.others]:
            server.close()
        lint = subprocess.run([self.handler, "lint", self.top], capture_output=True, check=False)
        self.findings = lint.stdout.splitlines()

    def selector(self, path):
        return urllib.parse.quote(path[len(self.top):] or b"/", safe="/-_.~+,@=:!$&'()*;").encode()

    def compare(self, path, is_directory):
        """One request of both. Links to what we listed come back, to be followed."""
        selector = self.selector(path)
        ours, kind = ask(self.ours, selector)
        theirs = self.theirs.ask(selector)
        # pygopherd decodes nothing: it is asked by the name itself.
        others = [(server.name, server.ask(path[len(self.top):] or b"/")) for server in self.others]
        self.asked += 1
        if is_directory or path.endswith(b".gophermap"):
            self.count["pages"] += 1
            answers = [("ours", ours), (self.theirs.name, theirs), *others]
            self.lines(path, is_directory, selector, answers)
            return self.menus(path, is_directory, selector, ours, theirs)
        if path.endswith((b".gph", b".gmi", b".gemini")):
            self.count["pages"] += 1
            self.judge(selector, [("other-menu", "")])
            if reasons.menu(ours) is None:
                self.failures.append(f"{selector}: no whole menu: {ours[:80]}")
            return set()
        if path.endswith(b"/gophermap"):
            if not ours.startswith(b"3"):
                self.failures.append(f"{selector}: the source of a map")
            return set()
        with open(path, "rb") as file:
            content = file.read()
        self.count["files"] += 1
        for name, answer in [("ours", ours), (self.theirs.name, theirs), *others]:
            self.count[f"altered {name}"] += census.altered(content, answer)
        wanted = reasons.wire_text(content) if kind == "0" else content
        if ours != wanted:
            self.failures.append(f"{selector}: not as it was uploaded")
        self.judge(selector, [] if ours == theirs else [reasons.of_file(content, kind, ours, theirs)])
        return set()

    def lines(self, path, is_directory, selector, answers):
        """Which lines of a map are in no server's page."""
        source = path + b"/gophermap" if is_directory else path
        if not os.path.exists(source):
            return
        text = open(source, "rb").read()
        if text.startswith((b"#!", b"\x7fELF")):
            return
        directory = os.path.dirname(source)
        wanted, comments = census.expected(text, lambda name: os.path.exists(os.path.join(directory, name)))
        self.count["lines"] += len(wanted)
        ours = answers[0][1]
        self.count["comments"] += len(census.lost([comment for comment in comments if comment], ours))
        for name, answer in answers:
            lost = census.lost(wanted, answer)
            self.count[f"lost {name}"] += len(lost)
            if name == "ours" and lost:
                self.failures.append(f"{selector}: {len(lost)} lines are lost: {lost[:3]}")

    def menus(self, path, is_directory, selector, ours, theirs):
        lines = reasons.menu(ours)
        if lines is None:
            program = [p for p in (path, path + b"/gophermap") if os.path.isfile(p) and is_program(p)]
            if ours.startswith(b"3") and program:
                self.judge(selector, [("exec-off", "")])
            else:
                self.failures.append(f"{selector}: no whole menu: {ours[:80]}")
            return set()
        source = path + b"/gophermap" if is_directory else path
        has_map = os.path.exists(source)
        if is_directory and not has_map and os.path.exists(path + b"/index.gph"):
            self.judge(selector, [("other-menu", "")])
            return set()
        if is_directory and not has_map and os.path.exists(path + b"/.gophermap"):
            self.judge(selector, [("hidden-map", "")])
            return set()
        text = open(source, "rb").read() if has_map else b""
        # We link to no program's page, as programs are off.
        theirs_ = [line for line in reasons.menu(theirs) or [] if has_map or not self.is_program_page(line[1])]
        self.judge(selector, reasons.of_menu(lines, theirs_, text, has_map, theirs))
        own = {line[1] for line in lines if line[0][:1] not in b"i37hT8" and line[2:] == [b"localhost", b"70"]}
        return own if not has_map else {selector for selector in own if self.is_here(selector)}

    def is_here(self, selector):
        """Whether a link of a map names something of the tree that is published: then it must lead there."""
        path = urllib.parse.unquote_to_bytes(selector).strip(b"/")
        parts = path.split(b"/")
        whole = os.path.join(self.top, path)
        hidden = any(part.startswith(b".") or part == b"cgi-bin" for part in parts if part) or parts[-1] == b"gophermap"
        inside = os.path.realpath(whole).startswith(self.top)
        if hidden or not inside or not os.path.exists(whole) or not os.stat(whole).st_mode & 4:
            return False
        return not self.is_program_page(selector)

    def is_program_page(self, selector):
        path = urllib.parse.unquote_to_bytes(selector).strip(b"/")
        page = os.path.join(self.top, path, b"gophermap")
        return os.path.isfile(page) and is_program(page)

    def fetch(self, selector):
        """A link that is listed, or names what is here, must lead somewhere."""
        _, kind = ask(self.ours, selector)
        return [f"{selector}: linked, but cannot be fetched"] if kind == "3" else []

    def judge(self, selector, differences):
        if not differences:
            self.same += 1
        for reason, detail in differences:
            self.found[reason].append((selector, detail))


def is_program(path):
    with open(path, "rb") as file:
        return file.read(4).startswith((b"#!", b"\x7fELF"))


def kind_of(finding):
    """A lint finding without its file and its operands."""
    what = finding.decode("utf-8", "replace").split(": ", 1)[-1]
    return re.sub(r'"[^"]*"', "…", re.sub(r"\d+", "N", what))


def main():
    handler, gophernicus, pygopherd, *tops = sys.argv[1:]
    failed = False
    kinds, rows = collections.Counter(), []
    for top in tops:
        site = Site(handler, gophernicus, pygopherd, top)
        site.run()
        print(f"{top}: {site.asked} requests, {site.same} answered alike")
        for reason, cases in sorted(site.found.items(), key=lambda entry: -len(entry[1])):
            known = reason in reasons.INTENDED
            failed |= not known
            print(f"  {len(cases):>5}  {reason}" + ("" if known else "   WITHOUT A REASON"))
            for selector, detail in [] if known and reason not in os.environ.get("SHOW", "") else cases[:40]:
                print(f"         {selector.decode('utf-8', 'replace')}: {detail}")
        for failure in site.failures:
            print(f"  FAILURE {failure}")
        failed |= bool(site.failures)
        kinds.update(kind_of(finding) for finding in site.findings)
        rows.append((os.path.basename(top.rstrip("/")), site.count + collections.Counter(findings=len(site.findings))))
    table(rows, pygopherd)
    print("\nlint findings by kind")
    for kind, count in kinds.most_common():
        print(f"  {count:>5}  {kind}")
    sys.exit(1 if failed else 0)


def table(rows, pygopherd):
    """What each server loses, site by site and together."""
    servers = ["ours", "gophernicus"] + (["pygopherd"] if pygopherd else [])
    columns = ["pages", "lines", "files", *[f"altered {name}" for name in servers], *[f"lost {name}" for name in servers],
               "dead links of ours", "comments", "findings"]
    print("\nsite | " + " | ".join(columns))
    for name, count in [*rows, ("all", sum((count for _, count in rows), collections.Counter()))]:
        print(f"{name} | " + " | ".join(str(count[column]) for column in columns))


if __name__ == "__main__":
    main()
