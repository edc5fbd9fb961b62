#!/usr/bin/env bash
# Compares the gateway, with token and quotas on, with bare nginx as reverse proxy: CPU per request and requests/s.
#
# Both proxies are pinned to one core, in alternation; load and backend share the other. Needs Debian's nginx, wrk and
# curl, and `cargo build --release`. Usage: scripts/compare-gateway.sh [ROUNDS] [SECONDS] [CONNECTIONS]
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-5} seconds=${2:-8} connections=${3:-64}
binary=$PWD/target/release/portcullis
for tool in nginx wrk curl taskset; do
  command -v "$tool" >/dev/null || { echo "error: $tool is missing; try: apt-get install nginx wrk curl" >&2; exit 1; }
done
[ -x "$binary" ] || { echo "error: $binary is missing; try: cargo build --release" >&2; exit 1; }
work=$(mktemp -d)
pids=()
cleanup() { for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done; wait 2>/dev/null || true; rm -rf "$work"; }
trap cleanup EXIT
address=127.88.0.1

# The backend: nginx that returns 1 KiB of JSON.
body=$(head -c 1000 /dev/zero | tr '\0' x)
cat > "$work/backend.conf" <<EOF
worker_processes 1; daemon off; pid $work/backend.pid; error_log $work/backend.log crit;
events { worker_connections 4096; }
http { access_log off; keepalive_requests 1000000000;
  server { listen 127.88.0.2:9000 reuseport; location / { default_type application/json; return 200 '{"pizza":"$body"}'; } } }
EOF
cat > "$work/proxy.conf" <<EOF
worker_processes 1; daemon off; pid $work/proxy.pid; error_log $work/proxy.log crit;
events { worker_connections 4096; }
http { access_log off; keepalive_requests 1000000000;
  upstream backend { server 127.88.0.2:9000; keepalive 256; keepalive_requests 1000000000; }
  server { listen 127.88.0.3:8280; location / { proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; } } }
EOF
taskset -c 1 nginx -c "$work/backend.conf" & pids+=($!)
taskset -c 0 nginx -c "$work/proxy.conf" & pids+=($!)

# One node, its API published by the command line of the README's tour.
password=bench-password
printf '%s' "$password" > "$work/password"
"$binary" cluster bootstrap --data-dir "$work/n1" --bind "$address" --admin-password-file "$work/password" >/dev/null 2>&1
PORTCULLIS_GATEWAY__WORKERS=1 taskset -c 0 "$binary" server --data-dir "$work/n1" 2> "$work/node.log" & pids+=($!)
node=$!
until curl -sf "http://$address:9763/readyz" >/dev/null 2>&1; do kill -0 "$node"; sleep 0.05; done
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
api -H 'content-type: application/json' "$base/api/am/admin/v4/throttling/policies/subscription" -d '{"policyName":"Bench","displayName":"Bench","defaultLimit":{"type":"REQUESTCOUNTLIMIT","requestCount":{"timeUnit":"min","unitTime":1,"requestCount":500000000}},"stopOnQuotaReach":true,"billingPlan":"FREE"}' >/dev/null
api -H 'content-type: application/json' "$base/api/am/admin/v4/throttling/policies/application" -d '{"policyName":"BenchApp","displayName":"BenchApp","defaultLimit":{"type":"REQUESTCOUNTLIMIT","requestCount":{"timeUnit":"min","unitTime":1,"requestCount":500000000}}}' >/dev/null
id=$(api -H 'content-type: application/json' "$base/api/am/publisher/v4/apis" -d '{"name":"bench","context":"/bench","version":"1","policies":["Bench"],"endpointConfig":{"endpoint_type":"http","production_endpoints":{"url":"http://127.88.0.2:9000"}},"operations":[{"target":"/*","verb":"GET"}]}' | field id)
revision=$(api -H 'content-type: application/json' "$base/api/am/publisher/v4/apis/$id/revisions" -d '{"description":"1"}' | field id)
api -H 'content-type: application/json' "$base/api/am/publisher/v4/apis/$id/deploy-revision?revisionId=$revision" -d '[{"name":"Default","vhost":"localhost","displayOnDevportal":true}]' >/dev/null
api -X POST "$base/api/am/publisher/v4/apis/change-lifecycle?action=Publish&apiId=$id" >/dev/null
app=$(api -H 'content-type: application/json' "$base/api/am/devportal/v3/applications" -d '{"name":"bench","throttlingPolicy":"BenchApp","tokenType":"OAUTH"}' | field applicationId)
token=$(api -H 'content-type: application/json' "$base/api/am/devportal/v3/applications/$app/generate-keys" -d '{"keyType":"PRODUCTION","grantTypesToBeSupported":["client_credentials"],"validityTime":86400}' | field accessToken)
api -H 'content-type: application/json' "$base/api/am/devportal/v3/subscriptions" -d "{\"applicationId\":\"$app\",\"apiId\":\"$id\",\"throttlingPolicy\":\"Bench\"}" >/dev/null
curl -sf -H "Authorization: Bearer $token" "http://$address:8280/bench/1/menu" >/dev/null

ticks=$(getconf CLK_TCK)
cpu_ticks() { # of a process and its children
  local sum=0 pid
  for pid in "$1" $(pgrep -P "$1" || true); do
    set -- $(sed 's/.*) //' "/proc/$pid/stat"); sum=$((sum + ${12} + ${13}))
  done
  echo "$sum"
}
measure() { # name pid url [wrk arguments]
  local name=$1 pid=$2 url=$3; shift 3
  local before after out requests rate
  before=$(cpu_ticks "$pid")
  out=$(taskset -c 1 wrk -t1 -c"$connections" -d"${seconds}s" --latency "$@" "$url")
  after=$(cpu_ticks "$pid")
  requests=$(awk '/requests in/ {print $1}' <<< "$out")
  rate=$(awk '/Requests\/sec/ {print $2}' <<< "$out")
  if grep -q 'Non-2xx' <<< "$out"; then echo "error: $name answered with errors: $out" >&2; exit 1; fi
  awk -v n="$name" -v t=$((after - before)) -v hz="$ticks" -v r="$requests" -v q="$rate" -v p="$(awk '/99%/ {print $2}' <<< "$out")" \
    'BEGIN { printf "%-11s %7.2f µs CPU/request  %9.0f requests/s  p99 %s\n", n, t / hz * 1e6 / r, q, p }'
}
for round in $(seq "$rounds"); do
  measure nginx "${pids[1]}" "http://127.88.0.3:8280/menu"
  measure portcullis "$node" "http://$address:8280/bench/1/menu" -H "Authorization: Bearer $token"
done | tee "$work/rows"
median() { awk -v name="$1" -v column="$2" '$1 == name { print $column }' "$work/rows" | sort -n | awk '{ v[NR] = $1 } END { print (NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2) }'; }
awk -v a="$(median portcullis 2)" -v b="$(median nginx 2)" -v c="$(median portcullis 5)" -v d="$(median nginx 5)" 'BEGIN {
  printf "median CPU per request: portcullis %.2f µs, nginx %.2f µs, ratio %.2f\n", a, b, a / b
  printf "median requests/s: portcullis %.0f, nginx %.0f, ratio %.2f\n", c, d, c / d }'
echo "resident memory of the node: $(awk '/VmRSS/ {print $2, $3}' "/proc/$node/status")"
