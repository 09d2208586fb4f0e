# shellcheck shell=bash
# Sourced by scripts/bench: the sections that measure `dayfly serve`, against servers that listen as well.
# shellcheck disable=SC2154 # what scripts/bench has set

# start MOUNTS COMMAND...: a server on such a host; it listens at $port.
start() {
    (crowded "$@") >/dev/null 2>"$work/server.log" &
    pids+=($!)
    local try
    for try in $(seq 200); do
        if (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then return; fi
        kill -0 "${pids[-1]}" 2>/dev/null || { cat "$work/server.log" >&2; die "no server: $*"; }
        sleep 0.05
    done
    die "no server at port $port after $try tries: $*"
}

# dayfly_at SNAPSHOT TEMPLATE PARK MOUNTS [OPTION...]
dayfly_at() {
    local snapshot=$1 template=$2 park=$3 mounts=$4
    shift 4
    port=$((port + 1))
    start "$mounts" "$dayfly" serve --quiet --listen "127.0.0.1:$port" --template "$template" --snapshot "$snapshot" \
        --park "$park" --max-per-source 256 "$@" -- /bin/stdio
}

warm() {
    heading 'A connection to a server' "Connect to first byte and to the end, one at a time, 5 ms apart, $rounds rounds."
    port=$((port + 1))
    start 0 tcpserver -H -R -l 0 127.0.0.1 $port "$PWD/target/test/c/stdio"
    set -- 'tcpserver, no sandbox' $port
    local park
    for park in entry before-exec none; do
        dayfly_at readonly "$work/small" $park 0
        set -- "$@" "dayfly serve, readonly, $park" $port
    done
    dayfly_at readonly "$work/bare" entry 0
    set -- "$@" 'dayfly serve, readonly without /tmp, entry' $port
    dayfly_at overlay "$work/small" entry 0
    set -- "$@" 'dayfly serve, overlay, entry' $port
    dayfly_at readonly "$work/small" none 0 --net private
    set -- "$@" 'dayfly serve, readonly, none, --net private' $port
    sleep 1
    "$built/load" latency "$rounds" 5 "$samples" "$@"
    [ -z "$keep" ] || printf '\n![distribution of these latencies](benchmarks.svg)\n'
    stop
}

throughput() {
    heading 'Connections a second' "Eight at a time, back to back."
    port=$((port + 1))
    start 0 "$built/floor" $port "$work/small" /bin/stdio
    set -- 'the floor: the same namespaces and mounts' $port
    dayfly_at readonly "$work/small" entry 0
    set -- "$@" 'dayfly serve, readonly' $port
    dayfly_at readonly "$work/bare" entry 0
    set -- "$@" 'dayfly serve, readonly without /tmp' $port
    dayfly_at overlay "$work/small" entry 0
    set -- "$@" 'dayfly serve, overlay' $port
    dayfly_at readonly "$work/small" entry 0 --net private
    set -- "$@" 'dayfly serve, readonly, --net private' $port
    port=$((port + 1))
    start 0 tcpserver -H -R -l 0 -c 64 127.0.0.1 $port "$PWD/target/test/c/stdio"
    set -- "$@" 'tcpserver, no sandbox' $port
    if command -v nsjail >/dev/null; then
        port=$((port + 1))
        start 0 nsjail -Ml --port $port --bindhost 127.0.0.1 -Q --chroot "$work/small" -- /bin/stdio
        set -- "$@" 'nsjail -Ml' $port
    fi
    sleep 1
    "$built/load" rate $((rounds * 10)) 8 "$@"
    stop
}

grid() {
    heading 'What a sandbox costs, by mounts of the host and files of the template' \
        "\`--park none\`: each connection waits until its sandbox is built. The aim is a flat line."
    local kind files mounts parallel
    set --
    for files in small large; do
        for mounts in 0 100 500; do
            kind=$([ $files = small ] && echo 10 || echo 20,000)
            dayfly_at readonly "$work/$files" none $mounts
            set -- "$@" "$mounts mounts, $kind files" $port
        done
    done
    for parallel in 1 5 10; do
        echo
        "$built/load" rate $((rounds * 3)) $parallel "$@"
    done
    stop
}

# For a shell with a template as $0 and a command: becomes the command, where /mnt is a btrfs with the template as a subvolume.
# shellcheck disable=SC2016 # for the inner shell
on_btrfs='
    truncate -s 2G "$0.btrfs" && mkfs.btrfs -q "$0.btrfs" && mount -o loop "$0.btrfs" /mnt && rm "$0.btrfs" || exit
    chmod 755 /mnt && btrfs -q subvolume create /mnt/template && cp -a "$0/." /mnt/template && sync -f /mnt || exit
    exec "$@"'

kinds() {
    heading 'What a sandbox costs, by kind of template and snapshot' \
        "\`--park none\`, one at a time; templates of 10 files and of 20,000."
    local files shown
    set --
    for files in small large; do
        shown=$([ $files = small ] && echo 10 || echo 20,000)
        mkfs.erofs --quiet "$work/$files.erofs" "$work/$files" >/dev/null
        dayfly_at readonly "$work/$files" none 0
        set -- "$@" "directory, readonly, $shown files" $port
        dayfly_at overlay "$work/$files" none 0
        set -- "$@" "directory, overlay, $shown files" $port
        dayfly_at readonly "$work/$files.erofs" none 0
        set -- "$@" "erofs image, readonly, $shown files" $port
        dayfly_at overlay "$work/$files.erofs" none 0
        set -- "$@" "erofs image, overlay, $shown files" $port
        port=$((port + 1))
        start 0 /bin/sh -c "$on_btrfs" "$work/$files" "$dayfly" serve --quiet --listen "127.0.0.1:$port" --template /mnt/template \
            --snapshot btrfs --park none --max-per-source 256 -- /bin/stdio
        set -- "$@" "btrfs, $shown files" $port
    done
    "$built/load" rate $((rounds * 3)) 1 "$@"
    stop
}

# The sum of some lines of /proc/meminfo, in KiB: what the kernel keeps for processes and their namespaces.
kernel_memory() { awk '/^(Slab|KernelStack|PageTables|Percpu):/ { sum += $2 } END { print sum }' /proc/meminfo; }

memory() {
    heading 'Memory' "200 parked sandboxes: the proportional set size of each one's processes, and its kernel memory."
    echo '| network | PSS KiB | kernel KiB | together | supervisor, anonymous KiB |'
    echo '|---|---|---|---|---|'
    local net before after pss child
    for net in shared private; do
        port=$((port + 1))
        sync
        before=$(kernel_memory)
        start 0 "$dayfly" serve --quiet --listen "127.0.0.1:$port" --template "$work/small" --snapshot readonly \
            --net $net --warm 200 -- /bin/stdio
        local supervisor=${pids[-1]} children=
        for _ in $(seq 300); do
            children=$(cat "/proc/$supervisor/task/$supervisor/children")
            [ "$(wc -w <<<"$children")" -lt 200 ] || break
            sleep 0.1
        done
        sleep 2
        children=$(cat "/proc/$supervisor/task/$supervisor/children") || { cat "$work/server.log" >&2; die 'no server'; }
        after=$(kernel_memory)
        pss=0
        for child in $children; do
            pss=$((pss + $(awk '/^Pss:/ { print $2 }' "/proc/$child/smaps_rollup")))
        done
        printf '| %s | %d | %d | %d | %s |\n' $net $((pss / 200)) $(((after - before) / 200)) \
            $(((pss + after - before) / 200)) "$(awk '/^RssAnon:/ { print $2 }' "/proc/$supervisor/status")"
        stop
    done
}
