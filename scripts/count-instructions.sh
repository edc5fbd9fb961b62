#!/usr/bin/env bash
# Counts what a call costs the gateway in instructions of user space and in system calls: figures that neighbours on the
# machine do not change. The same call as in compare-gateway.sh: opaque token, two quotas, statistics, 1 KiB of JSON.
#
# Needs Debian's valgrind, strace, nginx, wrk and curl, and `cargo build --release`. The program is COUNTED where that is
# set. Usage: scripts/count-instructions.sh [CONNECTIONS] [SECONDS OF COUNTING]
set -euo pipefail
cd "$(dirname "$0")/.."
connections=${1:-16} seconds=${2:-10}
binary=${COUNTED:-$PWD/target/release/portcullis}
for tool in valgrind strace nginx wrk curl; do
  command -v "$tool" >/dev/null || { echo "error: $tool is missing; try: apt-get install valgrind strace nginx wrk curl" >&2; exit 1; }
done
[ -x "$binary" ] || { echo "error: $binary is missing; try: cargo build --release" >&2; exit 1; }
work=$(mktemp -d)
pids=()
cleanup() { for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done; wait 2>/dev/null || true; rm -rf "$work"; }
trap cleanup EXIT
address=127.88.1.1

# The backend: nginx that returns 1 KiB of JSON.
body=$(head -c 1000 /dev/zero | tr '\0' x)
cat > "$work/backend.conf" <<CONF
worker_processes 1; daemon off; pid $work/backend.pid; error_log $work/backend.log crit;
events { worker_connections 4096; }
http { access_log off; keepalive_requests 1000000000;
  server { listen 127.88.1.2:9000 reuseport; location / { default_type application/json; return 200 '{"pizza":"$body"}'; } } }
CONF
nginx -c "$work/backend.conf" & pids+=($!)

