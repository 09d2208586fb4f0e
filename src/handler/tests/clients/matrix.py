"""Every gopher client at hand × what readers do with one, for real against a running `dayfly serve`.

usage: matrix.py DAYFLY SERVICE [CLIENT=PATH...]

Prints a table and ends with 1 if a cell is not as it must be, or a client that was named is missing.
"""

import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from terminal import drive

TASKS = ["menu", "text", "binary", "search", "error", "web"]
WEB = "https://example.org/matrix"
MENU = f"!Client matrix\n0A text\ttext.txt\n9A binary\tbinary.bin\n7Search\t/search\n0Gone\tgone.txt\nhA web page\tURL:{WEB}\n"
TEXT = "first\n.\n..dots\nTEXT-MARK-42\n"

# Text that must be on the screen.
SHOWN = {
    "menu": r"Client matrix(.|\n)*A text(.|\n)*A web page",
    "text": r"first(.|\n)*\.\.dots(.|\n)*TEXT-MARK-42",
    "search": r"A text",
    "error": r"Not found",
    # One of them names the port.
    "web": r"https://example\.org(:443)?/matrix",
}


class Site:
    """A content tree, `dayfly serve` in front of it, and a home for the clients."""

    def __init__(self, dayfly, service):
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="gopher-clients."))
        self.top.chmod(0o755)
        self.tree, self.home = self.top / "tree", self.top / "home"
        self.tree.mkdir()
        self.binary = os.urandom(100_000)
        for name, content in [("gophermap", MENU.encode()), ("text.txt", TEXT.encode()), ("binary.bin", self.binary)]:
            (self.tree / name).write_bytes(content)
            (self.tree / name).chmod(0o644)
        self.opened = self.top / "opened"
        self.openers()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = open(self.top / "log", "wb")
        self.server = subprocess.Popen(
            [dayfly, "serve", "--service", service, "--bind-ro", f"{self.tree}:/srv/gopher",
             "--listen", f"127.0.0.1:{self.port}"], stdout=self.log, stderr=self.log)
        self.wait()

    def openers(self):
        """Programs that clients start for a web page: they write down what they were started with."""
        programs = self.top / "bin"
        programs.mkdir()
        for name in ["xdg-open", "www-browser", "x-www-browser", "firefox", "lynx-for-clients"]:
            (programs / name).write_text(f'#!/bin/sh\necho "$*" >>"{self.opened}"\n')
            (programs / name).chmod(0o755)
        self.environment = {
            "PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(self.home), "TERM": "xterm", "LANG": "C.UTF-8",
            "PAGER": "cat", "XDG_CONFIG_HOME": str(self.home), "XDG_DOWNLOAD_DIR": str(self.home),
        }

    def wait(self):
        for _ in range(100):
            if self.server.poll() is not None:
                break
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        sys.exit("dayfly does not serve:\n" + (self.top / "log").read_text())

    def fresh(self):
        """An empty home for the next client."""
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir()
        self.opened.unlink(missing_ok=True)

    def url(self, path):
        return f"gopher://127.0.0.1:{self.port}/{path}"

    def saved(self):
        """Whether any file below the home is the binary."""
        files = [file for file in self.home.rglob("*") if file.is_file()]
        return any(file.read_bytes() == self.binary for file in files)

    def close(self):
        self.server.terminate()
        self.server.wait()
        self.log.close()
        shutil.rmtree(self.top)


PATHS = {"menu": "", "text": "0/text.txt", "binary": "9/binary.bin", "search": "7/search%09TEXT-MARK-42",
         "error": "0/gone.txt", "web": f"h/URL:{WEB}"}


def command(site, *argv, save=None, feed=None):
    """A client that needs no terminal; its output may be the file itself."""
    done = subprocess.run(argv, input=feed, capture_output=True, timeout=30, env=site.environment, cwd=site.home)
    if save:
        (site.home / save).write_bytes(done.stdout)
    return done.stdout.decode("utf-8", "replace")


def curl(site, path, task):
    return command(site, path, "-s", site.url(PATHS[task]), save="saved" if task == "binary" else None)


def lynx(site, path, task):
    asked = "7/search?TEXT-MARK-42" if task == "search" else PATHS[task].replace("h/URL", "hURL")
    how = "-source" if task in ("binary", "web") else "-dump"
    return command(site, path, how, site.url(asked), save="saved" if task == "binary" else None)


