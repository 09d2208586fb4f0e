# shellcheck shell=bash
# Sourced by main in place of the checks: runs the tests of suite/tests, results as TAP. Each test is a process of its own,
# two of a file at a time, so that one that hangs or dies is one test.

checkout=$(cat suite/checkout)
mkdir -p "$checkout/target"
cp -R suite/docs suite/units "$checkout"
cp -R suite/tests-source "$checkout/tests"
cp -R dist "$checkout/target/dist"
cp -R libexec share "$checkout/target"
cp -R probes "$checkout/target/test"
# Nothing that others can write: dayfly would refuse what lies below.
chmod -R go-w "$checkout"
export DAYFLY_TESTS_MUST_RUN=1 checkout suite=$PWD/suite/tests PATH=$PATH:$PWD/suite/bin

# try FILE TEST: one result, with what was said where it is bad.
try() {
    local said status=0
    said=$(cd "$checkout" && timeout -k 5 1200 "$suite/$1" --exact "$2" --nocapture 2>&1) || status=$?
    if [ "$status" = 0 ]; then
        echo "ok - $1 $2"
    else
        printf 'not ok - %s %s\n%s\n' "$1" "$2" "$(tail -n 60 <<<"status $status; $said" | sed 's/^/# /')"
    fi
}
export -f try

for file in suite/tests/*; do
    "$file" --list 2>/dev/null | sed -n "s|\(.*\): test$|${file##*/} \1|p"
done | grep -E -f suite/which | grep -E -- "$(cat only)" >/run/tests
echo "# $(uname -r), $(systemctl --version | head -n1), up $(cut -d' ' -f1 /proc/uptime) s"
echo "1..$(wc -l </run/tests)"
for file in $(cut -d' ' -f1 /run/tests | uniq); do
    began=$SECONDS
    # shellcheck disable=SC2016  # expanded by the inner shell
    grep "^$file " /run/tests | xargs -P 2 -n 2 bash -c 'try "$1" "$2"' bash
    echo "# $file: $((SECONDS - began)) s"
done
