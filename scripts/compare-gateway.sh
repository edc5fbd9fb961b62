#!/usr/bin/env bash
# Compares the gateway, with token, quotas at every level and statistics on, with other proxies that do nothing but
# forward: CPU per request and requests/s.
#
# All proxies are pinned to one core, in alternation; load and backend share the other. Needs Debian's nginx, wrk and
# curl, and `cargo build --release`. Usage: scripts/compare-gateway.sh [ROUNDS] [SECONDS] [CONNECTIONS]
# With CHECKS=1 the others check a signed token and count against a limit too (see gateway-peers.sh), and Portcullis is shown a signed
# token, with CHECKS=same they check the very same (TOKEN_CACHE=0: each time, as HAProxy does); with PASSES=1 its API has neither token
# nor limit.
# Settings: LOAD=get (1 KiB back), paths (the same, each call with another query), post (1 KiB there and back), large (100 KiB back),
# https (1 KiB back over TLS);
# PEERS="nginx haproxy envoy" (nginx alone; envoy is the program ENVOY; none where it is empty).
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-5} seconds=${2:-8} connections=${3:-64} load=${LOAD:-get} peers=${PEERS-nginx}
. scripts/gateway-stage.sh
. scripts/gateway-peers.sh
need nginx wrk curl taskset openssl ${peers/envoy/"${ENVOY:-envoy}"}
network 127.88.0
start_backend
certificate
found_node
start_node pin 0
publish
target_of_api=/bench/1 shown=("Authorization: Bearer $token")
if [ -n "${PASSES:-}" ]; then publish_api open Unlimited None Deploy%20as%20a%20Prototype; target_of_api=/open/1 shown=("X-Nobody: nobody"); fi
if [ -n "$checks" ]; then signed_token; shown=("Authorization: Bearer $token"); fi
case $checks in '') ;; 1) sign_token ;; same) take_token ;; *) echo "error: CHECKS must be 1 or same" >&2; exit 1 ;; esac
scheme=http target=/menu script=; declare -A port=([nginx]=8280 [haproxy]=8380 [envoy]=8480 [portcullis]=8280)
case $load in
  get) ;;
  paths) script='local n = 0\nrequest = function() n = n + 1; return wrk.format(nil, wrk.path .. "?item=" .. n) end\n' ;;
  post) script='wrk.method = "POST"\nwrk.body = string.rep("z", 1024)\nwrk.headers["content-type"] = "text/plain"\n' ;;
  large) target=/large ;;
  https) scheme=https; port=([nginx]=8243 [haproxy]=8343 [envoy]=8443 [portcullis]=8243) ;;
  *) echo "error: LOAD must be get, paths, post, large or https" >&2; exit 1 ;;
esac
declare -A peer_of
for one in $peers; do "start_$one"; peer_of[$one]=$peer; done
for one in $peers; do
  until curl -s -o /dev/null "$scheme://$proxies:${port[$one]}/" --insecure; do kill -0 "${peer_of[$one]}"; sleep 0.1; done
done
[ -z "$script" ] || printf '%b' "$script" > "$work/load.lua"
measure() { # name pid url [wrk arguments]
  local name=$1 pid=$2 url=$3; shift 3
  local before after out requests rate
  [ -z "$script" ] || set -- -s "$work/load.lua" "$@"
  before=$(cpu_ticks "$pid")
  out=$(pin 1 wrk -t1 -c"$connections" -d"${seconds}s" --latency "$@" "$url")
  after=$(cpu_ticks "$pid")
  requests=$(awk '/requests in/ {print $1}' <<< "$out")
  rate=$(awk '/Requests\/sec/ {print $2}' <<< "$out")
  answered_well "$name" "$out"
  awk -v n="$name" -v t=$((after - before)) -v hz="$ticks" -v r="$requests" -v q="$rate" -v p="$(awk '/99%/ {print $2}' <<< "$out")" \
    'BEGIN { printf "%-11s %7.2f µs CPU/request  %9.0f requests/s  p99 %s\n", n, t / hz * 1e6 / r, q, p }'
}
echo "$load, $connections connections:"
for round in $(seq "$rounds"); do
  for one in $peers; do measure "$one" "${peer_of[$one]}" "$scheme://$proxies:${port[$one]}$target" ${checks:+-H "Authorization: Bearer $peer_token"}; done
  measure portcullis "$node" "$scheme://$address:${port[portcullis]}$target_of_api$target" -H "${shown[0]}"
done | tee "$work/rows"
for one in $peers; do
  awk -v n="$one" -v a="$(column portcullis 2 | median)" -v b="$(column "$one" 2 | median)" -v c="$(column portcullis 5 | median)" -v d="$(column "$one" 5 | median)" 'BEGIN {
    printf "median CPU per request: portcullis %.2f µs, %s %.2f µs, ratio %.2f\n", a, n, b, a / b
    printf "median requests/s: portcullis %.0f, %s %.0f, ratio %.2f\n", c, n, d, c / d }'
done
echo "resident memory of the node: $(awk '/VmRSS/ {print $2, $3}' "/proc/$node/status")"
