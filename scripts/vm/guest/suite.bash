# shellcheck shell=bash
# Sourced by main in place of the checks: runs the tests of suite/tests, results as TAP, one for each test function.

checkout=$(cat suite/checkout)
mkdir -p "$checkout/target"
cp -R suite/docs suite/units "$checkout"
cp -R suite/tests-source "$checkout/tests"
cp -R dist "$checkout/target/dist"
cp -R probes "$checkout/target/test"
# Nothing that others can write: dayfly would refuse what lies below.
chmod -R go-w "$checkout"
export DAYFLY_TESTS_MUST_RUN=1

files=(suite/tests/*)
total=0
for file in "${files[@]}"; do total=$((total + $("$file" --list 2>/dev/null | grep -c ': test$'))); done
echo "# $(uname -r), $(systemctl --version | head -n1), up $(cut -d' ' -f1 /proc/uptime) s"
echo "1..$total"
number=0
for file in "${files[@]}"; do
    began=$SECONDS
    # In the background, for the results to be seen as they come.
    (cd "$checkout" && timeout 3000 "$OLDPWD/$file" --test-threads 2) >/run/output 2>&1 &
    name=${file##*/}
    while read -r result; do
        number=$((number + 1))
        case $result in
            *' ... ok') result=${result% ... ok} && echo "ok $number - $name ${result#test }" ;;
            *) result=${result% ... *} && echo "not ok $number - $name ${result#test }" ;;
        esac
    done < <(tail --pid $! --sleep-interval 1 -n +1 -f /run/output | grep --line-buffered -E '^test .* \.\.\. ')
    wait $!
    echo "# $name: $((SECONDS - began)) s"
    sed -n '/^failures:/,/^failures:$/p' /run/output | sed 's/^/# /'
done
