#!/usr/bin/env bash
# Compares what a call costs a gateway of one worker and one of two, and the same of nginx: what two cores carry, by one, is twice the
# one cost by the other. That stands for a measurement of requests/s where load and backend need the same two cores, so that nothing
# carries twice as much there: nothing is pinned but the backend, all of it runs in alternation.
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
  work=$stage/$workers address=127.88.$((5 + workers)).1 proxies=127.88.$((5 + workers)).3 base=https://127.88.$((5 + workers)).1:9443
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
  if grep -q 'Non-2xx\|Socket errors' <<< "$out"; then echo "error: $1 answered with errors: $out" >&2; exit 1; fi
  awk -v n="$1" -v t=$((after - before)) -v hz="$ticks" -v r="$(awk '/requests in/ {print $1}' <<< "$out")" -v q="$(awk '/Requests\/sec/ {print $2}' <<< "$out")" \
    'BEGIN { printf "%-13s %7.2f µs CPU/request  %9.0f requests/s\n", n, t / hz * 1e6 / r, q }'
}
echo "$connections connections; of one worker and of two:"
names=(nginx-1 nginx-2 portcullis-1 portcullis-2)
for round in $(seq "$rounds"); do
  for at in 0 1 2 3; do measure "${names[$(((at + round) % 4))]}"; done
done | tee "$work/rows"
for name in nginx portcullis; do
  awk -v n="$name" '$1 == n "-1" { one[++ones] = $2 } $1 == n "-2" { two[++twos] = $2 }
    function median(v, count,  i, j, t) { for (i = 2; i <= count; i++) for (j = i; j > 1 && v[j - 1] > v[j]; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
      return count % 2 ? v[(count + 1) / 2] : (v[count / 2] + v[count / 2 + 1]) / 2 }
    END { for (i = 1; i <= ones; i++) grown[i] = 2 * one[i] / two[i]
      printf "%s: %.2f µs a call with one worker, %.2f with two: two cores carry %.2f times as much (median of pairs %.2f)\n", n, a = median(one, ones), b = median(two, twos), 2 * a / b, median(grown, ones) }' "$work/rows"
done
