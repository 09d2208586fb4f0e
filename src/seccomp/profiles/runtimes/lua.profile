# Debian's Lua with its modules. No io.popen and no os.execute: for that there is 'tree'.

arch x86_64 aarch64
include dynamic
