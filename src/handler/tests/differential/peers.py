"""The other servers: gophernicus through a pipe, pygopherd as a daemon on loopback."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time

OPTIONS = ["-h", "localhost", "-p", "70", "-nv", "-nm", "-nx", "-ns", "-nt", "-nu"]

# Maps of others may name commands: they get a user that owns nothing, and no network.
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def ask(argv, selector):
    """The answer to a selector, and the item type that the server logs."""
    done = subprocess.run(argv, input=selector + b"\r\n", capture_output=True, timeout=60)
    kind = re.search(rb"type=(.) ", done.stderr)
    return done.stdout, kind.group(1).decode() if kind else "-"


class Gophernicus:
    name = "gophernicus"

    def __init__(self, program, top):
        self.argv = ["unshare", "--net", *NOBODY, program, *OPTIONS, "-r", top]

    def ask(self, selector):
        return ask(self.argv, selector)[0]

    def close(self):
        pass


CONFIG = """[pygopherd]
detach = no
servername = localhost
interface = 127.0.0.1
port = {port}
servertype = ForkingTCPServer
timeout = 60
abstract_headers = off
abstract_entries = unsupported
tracebacks = no
usechroot = no
enable_tls = no
root = {top}
mimetypes = /etc/pygopherd/mime.types:/etc/mime.types
encoding = list(mimetypes.encodings_map.items())
[logger]
logmethod = none
"""


class Pygopherd:
    """Debian's configuration with another root and port, and no Gopher+ in menus."""

    name = "pygopherd"

    def __init__(self, program, top):
        self.work = tempfile.mkdtemp(prefix="pygopherd.")
        os.chmod(self.work, 0o755)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        with open("/etc/pygopherd/pygopherd.conf", encoding="utf-8") as file:
            rest = file.read().split("[GopherEntry]", 1)[1]
        text = CONFIG.format(port=self.port, work=self.work, top=os.fsdecode(top))
        config = os.path.join(self.work, "conf")
        with open(config, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text + "[GopherEntry]" + rest)
        self.server = subprocess.Popen([*NOBODY, program, config], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise SystemExit("pygopherd does not serve")

    def ask(self, selector):
        answer = b""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
                connection.sendall(selector + b"\r\n")
                while piece := connection.recv(65536):
                    answer += piece
        except OSError:
            pass  # An answer that breaks off is what it is.
        return answer

    def close(self):
        self.server.terminate()
        self.server.wait()
        shutil.rmtree(self.work)
