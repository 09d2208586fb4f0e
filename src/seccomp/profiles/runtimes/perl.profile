# Debian's Perl, also with flock and dbm. No system and no open of a pipe: for that there is 'tree'.

arch x86_64 aarch64
include dynamic
