# Debian's Python: threads, asyncio, sqlite3, files. No subprocess: for that there is 'tree'.

arch x86_64 aarch64
include dynamic-threads
