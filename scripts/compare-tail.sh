#!/usr/bin/env bash
# Compares how long calls take at a fixed rate of arrival: half of what nginx can carry as a bare proxy. Each proxy is
# pinned to one core, in alternation; load and backend share the other. Latencies are those of every single call.
#
# Needs Debian's nginx, wrk, curl and nghttp2-client (h2load), and `cargo build --release`.
# Usage: scripts/compare-tail.sh [ROUNDS] [SECONDS] [CONNECTIONS]; settings: PEERS as for compare-gateway.sh
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-5} seconds=${2:-8} connections=${3:-64} peers=${PEERS:-nginx}
. scripts/gateway-stage.sh
. scripts/gateway-peers.sh
need nginx wrk curl taskset openssl h2load
network 127.88.2
start_backend
certificate
for one in $peers; do "start_$one"; done
found_node
start_node pin 0
publish
declare -A port=([nginx]=8280 [haproxy]=8380 [envoy]=8480)
[ "${peers%% *}" = nginx ] || { echo "error: the rate is half of nginx's: PEERS must begin with nginx" >&2; exit 1; }
most=$(pin 1 wrk -t1 -c"$connections" -d4s "http://$proxies:8280/menu" | awk '/Requests\/sec/ { printf "%d", $2 }')
each=$((most / 2 / connections))
echo "nginx carries $most requests/s; the load is $((each * connections)), over $connections connections"
measure() { # name url [h2load arguments]
  local name=$1 url=$2; shift 2
  rm -f "$work/log"
  (pin 1 h2load --h1 -t1 -c"$connections" --rps="$each" -D"$seconds" --log-file="$work/log" "$@" "$url") > "$work/h2load.out"
  # What came in the first second warmed up.
  awk -v name="$name" 'NR == 1 { first = $1 } $1 > first + 1000000 { if ($2 != 200) bad++; print $3 }
    END { if (bad) { print name " answered " bad " times with another status" > "/dev/stderr"; exit 1 } }' "$work/log" | sort -n > "$work/times"
  awk -v name="$name" '{ v[NR] = $1 } END { printf "%-11s p50 %6d  p99 %6d  p99.9 %6d  worst %6d µs of %d calls\n", name, v[int(NR * 0.5) + 1], v[int(NR * 0.99) + 1], v[int(NR * 0.999) + 1], v[NR], NR }' "$work/times"
}
for round in $(seq "$rounds"); do
  for one in $peers; do measure "$one" "http://$proxies:${port[$one]}/menu"; done
  measure portcullis "http://$address:8280/bench/1/menu" -H "Authorization: Bearer $token"
done | tee "$work/rows"
for name in $peers portcullis; do
  printf 'median p99.9 of %s: %.0f µs\n' "$name" "$(column "$name" 7 | median)"
done
