"""What a request costs the handler: the system calls it makes, by kind of request, and the time from exec to first byte.

usage: cost.py HANDLER ALLOWED-CALLS-FILE

Ends with 1 if a call is made that is not in the file, one a line.
"""

import collections
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time

RUNS = 300

STATS = '{"today":{"connections":1,"outcomes":{"exited":1}},"total":{"connections":1},"hours":[],"selectors":[]}'

# Kinds of request: what is sent, and whether with a configuration.
KINDS = {
    "text": (b"/t.txt\r\n", False),
    "menu from a map": (b"\r\n", False),
    "listing of 3 files": (b"/list\r\n", False),
    "listing of 1,000 files": (b"/many\r\n", False),
    "binary of 1 MB": (b"/b.bin\r\n", False),
    "not found": (b"/nope\r\n", False),
    "refused": (b"/../x\r\n", False),
    "search": (b"/search\tword\r\n", False),
    "URL: page": (b"URL:https://example.org/\r\n", False),
    "caps.txt": (b"caps.txt\r\n", False),
    "Gopher+ `$`": (b"\t$\r\n", False),
    "Gopher+ `!`": (b"/t.txt\t!\r\n", False),
    "browser": (b"GET / HTTP/1.1\r\n\r\n", False),
    "nothing": (b"", False),
    "text, with a configuration": (b"/t.txt\r\n", True),
    "text of a user": (b"/~ann/t.txt\r\n", True),
    "text of a host by name": (b"/;a.example/t.txt\r\n", True),
    "statistics": (b"/stats\r\n", True),
    "list of users and hosts": (b"/lists\r\n", True),
}


def write(top):
    """A tree with something of every kind."""
    for path, content in {
        "root/t.txt": b"text\n", "root/gophermap": b"!Hi\n0Text\tt.txt\n1List\tlist\n", "root/b.bin": os.urandom(1 << 20),
        "root/list/a.txt": b"a", "root/list/b": b"b", "root/list/c.png": b"c", "root/lists/gophermap": b"~\n%\n",
        "home/ann/public_gopher/t.txt": b"ann\n", "a/t.txt": b"a\n", "stats.json": STATS.encode(),
        **{f"root/many/{number}.txt": b"x" for number in range(1000)},
    }.items():
        file = top / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    (top / "config").write_text(
        f"users = '{top}/home/%s/public_gopher'\nvhosts = ['- a.example {top}/a']\nstats = '/stats'\n"
        f"stats_file = '{top}/stats.json'\n")


def connection():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        return client, listener.accept()[0]


def answer(argv, request):
    """Seconds from before the exec to the first byte."""
    client, server = connection()
    client.sendall(request)
    client.shutdown(socket.SHUT_WR)
    started = time.perf_counter()
    with subprocess.Popen(argv, stdin=server, stdout=server, stderr=subprocess.DEVNULL) as child:
        server.close()
        client.recv(1)
        first = time.perf_counter() - started
        while client.recv(65536):
            pass
        client.close()
        child.wait()
    return first


def calls(argv, request, trace):
    answer(["strace", "-f", "-qq", "-o", str(trace), *argv], request)
    names = re.findall(r"^(?:\d+ +)?(\w+)\(", trace.read_text(), re.MULTILINE)
    return collections.Counter(names[1:])  # the first is the execve that starts it


def main():
    handler, allowed_file = sys.argv[1:]
    allowed = set(open(allowed_file).read().split())
    with tempfile.TemporaryDirectory(prefix="gopher-cost.") as made:
        top = pathlib.Path(made)
        write(top)
        plain = [handler, "--root", str(top / "root")]
        union = set()
        print("| request | system calls | of them openat2 | read |\n|---|---|---|---|")
        for kind, (request, configured) in KINDS.items():
            argv = plain + (["--config", str(top / "config")] if configured else [])
            made_calls = calls(argv, request, top / "trace")
            union |= set(made_calls)
            print(f"| {kind} | {made_calls.total()} | {made_calls['openat2']} | {made_calls['read']} |")
        print("\ncalls made:", " ".join(sorted(union)))
        beyond = sorted(union - allowed)
        print("not allowed:", " ".join(beyond) or "none")
        for kind in ["text", "menu from a map", "search"]:
            times = sorted(answer(plain, KINDS[kind][0]) for _ in range(RUNS))
            median, late = statistics.median(times) * 1000, times[RUNS * 99 // 100] * 1000
            print(f"exec to first byte, {kind}: {median:.2f} ms p50, {late:.2f} ms p99 of {RUNS}")
    print(f"size: {os.path.getsize(handler)} bytes")
    sys.exit(1 if beyond or os.path.getsize(handler) >= 1 << 20 else 0)


if __name__ == "__main__":
    main()
