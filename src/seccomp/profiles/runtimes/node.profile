# Debian's Node: its pool of threads, workers, files. No child_process: for that there is 'tree'. Give it --memory 256M.

arch x86_64 aarch64
include dynamic-threads

remove pkey_mprotect
allow pkey_alloc pkey_free pkey_mprotect # V8 protects its code by keys
