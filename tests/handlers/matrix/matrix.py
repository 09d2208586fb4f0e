"""Debian's programs, unmodified, as handlers: each is learned over one session, then has the same session under what was learned.

usage: matrix.py DAYFLY TREE [ROW...]

TREE is the template that scripts/handlers makes. Prints a table and ends with 1 if a row fails.
"""

import dataclasses
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Callable

DAYFLY, TREE = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
KEYS = TREE.parent / "keys"
ROUNDS = 20
FILES = 1000


def ask(port, request, half_close=True):
    """Connects, sends, half-closes and reads everything."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(request)
        if half_close:
            client.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := client.recv(65536):
            answer += piece
        return answer


def wanted(answer, pattern):
    assert re.search(pattern, answer), f"{pattern!r} is not in {answer[:500]!r}"


def in_tree(*words):
    """A client of the tree, started with its own loader and libraries."""
    libraries = ":".join(str(TREE / path) for path in ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"])
    return [str(TREE / "lib64/ld-linux-x86-64.so.2"), "--library-path", libraries, str(TREE / words[0]), *words[1:]]


def run(words, **options):
    done = subprocess.run(words, capture_output=True, timeout=120, **options)
    assert done.returncode == 0, f"{words}: {done.returncode}: {done.stderr.decode(errors='replace')[-600:]}"
    return done.stdout


def pull(port, work):
    run(in_tree("usr/bin/rsync", "-r", f"rsync://127.0.0.1:{port}/files/", str(work / "pulled")))
    found = list((work / "pulled").iterdir())
    assert len(found) == FILES, f"{len(found)} files"
    shutil.rmtree(work / "pulled")


def push(port, work):
    (work / "in" / "note").unlink(missing_ok=True)
    run(in_tree("usr/bin/rsync", "-r", str(TREE / "srv/www/index.html"), f"rsync://127.0.0.1:{port}/in/note"))
    assert (work / "in" / "note").read_bytes() == (TREE / "srv/www/index.html").read_bytes()


def clone(port, work):
    run(["git", "clone", "--quiet", f"git://127.0.0.1:{port}/repo.git", str(work / "clone")])
    assert (work / "clone" / "big").stat().st_size == 10_000_000
    shutil.rmtree(work / "clone")


def login(port, work):
    options = ["StrictHostKeyChecking=no", f"UserKnownHostsFile={work}/hosts", "BatchMode=yes", "LogLevel=ERROR"]
    words = [word for option in options for word in ("-o", option)]
    said = run(["ssh", "-F", "none", "-T", "-p", str(port), "-i", str(KEYS / "user"), *words, "handler@127.0.0.1", "cat; echo there"],
               input=b"here\n")
    assert said == b"here\nthere\n", said


def page(port, _work):
    wanted(ask(port, b"GET /index.html HTTP/1.0\r\n\r\n"), rb"200 O[Kk](.|\n)*A page")


def says(request, pattern):
    return lambda port, _work: wanted(ask(port, request), pattern)


@dataclasses.dataclass
class Row:
    name: str
    does: str
    command: list
    session: Callable
    quick: Callable = None
    profile: str = "tree"
    options: list = dataclasses.field(default_factory=list)
    # Lines by hand beyond the profile: what a line of the profile answers is not learned.
    lines: str = ""


# The uid of each connection is another one.
NAMED = 'echo "handler:x:$(id -u):$(id -g)::/tmp:/bin/sh" >>/etc/passwd'
POLICY = (b"request=smtpd_access_policy\nprotocol_state=RCPT\nclient_address=127.0.0.1\nclient_name=localhost\nhelo_name=x\n"
          b"sender=a@example.org\nrecipient=b@example.org\ninstance=1\n\n")

ROWS = [
    Row("rsync", "`rsync --daemon`: pulls 1,000 files", ["/usr/bin/rsync", "--daemon", "--config=/etc/rsyncd.conf"], pull,
        quick=says(b"@RSYNCD: 31.0\n#list\n", rb"files")),
    Row("rsync-in", "the same: pushes into a writable bind", ["/usr/bin/rsync", "--daemon", "--config=/etc/rsyncd.conf"], push,
        quick=says(b"@RSYNCD: 31.0\n#list\n", rb"files"), options=["--bind", "IN:/in:4242"]),
    Row("git", "`git daemon --inetd`: clones 10 MB",
        ["/usr/bin/git", "daemon", "--inetd", "--export-all", "--base-path=/srv/git"], clone, options=["--memory", "256M"],
        quick=says(b"0032git-upload-pack /repo.git\0host=127.0.0.1:9418\0", rb"refs/heads")),
    Row("busybox-httpd", "`busybox httpd -i`", ["/bin/busybox", "httpd", "-i", "-h", "/srv/www"], page),
    Row("busybox-sh", "`busybox sh`, pipes and subshells", ["/bin/busybox", "sh"],
        says(b"echo $((6*7)) | (cat; echo there)\n", rb"42\nthere")),
    Row("micro-httpd", "`micro-httpd`", ["/usr/sbin/micro-httpd", "/srv/www"], page),
    Row("python", "Python: socket, sqlite3, asyncio, subprocess", ["/usr/bin/python3", "/srv/app/app.py"],
        says(b"hello\n", rb"python: hello 42")),
    Row("python-alone", "the same without subprocess", ["/usr/bin/python3", "/srv/app/app.py", "--alone"],
        says(b"hello\n", rb"python: hello 42"), profile="python"),
    Row("node", "Node: stream, file, threads", ["/usr/bin/node", "/srv/app/app.js"], says(b"hello\n", rb"node: hello 16"),
        profile="node", options=["--memory", "256M"]),
    Row("perl-policy", "Perl: Postfix policy daemon `postfix-policyd-spf-perl`", ["/usr/sbin/postfix-policyd-spf-perl"],
        says(POLICY, rb"action=.*SPF")),
    Row("lua", "Lua: a file", ["/usr/bin/lua5.4", "/srv/app/app.lua"], says(b"hello\n", rb"lua: hello"), profile="lua"),
    Row("sqlite", "`sqlite3`: a database in /tmp", ["/usr/bin/sqlite3", "/tmp/db"],
        says(b"pragma journal_mode=wal; create table t(a); insert into t values(42); select a from t;\n", rb"42"), profile="sqlite"),
    Row("go", "a static Go program", ["/srv/app/hello-go"], says(b"hello\n", rb"go: hello"), profile="go"),
    Row("efingerd", "`efingerd`", ["/usr/sbin/efingerd", "-n"], says(b"nobody\r\n", rb"\S")),
    Row("sshd", "`sshd -i`, with a name for its user: runs a command",
        ["/bin/sh", "-c", f"{NAMED}; exec /usr/sbin/sshd -i -e -f /etc/ssh/handler"], login,
        options=["--memory", "256M", "--credential", f"host:{KEYS}/host"]),
    Row("cvs", "`cvs pserver`, which must find its user: asks for the version of a repository",
        ["/bin/sh", "-c", f"{NAMED}; exec cvs -f --allow-root=/srv/cvs pserver"],
        lines="remove setuid setgid\nallow setuid setgid # to the ids that it has; the kernel refuses others\n", session=
        says(b"BEGIN AUTH REQUEST\n/srv/cvs\nanonymous\nA\nEND AUTH REQUEST\nRoot /srv/cvs\nversion\n", rb"I LOVE YOU(.|\n)*CVS")),
]


class Server:
    """`dayfly serve` or `learn` of a row."""

    def __init__(self, row, work, words):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = work / "log"
        options = [option.replace("IN:", f"{work}/in:") for option in row.options]
        command = [DAYFLY, *words, "--template", TREE, "--listen", f"127.0.0.1:{self.port}", "--log-format", "json",
                   "--rlimit", "nofile=60", *options, "--", *row.command]
        with open(self.log, "wb") as log, open(work / "report", "wb") as report:
            self.process = subprocess.Popen(command, stdout=report, stderr=log)
        for _ in range(200):
            if b'"listening"' in self.log.read_bytes() or self.process.poll() is not None:
                break
            time.sleep(0.05)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        text = self.log.read_text(errors="replace")
        assert status == 0, f"status {status}\n{text[-2000:]}"
        bad = [line for line in text.splitlines() if '"outcome":"denied"' in line or '"outcome":"refused"' in line]
        assert not bad, bad[0]


def during(row, work, words, what):
    server = Server(row, work, words)
    try:
        result = what(server.port)
    except Exception as error:
        server.process.kill()
        server.process.wait()
        log = server.log.read_text(errors="replace")
        raise AssertionError(f"{error}\n{log[-3000:]}") from error
    server.end()
    return result


def timed(row, port, work):
    quick = row.quick or row.session
    times = []
    for _ in range(ROUNDS):
        time.sleep(0.1)
        began = time.monotonic()
        quick(port, work)
        times.append((time.monotonic() - began) * 1000)
    return statistics.median(times)


def measure(row, work):
    """The lines that were learned, and the median time of a short session, warm."""
    learned = work / "learned.profile"
    if row.lines:
        learned.write_text(f"arch {os.uname().machine}\ninclude {row.profile}\n{row.lines}")
    during(row, work, ["learn", "--output", learned, "--profile", row.profile], lambda port: row.session(port, work))
    lines = [line.split(" # ")[0] for line in learned.read_text().splitlines() if line.startswith("allow ")]

    def again(port):
        row.session(port, work)
        return timed(row, port, work)

    return lines, during(row, work, ["serve", "--profile", learned, "--warm", "4"], again)


def main():
    names = sys.argv[3:]
    failed = False
    print("| handler | profile | lines beyond it | short session, warm, p50 |\n|---|---|---|---|")
    for row in ROWS:
        if names and row.name not in names:
            continue
        with tempfile.TemporaryDirectory(prefix="handlers.", dir="/var/tmp") as directory:
            work = pathlib.Path(directory)
            work.chmod(0o755)
            (work / "in").mkdir()
            os.chown(work / "in", 4242, 4242)
            try:
                lines, median = measure(row, work)
                shown = ", ".join(f"`{line.removeprefix('allow ')}`" for line in lines) or "none"
                print(f"| {row.does} | `{row.profile}` | {shown} | {median:.0f} ms |", flush=True)
            except (AssertionError, OSError, subprocess.SubprocessError) as error:
                failed = True
                print(f"| {row.does} | `{row.profile}` | **failed** | |", flush=True)
                print(f"{row.name}: {error}", file=sys.stderr)
    sys.exit(failed)


main()
