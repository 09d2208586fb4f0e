# shellcheck shell=bash
# Sourced by scripts/bench: the sections that measure `dayfly run`, one process a connection.
# shellcheck disable=SC2154 # what scripts/bench has set
# shellcheck disable=SC2086 # $run and $nspawn are several words

one_launch() {
    heading 'One launch' "\`run\`, the whole process, with a static handler that reads a line and answers; $rounds rounds."
    local run="$dayfly run --quiet --template $work/small"
    set -- 'dayfly run, readonly' $run --snapshot readonly -- /bin/stdio
    set -- "$@" ----- 'dayfly run, overlay' $run --snapshot overlay -- /bin/stdio
    set -- "$@" ----- 'the floor: clone, mounts, pivot, exec' "$built/floor" "$work/small" /bin/stdio
    set -- "$@" ----- 'no sandbox: one exec' target/test/c/stdio
    set -- "$@" ----- 'bubblewrap --unshare-all' bwrap --unshare-all --ro-bind "$work/small" / /bin/stdio
    local peer path
    for peer in minijail0 nsjail; do
        path=$(command -v $peer) || { echo "skipped: $peer is not installed" >>"$work/skipped"; continue; }
        case $peer in
            minijail0) set -- "$@" ----- "$peer" "$path" -P "$work/small" -pvrlN --uts -e -n -k proc,/proc,proc,0xe /bin/stdio ;;
            nsjail) set -- "$@" ----- "$peer -Mo" "$path" -Mo -Q --chroot "$work/small" -- /bin/stdio ;;
        esac
    done
    "$built/compare" "$rounds" "$@"
    echo
    local nspawn="systemd-nspawn --quiet --register=no --keep-unit --pipe --private-network"
    bundle
    slow $nspawn -x -D "$work/small" /bin/stdio
    slow crun --cgroup-manager=disabled run --bundle "$work/bundle" "bench-$$"
}

# slow COMMAND...: so slow that fewer rounds tell as much.
slow() {
    echo
    "$built/compare" $((rounds / 15 + 3)) 'dayfly run, overlay' $run --snapshot overlay -- /bin/stdio \
        ----- "$1" "$@" 2>"$work/why" || echo "skipped: $1 does not run here: $("$@" 2>&1 | tail -1)" | tee -a "$work/skipped"
}

# The smallest bundle of the OCI runtime specification that runs the handler; without cgroups, which dayfly run makes
# none of either.
bundle() {
    mkdir -p "$work/bundle"
    cat >"$work/bundle/config.json" <<EOT
{
    "ociVersion": "1.0.0",
    "process": { "user": { "uid": 65534, "gid": 65534 }, "args": ["/bin/stdio"], "cwd": "/", "noNewPrivileges": true },
    "root": { "path": "$work/small", "readonly": true },
    "mounts": [
        { "destination": "/proc", "type": "proc", "source": "proc" },
        { "destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "size=16m"] }
    ],
    "linux": { "namespaces": [
        { "type": "pid" }, { "type": "network" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" }
    ] }
}
EOT
}

slope() {
    heading 'A launch on a host with many mounts' "\`run\` copies the host's mount table, like every launcher that starts in it."
    local mounts
    for mounts in 0 100 500; do
        echo
        (crowded $mounts "$built/compare" $((rounds / 5 + 5)) \
            "dayfly run, $mounts mounts" "$dayfly" run --quiet --template "$work/small" --snapshot readonly -- /bin/stdio \
            ----- "bubblewrap, $mounts mounts" bwrap --unshare-all --ro-bind "$work/small" / /bin/stdio)
    done
}
