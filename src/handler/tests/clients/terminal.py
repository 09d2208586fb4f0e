"""A program on a pseudo-terminal: keys go in when something is on the screen, what was shown comes out."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

# Sequences that move the cursor or colour text become a blank, so that words stay apart.
CONTROLS = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>78M]|[\x0e\x0f]")

PATIENCE = 15


class Terminal:
    def __init__(self, argv, home, environment):
        self.shown = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(home)
            os.execvpe(argv[0], argv, environment)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))

    def text(self):
        return CONTROLS.sub(b" ", self.shown).decode("utf-8", "replace")

    def read(self, wait):
        ready, _, _ = select.select([self.fd], [], [], wait)
        if not ready:
            return True
        try:
            piece = os.read(self.fd, 65536)
        except OSError:  # EIO: the program has gone
            return False
        self.shown += piece
        return bool(piece)

    def until(self, pattern, since):
        """Waits until the screen has shown the pattern after `since` bytes; False if it does not."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            alive = self.read(0.1)
            if re.search(pattern, CONTROLS.sub(b" ", self.shown[since:]).decode("utf-8", "replace")):
                return True
            if not alive:
                return False
        return False

    def settle(self):
        """Reads until nothing more comes."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            before = len(self.shown)
            if not self.read(0.5) or len(self.shown) == before:
                return

    def close(self):
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.close(self.fd)
        os.waitpid(self.pid, 0)


def drive(argv, steps, home, environment):
    """Each step is a pattern to wait for and keys to send then. What was on the screen comes back, all of it."""
    terminal = Terminal(argv, home, environment)
    since = 0
    try:
        for pattern, keys in steps:
            if not terminal.until(pattern, since):
                break
            terminal.settle()
            since = len(terminal.shown)
            os.write(terminal.fd, keys.encode())
        terminal.settle()
        return terminal.text()
    finally:
        terminal.close()
