"""A handler in Python: its connection as a socket, a second program, a database, an event loop."""

import asyncio
import socket
import sqlite3
import subprocess
import sys

connection = socket.fromfd(0, socket.AF_INET, socket.SOCK_STREAM)
connection.settimeout(5)
line = connection.recv(100).decode().strip()
database = sqlite3.connect("/tmp/app.db")
database.execute("create table said (line)")
database.execute("insert into said values (?)", [line])
database.commit()
kept = database.execute("select line from said").fetchone()[0]
woken = asyncio.run(asyncio.to_thread(lambda: 6 * 7))
other = subprocess.run(["cat"], input=kept, capture_output=True, text=True).stdout if "--alone" not in sys.argv else kept
connection.sendall(f"python: {other} {woken}\n".encode())
