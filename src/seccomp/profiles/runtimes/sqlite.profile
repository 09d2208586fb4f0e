# Debian's sqlite3, or a program of one thread with a database on its /tmp or in a writable bind.

arch x86_64 aarch64
include dynamic
