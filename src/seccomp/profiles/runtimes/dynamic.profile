# One dynamically linked program of one thread, with its loader and libraries in the template. It neither forks nor executes
# another program: for that there is 'tree'. The profiles of runtimes include this one.

arch x86_64 aarch64
include interpreter

# The kernel starts the loader, and the loader maps libraries as code: the tree is executable, W^X is not enforced.
exec tree
remove mmap mprotect pkey_mprotect
allow mmap                      # loaders map libraries as code; shared memory only of files, which are bounded
    if arg3 has no MAP_SHARED|MAP_GROWSDOWN|MAP_HUGETLB
    or arg3 has no MAP_ANONYMOUS|MAP_GROWSDOWN|MAP_HUGETLB
errno ENOMEM mmap               # memory shared with nobody's file, the host's huge pages: no limit counts it
allow mprotect                  # RELRO, guard pages, compilers of code at run time
errno EACCES pkey_mprotect      # nobody asks without pkey_alloc
