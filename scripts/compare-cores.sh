#!/usr/bin/env bash
# Compares what a call costs a gateway of one worker and one of two, and the same of nginx: what two cores carry, by one, is twice the
# one cost by the other. That stands for a measurement of requests/s where load and backend need the same two cores, so that nothing
# carries twice as much there: nothing is pinned, and all of it runs in alternation.
#
# Needs Debian's nginx, wrk, curl and openssl, and `cargo build --release`.
# Usage: scripts/compare-cores.sh [ROUNDS] [SECONDS] [CONNECTIONS]
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-7} seconds=${2:-3} connections=${3:-128}
. scripts/gateway-stage.sh
. scripts/gateway-peers.sh
need nginx wrk curl openssl
pin() { shift; exec "$@"; }
network 127.88.5
start_backend
stage=$work
declare -A pids_of urls_of headers_of
for workers in 1 2; do
  work=$stage/$workers of_both=$backend
  network 127.88.$((5 + workers))
  backend=$of_both
  mkdir -m 711 "$work"
  certificate
  start_nginx
  pids_of[nginx-$workers]=$peer urls_of[nginx-$workers]=http://$proxies:8280/menu headers_of[nginx-$workers]="X-Nobody: nobody"
  found_node
  start_node env
  publish
  pids_of[portcullis-$workers]=$node urls_of[portcullis-$workers]=http://$address:8280/bench/1/menu headers_of[portcullis-$workers]="Authorization: Bearer $token"
done
work=$stage
measure() { # name
  local before after out
  before=$(cpu_ticks "${pids_of[$1]}")
  out=$(wrk -t2 -c"$connections" -d"${seconds}s" -H "${headers_of[$1]}" "${urls_of[$1]}")
  after=$(cpu_ticks "${pids_of[$1]}")
  answered_well "$1" "$out"
  awk -v n="$1" -v t=$((after - before)) -v hz="$ticks" -v r="$(awk '/requests in/ {print $1}' <<< "$out")" -v q="$(awk '/Requests\/sec/ {print $2}' <<< "$out")" \
    'BEGIN { printf "%-13s %7.2f µs CPU/request  %9.0f requests/s\n", n, t / hz * 1e6 / r, q }'
}
echo "$connections connections; of one worker and of two:"
names=(nginx-1 nginx-2 portcullis-1 portcullis-2)
for round in $(seq "$rounds"); do
  for at in 0 1 2 3; do measure "${names[$(((at + round) % 4))]}"; done
done | tee "$work/rows"
for name in nginx portcullis; do
  grown=$(paste <(column "$name-1" 2) <(column "$name-2" 2) | awk '{ print 2 * $1 / $2 }' | median)
  awk -v n="$name" -v a="$(column "$name-1" 2 | median)" -v b="$(column "$name-2" 2 | median)" -v grown="$grown" 'BEGIN {
    printf "%s: %.2f µs a call with one worker, %.2f with two: two cores carry %.2f times as much (median of pairs %.2f)\n", n, a, b, 2 * a / b, grown }'
done
