#!/usr/bin/env bash
# A first load and an unchanged rerun of the release binary against its own sandbox: wall time, and peak memory of the
# process that syncs. Memory is bounded when it hardly grows from the small roster to the large one.
#
#   cargo build --release && tests/bench/load.sh [PEOPLE…]          default: 10000 100000
#   ROSTERD=target/debug/rosterd tests/bench/load.sh 1000           another binary
#
# Needs bash, awk and /proc. Everything it starts ends with it; nothing outside a temporary directory is written.
set -euo pipefail
cd "$(dirname "$0")/../.."
rosterd=$(realpath "${ROSTERD:-target/release/rosterd}")
rosters=("$@")
[ ${#rosters[@]} -gt 0 ] || rosters=(10000 100000)
work=$(mktemp -d)
sandbox=
end() {
    [ -z "$sandbox" ] || kill "$sandbox" 2>/dev/null || true
    rm -rf "$work"
}
trap end EXIT

now() { date +%s%N; }

# Runs a command; leaves its wall time in $ms and the largest memory it ever had in $kb.
measure() {
    local began
    began=$(now)
    kb=0
    "$@" >"$work/out" 2>&1 &
    local pid=$! seen
    while seen=$(awk '/^VmHWM/ {print $2}' "/proc/$pid/status" 2>/dev/null) && [ -n "$seen" ]; do
        [ "$seen" -gt "$kb" ] && kb=$seen
        sleep 0.02
    done
    wait "$pid" || { cat "$work/out" >&2; exit 1; }
    ms=$((($(now) - began) / 1000000))
}

line() { printf '  %-28s %8d ms   %7d kB\n' "$1" "$2" "$3"; }

load() {
    local people=$1 home=$work/$1 port=$2
    mkdir -p "$home/config"
    awk -v n="$people" 'BEGIN {
        print "employee_id,first_name,last_name,email,phone,title,city,status"
        for (i = 1; i <= n; i++)
            printf "E%07d,First%d,Last%d,person%d@bench.example,+41 44 555 %05d,Engineer %d,Zürich,active\n", i, i, i, i, i, i % 40
    }' >"$home/config/hr.csv"
    printf 'sandbox\n' >"$home/config/juno.token"
    chmod 600 "$home/config/juno.token"
    cat >"$home/config/rosterd.toml" <<TOML
[state]
path = "../state/rosterd.db"
[sources.hr]
kind = "csv"
path = "hr.csv"
key = "employee_id"
[targets.juno]
kind = "juno"
base_url = "http://127.0.0.1:$port/juno/api"
auth = { kind = "bearer", token = { file = "juno.token" } }
rate = "100000/s"
concurrency = 16
[syncs.staff]
source = "hr"
target = "juno"
include = 'status == "active"'
match = ["email"]
[syncs.staff.map]
client_id = "employee_id"
email = { cel = "email.trim().lowerAscii()" }
first_name = "first_name"
last_name = "last_name"
phone = "phone"
title = "title"
city = "city"
TOML
    "$rosterd" sandbox --listen "127.0.0.1:$port" >"$home/sandbox.out" 2>&1 &
    sandbox=$!
    until grep -q listens "$home/sandbox.out"; do sleep 0.05; done

    local sync=("$rosterd" --config "$home/config/rosterd.toml" -q sync)
    local first rerun_ms rerun_kb began wc_us awk_us
    echo "$people people ($(wc -c <"$home/config/hr.csv") bytes)"
    measure "${sync[@]}"
    first=$kb
    line "first load" "$ms" "$kb"
    printf '  %-28s %8d /s\n' "" $((people * 1000 / ms))
    measure "${sync[@]}"
    rerun_ms=$ms rerun_kb=$kb
    line "unchanged rerun" "$ms" "$kb"
    began=$(now); wc -l <"$home/config/hr.csv" >/dev/null; wc_us=$((($(now) - began) / 1000))
    began=$(now); awk -F, '{n += NF} END {print n}' "$home/config/hr.csv" >/dev/null; awk_us=$((($(now) - began) / 1000))
    printf '  the same file: wc -l %d ms, split into fields by awk %d ms; the rerun takes %d and %d times that\n' \
        $((wc_us / 1000)) $((awk_us / 1000)) $((rerun_ms * 1000 / wc_us)) $((rerun_ms * 1000 / awk_us))
    printf '  state %d kB\n' $(($(stat -c %s "$home/state/rosterd.db") / 1000))
    kill "$sandbox"
    wait "$sandbox" 2>/dev/null || true
    sandbox=
    printf '%s %s %s\n' "$people" "$first" "$rerun_kb" >>"$work/memory"
}

port=8491
for people in "${rosters[@]}"; do
    load "$people" "$port"
    port=$((port + 1))
done
echo "peak memory in kB (people, first load, rerun):"
sed 's/^/  /' "$work/memory"
