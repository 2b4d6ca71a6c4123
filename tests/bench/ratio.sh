#!/usr/bin/env bash
# Throughput without a limit, durability included: creates by `rosterd sync` against a bare reqwest loop, same server,
# same run. The ratio is the loop's time by rosterd's whole time, reading the source and listing the target included.
#
#   cargo build --release --example bare_loop --bin rosterd && tests/bench/ratio.sh [CREATES] [AT_ONCE]
#   PROFILE=debug tests/bench/ratio.sh 2000        another build
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=$(realpath "target/${PROFILE:-release}")
creates=${1:-20000} at_once=${2:-8}
work=$(mktemp -d "${TMPDIR:-/tmp}/rosterd-ratio-XXXXXX")
sandbox=
end() {
    [ -z "$sandbox" ] || kill "$sandbox" 2>/dev/null || true
    rm -rf "$work"
}
trap end EXIT

# A sandbox of its own for each, so that neither meets the other's accounts.
start() {
    "$bin/rosterd" sandbox --listen "127.0.0.1:$1" >"$work/sandbox.log" 2>&1 &
    sandbox=$!
    for _ in $(seq 100); do
        curl -sf -o /dev/null "http://127.0.0.1:$1/_sandbox/users?target=juno" && return
        sleep 0.05
    done
    cat "$work/sandbox.log" >&2
    exit 1
}

stop() {
    kill "$sandbox"
    wait "$sandbox" 2>/dev/null || true
    sandbox=
}

bare() {
    start "$1"
    bare_ms=$("$bin/examples/bare_loop" "http://127.0.0.1:$1/juno/api" "$creates" "$at_once")
    stop
}

ours() {
    rm -rf "$work/config" "$work/state"
    mkdir "$work/config"
    awk -v n="$creates" 'BEGIN {
        print "employee_id,first_name,last_name,email,title,city"
        for (i = 0; i < n; i++) printf "E%d,Ann %d,Bo,p%d@acme.example,Clerk,Bern\n", i, i, i
    }' >"$work/config/hr.csv"
    printf 'sandbox\n' >"$work/config/token"
    chmod 600 "$work/config/token"
    cat >"$work/config/rosterd.toml" <<TOML
[state]
path = "../state/rosterd.db"
[sources.hr]
kind = "csv"
path = "hr.csv"
key = "employee_id"
[targets.juno]
kind = "juno"
base_url = "http://127.0.0.1:$1/juno/api"
auth = { kind = "bearer", token = { file = "token" } }
rate = "1000000/s"
burst = 100000
concurrency = $at_once
[syncs.staff]
source = "hr"
target = "juno"
match = ["email"]
[syncs.staff.map]
client_id = "employee_id"
email = "email"
first_name = "first_name"
last_name = "last_name"
title = "title"
city = "city"
account_level = { value = 0, when = "create" }
TOML
    start "$1"
    local began
    began=$(date +%s%N)
    "$bin/rosterd" --config "$work/config/rosterd.toml" -q sync >"$work/out" 2>&1 || { cat "$work/out" >&2; exit 1; }
    ours_ms=$((($(date +%s%N) - began) / 1000000))
    stop
}

# By turns, twice: what else the machine does hits both.
for round in 1 2; do
    bare $((20000 + RANDOM % 20000))
    ours $((20000 + RANDOM % 20000))
    awk -v n="$creates" -v b="$bare_ms" -v o="$ours_ms" -v r="$round" 'BEGIN {
        printf "round %d: bare loop %d ms (%d/s), rosterd %d ms (%d/s), ratio %.2f\n", r, b, n * 1000 / b, o, n * 1000 / o, b / o
    }'
done
