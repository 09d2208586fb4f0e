# shellcheck shell=bash
# Sourced by main and by each check: how dayfly is installed, clients, and what may not be left behind.

# The first uid of sandboxes; nothing else on this machine has one as high.
FIRST_UID=1879048192
SITE=/srv/gopher

# fail WORDS...: ends the check.
fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

# As docs/units.md says, and beside it units with the tests' probe as handler, the same but for port and service.
install_dayfly() {
    install -m 755 dist/dayfly dist/gopher-handler /usr/bin
    mkdir -p /etc/dayfly /usr/lib/dayfly /usr/share/doc/dayfly
    cp -R dist/template /usr/lib/dayfly/gopher
    cp -R dist/template/srv/gopher "$SITE"
    cp units/gopher.toml /etc/dayfly
    cp units/gopher*.socket units/gopher*.service /etc/systemd/system
    cp -R dist/template /usr/lib/dayfly/probe
    install -m 711 probes/probe probes/c/crash /usr/lib/dayfly/probe/bin
    # Without a directory for a tmpfs of each sandbox, and with one.
    cp -R /usr/lib/dayfly/probe /usr/lib/dayfly/bare
    mkdir /usr/lib/dayfly/probe/tmp
    install -m 644 probe.erofs /usr/lib/dayfly
    variant probe 7070
    # systemd would end what is left of a unit; here that is the kernel's part alone.
    variant bare 7071 KillMode=process Restart=no
    variant overlay 7072 CapabilityBoundingSet='CAP_DAC_OVERRIDE CAP_CHOWN CAP_FOWNER'
    variant mortal 7073 CapabilityBoundingSet='~CAP_KILL'
    variant watched 7074 WatchdogSec=3s TimeoutAbortSec=2s
    variant undelegated 7075 Delegate=no
    systemctl daemon-reload
}

# variant NAME PORT [LINE...]: the units as shipped, renamed, for the service "probe", with these lines added.
variant() {
    local name=$1 port=$2 unit copy
    shift 2
    for unit in gopher.socket gopher.service gopher-inetd.socket gopher-inetd@.service; do
        copy=/etc/systemd/system/${unit/gopher/$name}
        sed -e "/^ExecStart=/!s/gopher/$name/g" -e 's/--service gopher/--service probe/' \
            -e "s/^ListenStream=.*/ListenStream=$port/" "units/$unit" >"$copy"
        [[ $unit == *.service ]] || continue
        mkdir "$copy.d"
        printf '[Service]\n' >"$copy.d/variant.conf"
        printf '%s\n' "$@" >>"$copy.d/variant.conf"
    done
}

# probe_service WORDS...: from now on the handler of "probe" is the probe with these words.
probe_service() {
    local words='' template=${TEMPLATE-probe}
    for word in "$@"; do words+=", \"$word\""; done
    cat >/etc/dayfly/probe.toml <<END
template = "/usr/lib/dayfly/$template"
handler = ["/bin/probe"$words]
snapshot = "readonly"
on_refusal = "refused\n"
wall_time = "60s"
END
}

# with_socket UNIT: that socket unit alone listens.
with_socket() {
    stop_all
    systemctl start "$1"
}

stop_all() {
    # Patterns, which mean what is loaded: cheaper than names.
    systemctl stop {gopher,probe,bare,overlay,mortal,watched,undelegated,kept}'*'
    systemctl reset-failed
}

# ask PORT SELECTOR: the answer of a server on this machine. A handler that does not read its request resets: no failure.
ask() {
    local connection
    exec {connection}<>"/dev/tcp/127.0.0.1/$1"
    printf '%s\r\n' "$2" >&"$connection"
    timeout 30 cat <&"$connection" 2>/dev/null || [ $? -ne 124 ]
    exec {connection}>&-
}

# The handler's answer without a sandbox, for comparison, under the address that clients use here.
expected() {
    printf '%s\r\n' "$1" | gopher-handler --root "$SITE" --host 127.0.0.1 --port 70 2>/dev/null
}

# eventually COMMAND...: waits until it succeeds.
eventually() {
    local end=$((SECONDS + 15))
    until "$@"; do
        if [ "$SECONDS" -ge "$end" ]; then
            echo "in vain: $*" >&2
            return 1
        fi
        sleep 0.1
    done
}

main_of() { systemctl show --value --property=MainPID "$1"; }

# other_main UNIT PID: whether the unit's main process is there, and another one.
other_main() {
    local now
    now=$(systemctl show --value --property MainPID "$1")
    [ "$now" != 0 ] && [ "$now" != "$2" ] && is_active "$1"
}

is_active() { [ "$(systemctl is-active "$1")" = active ]; }

# unit_says UNIT PATTERN: whether its journal has such a line of dayfly's since this check began.
unit_says() {
    journalctl --sync
    journalctl --quiet --no-pager --since "@$BEGAN" --unit "$1" | grep -q "dayfly.*$2"
}

# Pids of all processes in sandboxes, zombies included.
sandboxes() {
    awk -v first="$FIRST_UID" '$1 == "Uid:" && $2 >= first { split(FILENAME, p, "/"); print p[3] }' \
        /proc/[0-9]*/status 2>/dev/null || :
}

no_sandbox() { [ -z "$(sandboxes)" ]; }

# hold PORT N: N more connections to a probe that echoes, each answered once, open until the check ends.
hold() {
    local line connection
    for _ in $(seq "$2"); do
        exec {connection}<>"/dev/tcp/127.0.0.1/$1"
        echo here >&"$connection"
        read -r -t 30 line <&"$connection"
        [ "$line" = here ]
    done
}

# Possible leftovers of a sandbox: processes, mounts of this namespace, namespaces, loop devices, groups, files.
inventory() {
    sandboxes
    sort /proc/self/mounts
    # An empty group of a unit is systemd's to remove; with KillMode=process it may leave it.
    for group in $(find /sys/fs/cgroup -type d -name '*.service' | grep -E 'gopher|probe|bare'); do
        [ -z "$(find "$group" -name cgroup.procs -exec cat {} +)" ] || echo "$group"
    done
    find /sys/fs/cgroup -type d -name 'sandbox-*'
    readlink /proc/[0-9]*/ns/{mnt,pid,net,ipc,uts,cgroup,user} 2>/dev/null | sort -u
    ls -d /sys/block/loop*/loop/backing_file 2>/dev/null || :
    find /usr/lib/dayfly /srv /etc/dayfly /tmp /var/tmp /dev/shm -mindepth 1 -newer /etc/dayfly/stamp 2>/dev/null | grep -v systemd-private || :
}

# records UNIT-PATTERN [FIELD=VALUE...]: what the journal has of it since this check began, as JSON.
records() {
    local unit=$1
    shift
    journalctl --sync
    journalctl --quiet --output json --since "@$BEGAN" "$@" | grep "\"_SYSTEMD_UNIT\":\"$unit" || :
}
