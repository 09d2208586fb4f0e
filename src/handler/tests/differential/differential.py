"""The handler and gophernicus side by side over whole sites: every difference must be one that is meant.

usage: differential.py HANDLER GOPHERNICUS DIR...

Every directory and file of each DIR is asked of both, and our links are followed. Ends with 1 where a page or a text is lost or
changed, a listed file cannot be fetched, or a difference has no reason that docs/gopher-differences.md gives.
"""

import collections
import concurrent.futures
import os
import re
import subprocess
import sys
import urllib.parse

import reasons

OPTIONS = ["-h", "localhost", "-p", "70", "-nv", "-nm", "-nx", "-ns", "-nt", "-nu"]


def ask(argv, selector):
    done = subprocess.run(argv, input=selector + b"\r\n", capture_output=True, timeout=60)
    kind = re.search(rb"type=(.) ", done.stderr)
    return done.stdout, kind.group(1).decode() if kind else "-"


class Site:
    def __init__(self, handler, gophernicus, top):
        self.top = os.fsencode(os.path.realpath(top))
        self.ours = [handler, "--host", "localhost", "--port", "70", "--root", self.top]
        # Its maps may name commands: it gets a user that owns nothing.
        self.theirs = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", gophernicus, *OPTIONS,
                       "-r", self.top]
        self.same, self.failures, self.asked = 0, [], 0
        self.found = collections.defaultdict(list)

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

    def selector(self, path):
        return urllib.parse.quote(path[len(self.top):] or b"/", safe="/-_.~+,@=:!$&'()*;").encode()

    def compare(self, path, is_directory):
        """One request of both. Links to what we listed come back, to be followed."""
        selector = self.selector(path)
        ours, kind = ask(self.ours, selector)
        theirs, _ = ask(self.theirs, selector)
        self.asked += 1
        if is_directory or path.endswith(b".gophermap"):
            return self.menus(path, is_directory, selector, ours, theirs)
        if path.endswith(b"/gophermap"):
            if not ours.startswith(b"3"):
                self.failures.append(f"{selector}: the source of a map")
            return set()
        with open(path, "rb") as file:
            content = file.read()
        wanted = reasons.wire_text(content) if kind == "0" else content
        if ours != wanted:
            self.failures.append(f"{selector}: not as it was uploaded")
        self.judge(selector, [] if ours == theirs else [reasons.of_file(content, kind, ours, theirs)])
        return set()

    def menus(self, path, is_directory, selector, ours, theirs):
        lines = reasons.menu(ours)
        if lines is None:
            program = [p for p in (path, path + b"/gophermap") if os.path.isfile(p) and os.stat(p).st_mode & 1]
            if ours.startswith(b"3") and program:
                self.judge(selector, [("exec-off", "")])
            else:
                self.failures.append(f"{selector}: no whole menu: {ours[:80]}")
            return set()
        source = path + b"/gophermap" if is_directory else path
        has_map = os.path.exists(source)
        if is_directory and not has_map and os.path.exists(path + b"/.gophermap"):
            self.judge(selector, [("hidden-map", "")])
            return set()
        text = open(source, "rb").read() if has_map else b""
        self.judge(selector, reasons.of_menu(lines, reasons.menu(theirs) or [], text, has_map, theirs))
        if has_map and not re.search(rb"(?m)^(\*|%FILES%)\r?$", text):
            return set()
        return {line[1] for line in lines if line[0][:1] not in b"i3h" and line[2:] == [b"localhost", b"70"]
                and not line[0].startswith(b"7")} if not has_map else set()

    def fetch(self, selector):
        """A link of a listing must lead somewhere."""
        bytes_, kind = ask(self.ours, selector)
        return [f"{selector}: listed, but cannot be fetched"] if kind == "3" else []

    def judge(self, selector, differences):
        if not differences:
            self.same += 1
        for reason, detail in differences:
            self.found[reason].append((selector, detail))


def main():
    handler, gophernicus, *tops = sys.argv[1:]
    failed = False
    for top in tops:
        site = Site(handler, gophernicus, top)
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
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