def w3m(site, path, task):
    if task == "binary":
        # A name is proposed: Ctrl-U clears it.
        steps = [("(?i)save", f"\x15{site.home}/saved\r"), ("complete", "")]
        return drive([path, site.url(PATHS[task])], steps, site.home, site.environment)
    asked = "7/search?TEXT-MARK-42" if task == "search" else PATHS[task]
    return command(site, path, "-dump", site.url(asked))


def vf1(site, path, task):
    then = {"binary": f"save {site.home}/saved\n", "search": "TEXT-MARK-42\n", "text": "cat\n", "error": "cat\n"}
    asked = {"search": "7/search", "web": ""}.get(task, PATHS[task])
    lines = f"go {site.url(asked)}\n" + ("5\n" if task == "web" else then.get(task, ""))
    return command(site, path, feed=(lines + "quit\n").encode())


def phetch(site, path, task):
    if task == "web":
        return drive([path, site.url("")], [("A web page", "5"), ("", "\r"), ("external", "y")], site.home,
                     site.environment)
    if task == "binary":
        steps = [("A binary", "2"), ("", "\r"), ("(?i)download|save", "\r")]
        return drive([path, "-M", site.url("")], steps, site.home, site.environment)
    asked = "7/search?TEXT-MARK-42" if task == "search" else PATHS[task]
    return drive([path, "-p", site.url(asked)], [], site.home, site.environment)


def gopher(site, path, task):
    (site.home / ".gopherrc").touch()
    where = ["127.0.0.1", str(site.port)]
    if task in ("menu", "web"):
        steps = [("Main menu", "\r")]
        if task == "web":
            steps += [("A web page", "6"), ("item number", "\r"), ("", "=")]
        return drive([path, *where], steps, site.home, site.environment)
    kind, selector, steps = {
        "text": ("0", "/text.txt", []), "error": ("0", "/gone.txt", []),
        "binary": ("9", "/binary.bin", [("Save in file", "\r")]),
        "search": ("7", "/search", [("Words to search", "TEXT-MARK-42\r")]),
    }[task]
    return drive([path, "-T", kind, "-p", selector, *where], steps, site.home, site.environment)


def bombadillo(site, path, task):
    if task == "binary":
        # It saves to the home of the user database unless told otherwise.
        setting = f"set savelocation {site.home}\r"
        steps = [("A binary", ":"), (":", setting), ("savelocation is now", "2"), ("2", "\r"), ("saved", "")]
        return drive([path, site.url("")], steps, site.home, site.environment)
    if task == "web":
        # It hands web pages on only when told to, and where there is a screen.
        steps = [("A web page", ":"), (":", "set webmode gui\r"), ("webmode is now", "5"), ("5", "\r")]
        return drive([path, site.url("")], steps, site.home, {**site.environment, "DISPLAY": ":0"})
    return drive([path, site.url(PATHS[task])], [], site.home, site.environment)


def sacc(site, path, task):
    if task == "web":
        return drive([path, site.url("")], [("A web page", "jjjjjl")], site.home, site.environment)
    steps = {"binary": [("Download", "\r")], "search": [("search string", "\r")]}.get(task, [])
    return drive([path, site.url(PATHS[task])], steps, site.home, site.environment)


CLIENTS = {"lynx": lynx, "w3m": w3m, "curl": curl, "gopher": gopher, "bombadillo": bombadillo, "sacc": sacc, "vf1": vf1,
           "phetch": phetch}


def cell(site, client, path, task):
    """Whether the client does it, and what was seen if not."""
    site.fresh()
    seen = CLIENTS[client](site, path, task)
    if task == "binary":
        return site.saved(), seen
    opened = site.opened.read_text() if site.opened.exists() else ""
    return re.search(SHOWN[task], seen + opened) is not None, seen + opened


def main():
    dayfly, service, *named = sys.argv[1:]
    paths = {client: shutil.which(client) for client in CLIENTS}
    for each in named:
        client, path = each.split("=", 1)
        paths[client] = path
    site = Site(dayfly, service)
    failures = []
    try:
        print(f"{'':<12}" + "".join(f"{task:<9}" for task in TASKS))
        for client, path in paths.items():
            if not path:
                print(f"{client:<12}not installed")
                continue
            row = ""
            for task in TASKS:
                good, seen = cell(site, client, path, task)
                row += f"{'yes' if good else 'NO':<9}"
                if not good:
                    failures.append(f"{client} × {task}:\n{seen[-800:]}")
            print(f"{client:<12}{row}", flush=True)
    finally:
        site.close()
    print("\n\n".join(failures))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
