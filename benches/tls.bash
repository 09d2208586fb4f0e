# shellcheck shell=bash
# Sourced by scripts/bench: TLS that `dayfly serve` ends, beside others that end it in front of the same handler.
# shellcheck disable=SC2154 # what scripts/bench has set

tls() {
    heading 'TLS' "One line over TLS 1.3, with a full handshake each time. All end TLS in front of the same handler, and start it anew. \
Eight connections at a time, back to back; then one at a time, 5 ms apart, $rounds rounds."
    local handler=$PWD/target/test/c/stdio
    (
        cd "$work"
        umask 077
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -subj /CN=bench -keyout ca.key -out ca.pem
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout tls.key -out tls.csr
        printf 'subjectAltName=DNS:localhost' >names
        openssl x509 -req -in tls.csr -extfile names -CA ca.pem -CAkey ca.key -CAcreateserial -days 9 -out tls.pem
        cat tls.pem tls.key >both.pem
        printf '%s\n' 'sslVersionMin = TLSv1.3' "cert = $work/both.pem" "exec = $handler" 'execArgs = stdio' >each.conf
        printf '%s\n' 'foreground = yes' 'pid =' 'sslVersionMin = TLSv1.3' "cert = $work/both.pem" '[x]' \
            "accept = 127.0.0.1:$((port + 3))" "exec = $handler" 'execArgs = stdio' >threads.conf
        printf '%s\n' defaults ' mode tcp' ' timeout connect 9s' ' timeout client 9s' ' timeout server 9s' 'listen all' \
            " bind 127.0.0.1:$((port + 5)) ssl crt $work/both.pem ssl-min-ver TLSv1.3" " server s 127.0.0.1:$((port + 4))" >proxy.cfg
    ) 2>"$work/openssl.log" || { cat "$work/openssl.log" >&2; die 'openssl makes no certificate'; }
    export LOAD_CA=$work/ca.pem
    port=$((port + 1))
    start 0 tcpserver -H -R -l 0 -c 256 127.0.0.1 $port stunnel4 "$work/each.conf"
    set -- 'tcpserver, stunnel for each connection' tls:$port
    dayfly_at readonly "$work/bare" before-exec 0 --tls-certificate "$work/tls.pem" --tls-key "$work/tls.key"
    set -- "$@" 'dayfly serve, readonly without /tmp' tls:$port
    port=$((port + 1))
    start 0 stunnel4 "$work/threads.conf"
    set -- "$@" 'stunnel, a thread and a fork of the handler, no sandbox' tls:$port
    port=$((port + 1))
    start 0 tcpserver -H -R -l 0 -c 256 127.0.0.1 $port "$handler"
    port=$((port + 1))
    start 0 haproxy -db -f "$work/proxy.cfg"
    set -- "$@" 'HAProxy before tcpserver, no sandbox' tls:$port
    sleep 1
    "$built/load" rate $((rounds * 5)) 8 "$@"
    echo
    "$built/load" latency "$rounds" 5 "$work/tls-samples" "$@"
    stop
}