password=bench-password
printf '%s' "$password" > "$work/password"
"$binary" cluster bootstrap --data-dir "$work/n1" --bind "$address" --admin-password-file "$work/password" >/dev/null 2>&1
start() { # the command to run the node by
  PORTCULLIS_GATEWAY__WORKERS=1 "$@" "$binary" server --data-dir "$work/n1" > "$work/node.log" 2>&1 & node=$!
  pids+=("$node")
  until curl -sf "http://$address:9763/readyz" >/dev/null 2>&1; do kill -0 "$node"; sleep 0.2; done
}
api() { curl -sS --fail-with-body --cacert "$work/n1/tls/ca.pem" -u "admin:$password" "$@"; }
base=https://$address:9443
field() { python3 -c 'import json, sys
def find(node, name):
    if isinstance(node, dict):
        if name in node: return node[name]
        node = list(node.values())
    for one in node if isinstance(node, list) else []:
        found = find(one, name)
        if found is not None: return found
print(find(json.load(sys.stdin), sys.argv[1]))' "$1"; }
json() { api -H 'content-type: application/json' "$base$1" -d "$2"; }
publish() {
  local limit='{"type":"REQUESTCOUNTLIMIT","requestCount":{"timeUnit":"min","unitTime":1,"requestCount":500000000}}' id revision app
  json /api/am/admin/v4/throttling/policies/subscription "{\"policyName\":\"Bench\",\"displayName\":\"Bench\",\"defaultLimit\":$limit,\"stopOnQuotaReach\":true,\"billingPlan\":\"FREE\"}" >/dev/null
  json /api/am/admin/v4/throttling/policies/application "{\"policyName\":\"BenchApp\",\"displayName\":\"BenchApp\",\"defaultLimit\":$limit}" >/dev/null
  id=$(json /api/am/publisher/v4/apis '{"name":"bench","context":"/bench","version":"1","policies":["Bench"],"endpointConfig":{"endpoint_type":"http","production_endpoints":{"url":"http://127.88.1.2:9000"}},"operations":[{"target":"/*","verb":"GET"}]}' | field id)
  revision=$(json "/api/am/publisher/v4/apis/$id/revisions" '{"description":"1"}' | field id)
  json "/api/am/publisher/v4/apis/$id/deploy-revision?revisionId=$revision" '[{"name":"Default","vhost":"localhost","displayOnDevportal":true}]' >/dev/null
  api -X POST "$base/api/am/publisher/v4/apis/change-lifecycle?action=Publish&apiId=$id" >/dev/null
  app=$(json /api/am/devportal/v3/applications '{"name":"bench","throttlingPolicy":"BenchApp","tokenType":"OAUTH"}' | field applicationId)
  token=$(json "/api/am/devportal/v3/applications/$app/generate-keys" '{"keyType":"PRODUCTION","grantTypesToBeSupported":["client_credentials"],"validityTime":86400}' | field accessToken)
  json /api/am/devportal/v3/subscriptions "{\"applicationId\":\"$app\",\"apiId\":\"$id\",\"throttlingPolicy\":\"Bench\"}" >/dev/null
}
call() { # for how long
  local out
  out=$(wrk -t1 -c"$connections" -d"$1s" -H "Authorization: Bearer $token" "http://$address:8280/bench/1/menu")
  if grep -q 'Non-2xx' <<< "$out"; then echo "error: answered with errors: $out" >&2; exit 1; fi
  awk '/requests in/ {print $1}' <<< "$out"
}
thread_of_worker() { grep -lx gateway-0 "/proc/$node"/task/*/comm | cut -d/ -f5; }
stop() { kill "$node"; wait "$node" 2>/dev/null || true; }

# System calls of the worker's thread.
start env
publish
call 1 >/dev/null
strace -c -o "$work/calls" -p "$(thread_of_worker)" & tracer=$!
sleep 0.5
count=$(call 3)
kill -INT "$tracer"; wait "$tracer" || true
echo "system calls per request ($count requests, $connections connections):"
awk -v n="$count" '$4 ~ /^[0-9]+$/ && $NF != "total" && $4 / n >= 0.005 { printf "  %-16s %6.2f\n", $NF, $4 / n }' "$work/calls"
stop

# Instructions of the worker's thread. Each thread has a file of its own.
start valgrind --tool=callgrind --separate-threads=yes --instr-atstart=no --collect-jumps=no --callgrind-out-file="$work/out" --quiet
# The first calls of a node that valgrind slows down may be answered before the cluster has granted of the quotas.
(call 3) >/dev/null 2>&1 || true
callgrind_control --instr=on "$node" >/dev/null
call 2 >/dev/null
callgrind_control --zero "$node" >/dev/null
count=$(call "$seconds")
callgrind_control --dump "$node" >/dev/null
callgrind_control --instr=off "$node" >/dev/null
# The thread that ran most instructions is the worker's.
file=$(for one in "$work"/out.1-*; do echo "$(awk '/^totals:/ {print $2}' "$one") $one"; done | sort -rn | head -1 | cut -d' ' -f2)
instructions=$(awk '/^totals:/ {print $2}' "$file")
echo "instructions of user space per request ($count requests): $((instructions / count))"
[ -z "${KEEP:-}" ] || { cp "$file" "$KEEP"; echo "$count" > "$KEEP.count"; }
for kind in no yes; do
  echo "the dearest functions, per request, $([ "$kind" = yes ] && echo 'with what they call' || echo 'by themselves'):"
  callgrind_annotate --inclusive="$kind" --auto=no --threshold=100 "$file" 2>/dev/null |
    awk -v n="$count" -v inclusive="$kind" '/^ *[0-9,]+ \(/ && !/PROGRAM TOTALS/ {
      cost = $1; gsub(",", "", cost); sub(/^ *[0-9,]+ \([^)]*\) */, ""); sub(/^[^:]*:/, ""); sub(/ \[[^]]*\]$/, "")
      if (inclusive == "no") costs[$0] += cost; else if (cost > costs[$0]) costs[$0] = cost
    } END { for (name in costs) if (costs[name] / n >= 60) printf "  %7.0f  %.150s\n", costs[name] / n, name }' | sort -rn | head -45
done
