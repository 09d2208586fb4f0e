# shellcheck shell=sh
# Sourced by the scripts beside it: messages, packages, atomic replacement, what readelf says of a binary.

umask 022
say() { printf '%s: %s\n' "${0##*/}" "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }
misuse() { printf '%s: %s (see --help)\n' "${0##*/}" "$*" >&2; exit 2; }

# A script's help is its header.
help() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0; }

can_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

# need PACKAGE...: installs them on Debian, as root; elsewhere names them. Never removes a package.
need() {
    can_install || die "missing, by the names of their Debian packages: $*"
    say "installing $* (takes a minute)" >&2
    install_packages "$@" 2>/dev/null && return
    # The lists of a fresh machine are empty, those of an old one name versions that are gone.
    apt-get update -qq >&2 || :
    install_packages "$@" >&2 || die "apt-get could not install: $*"
}
install_packages() {
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends --no-remove "$@" >/dev/null
}

# programs [USER]: the lines of scripts/programs, or those of one user, without comments.
programs() {
    for table in "${0%/*}/programs" "${0%/*}/../programs" scripts/programs; do
        [ ! -e "$table" ] || break
    done
    sed "s/#.*//; /^ *$/d${1:+; / $1\( \|\$\)/!d}" "$table"
}

# Looks for a file: kill(1) is a builtin of every shell, and no program that others could start.
have() {
    for have_in in $(printf '%s' "$PATH" | tr : ' ') /usr/sbin /sbin; do
        [ ! -x "$have_in/$1" ] || return 0
    done
    return 1
}

# want PROGRAM...: installs those that this machine lacks.
want() {
    missing=
    for program; do
        have "$program" && continue
        packages=$(programs | sed -n "s/^$program  *\([^ ]*\).*/\1/p" | tr , ' ')
        [ -n "$packages" ] || die "scripts/programs has no line for $program"
        missing="$missing $packages"
    done
    # shellcheck disable=SC2086 # one word a package
    [ -z "$missing" ] || need $missing
}
# shellcheck disable=SC2046 # one word a program
want_all_for() { want $(programs "$1" | sed 's/ .*//'); }

# put FROM TO MODE: replaces TO by rename, for it may be running; leaves it alone where nothing changed.
put() {
    cmp -s "$1" "$2" && return
    install -m "$3" "$1" "$2.new.$$"
    mv -f "$2.new.$$" "$2"
    say "made $2 ($(($(wc -c <"$2"))) bytes)"
}

elf() { LC_ALL=C readelf -hldW "$1" 2>/dev/null; }

# interpreter BINARY: the dynamic loader it asks for, if any.
interpreter() { elf "$1" | sed -n 's/.*program interpreter: \(.*\)\]/\1/p'; }

# flaws BINARY: what keeps it from being a static PIE in which nothing writable can be executed.
flaws() {
    has() { elf "$binary" | grep -Eq "$1"; }
    binary=$1
    has '^ *Type: +DYN' || echo 'not position-independent;'
    ! has '^ *INTERP' || echo 'asks for a dynamic loader;'
    ! has '\(NEEDED\)' || echo 'needs shared libraries;'
    ! has 'TEXTREL' || echo 'has text relocations;'
    has '^ *GNU_STACK.* RW ' || echo 'has an executable stack;'
    ! has '^ *LOAD.* RWE ' || echo 'has a segment writable and executable;'
    has '^ *GNU_RELRO' || echo 'has no RELRO;'
    has 'BIND_NOW|Flags:.* NOW' || echo 'is not linked with -z now;'
}
