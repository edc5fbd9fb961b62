#!/usr/bin/env bash
# Compares committed writes per second on one or three nodes with etcd's, over HTTP in both cases, in alternation on one disk.
#
# Portcullis changes an application (a real command: validated, mutual TLS between nodes, HTTPS to the client);
# etcd puts 256-byte values through its JSON gateway, without TLS or, where TLS=1, with TLS between its members and to the
# client, with certificates that it makes itself. Needs Debian's etcd-server, wrk, curl, python3, and
# `cargo build --release` (or the binary named by PORTCULLIS).
# PEERS= measures without etcd. Usage: [NODES=1] [TLS=1] scripts/compare-writes.sh [ROUNDS] [SECONDS] [CONNECTIONS...]
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-3} seconds=${2:-8}
shift $(($# > 2 ? 2 : $#))
connections=("${@:-64}")
nodes=${NODES:-3}
scheme=http tls=() name=etcd
[ -z "${TLS:-}" ] || { scheme=https tls=(--auto-tls --peer-auto-tls) name=etcd+tls; }
binary=${PORTCULLIS:-$PWD/target/release/portcullis}
[ "$nodes" = 1 ] || [ "$nodes" = 3 ] || { echo "error: NODES is 1 or 3" >&2; exit 1; }
peers=${PEERS-etcd}
for tool in $peers wrk curl python3; do
  command -v "$tool" >/dev/null || { echo "error: $tool is missing; try: apt-get install etcd-server wrk curl python3" >&2; exit 1; }
done
[ -x "$binary" ] || { echo "error: $binary is missing; try: cargo build --release" >&2; exit 1; }
work=$(mktemp -d)
pids=()
cleanup() { for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done; wait 2>/dev/null || true; rm -rf "$work"; }
trap cleanup EXIT

start_etcd() { # as many members
  local members n comma
  members=$(for n in $(seq "$nodes"); do printf "%se$n=$scheme://127.89.0.$n:2380" "${comma:-}"; comma=,; done)
  for n in $(seq "$nodes"); do
    etcd --name "e$n" --data-dir "$work/e$n" --initial-cluster "$members" --initial-cluster-state new "${tls[@]}" \
      --listen-peer-urls "$scheme://127.89.0.$n:2380" --initial-advertise-peer-urls "$scheme://127.89.0.$n:2380" \
      --listen-client-urls "$scheme://127.89.0.$n:2379" --advertise-client-urls "$scheme://127.89.0.$n:2379" \
      >"$work/etcd$n.log" 2>&1 & pids+=($!)
  done
  until curl -skf "$scheme://127.89.0.1:2379/health" 2>/dev/null | grep -q true; do sleep 0.1; done
}
[ -z "$peers" ] || start_etcd

# Portcullis: as many nodes.
password=bench-password
printf '%s' "$password" > "$work/password"
cd "$work"
export PORTCULLIS_USER=admin PORTCULLIS_PASSWORD=$password HOME=$work
start() { "$binary" server --data-dir "$work/n$1" 2>"$work/n$1.log" & pids+=($!); until curl -sf "http://127.88.1.$1:9763/readyz" >/dev/null 2>&1; do sleep 0.1; done; }
"$binary" cluster bootstrap --data-dir n1 --bind 127.88.1.1 --admin-password-file password >/dev/null 2>&1
start 1
for n in $(seq 2 "$nodes"); do
  token=$("$binary" cluster token create --server https://127.88.1.1:9443 --data-dir n1 2>/dev/null)
  "$binary" cluster join --data-dir "n$n" --bind "127.88.1.$n" --token "$token" >/dev/null 2>&1
  start "$n"
done
until [ "$("$binary" cluster status --server https://127.88.1.1:9443 --data-dir n1 -o json | grep -Ec '"role": *"(leader|voter)"')" = "$nodes" ]; do sleep 0.2; done

value=$(head -c 256 /dev/zero | base64 -w0)
cat > put.lua <<EOF
local n, id = 0, 0
function setup(thread) thread:set("id", id) id = id + 1 end
function init() math.randomseed(os.time() + id) salt = math.random(1, 1e9) end
function request() n = n + 1
  return wrk.format("POST", "/v3/kv/put", {["content-type"]="application/json"}, '{"key":"' .. string.format("%08d", n) .. '","value":"$value"}') end
EOF
basic=$(printf 'admin:%s' "$password" | base64 -w0)
# A write of Portcullis: another description for an application.
base=https://127.88.1.1:9443/api/am/devportal/v3/applications
app=$(curl -sS --fail-with-body --cacert n1/tls/ca.pem -u "admin:$password" -H 'content-type: application/json' "$base" \
  -d '{"name":"bench","throttlingPolicy":"Unlimited"}' | grep -o '"applicationId" *: *"[^"]*"' | cut -d '"' -f 4)
cat > change.lua <<EOF
local n = 0
local filler = string.rep("x", 200)
function request() n = n + 1
  return wrk.format("PUT", "/api/am/devportal/v3/applications/$app", {["content-type"]="application/json", authorization="Basic $basic"},
    '{"name":"bench","throttlingPolicy":"Unlimited","description":"' .. filler .. n .. '"}') end
EOF
measure() { # name url script connections
  wrk -t1 -c"$4" -d"${seconds}s" --latency -s "$3" "$2" | awk -v n="$1" -v c="$4" -v nodes="$nodes" '
    /50%/ { p50 = $2 } /99%/ { p99 = $2 } /Non-2xx/ { bad = $0 } /Requests\/sec/ { rate = $2 }
    END { printf "%-10s %d nodes %4d connections %8.0f writes/s  p50 %s  p99 %s %s\n", n, nodes, c, rate, p50, p99, bad }'
}
for c in "${connections[@]}"; do
  for _ in $(seq "$rounds"); do
    [ -z "$peers" ] || measure "$name" "$scheme://127.89.0.1:2379" put.lua "$c"
    measure portcullis https://127.88.1.1:9443 change.lua "$c"
  done
done
