# What the scripts that load a gateway stand on: a backend, and a node whose API is published with a token and two quotas.
# Other proxies before the same backend are in gateway-peers.sh. To be sourced, with `need TOOL...` and `network` (such as 127.88.0) called first.
#
# The backend is nginx: 1 KiB of JSON at any path, 100 KiB at /large. The program is COUNTED where that is set, else
# target/release/portcullis.
binary=${COUNTED:-$PWD/target/release/portcullis}
work=$(mktemp -d)
chmod 711 "$work" # the workers of nginx, which are nobody, read the large answer in it
pids=()
cleanup() { for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done; wait 2>/dev/null || true; rm -rf "$work"; }
trap cleanup EXIT

need() { # tools that must be there
  local tool
  for tool in "$@"; do
    command -v "$tool" >/dev/null || { echo "error: $tool is missing; try: apt-get install nginx haproxy wrk curl openssl valgrind strace nghttp2-client" >&2; exit 1; }
  done
  [ -x "$binary" ] || { echo "error: $binary is missing; try: cargo build --release" >&2; exit 1; }
}
network() { # the first three numbers of loopback addresses that nobody else uses
  address=$1.1 backend=$1.2:9000 proxies=$1.3
  base=https://$address:9443
}
# Where processes run: `pin CORE COMMAND`, in a shell of its own, which becomes the command, so that to end the one ends the
# other. A machine with one core has them all there.
pin() { local core=$1; shift; if [ "$(nproc)" -gt "$core" ]; then exec taskset -c "$core" "$@"; else exec "$@"; fi; }

start_backend() { # on the second core
  local body; body=$(head -c 1000 /dev/zero | tr '\0' x)
  head -c 102400 /dev/zero | tr '\0' y > "$work/large"
  cat > "$work/backend.conf" <<CONF
worker_processes 1; daemon off; pid $work/backend.pid; error_log $work/backend.log crit;
events { worker_connections 4096; }
http { access_log off; keepalive_requests 1000000000;
  server { listen $backend reuseport;
    location / { default_type application/json; return 200 '{"pizza":"$body"}'; }
    location /large { default_type application/json; alias $work/large; open_file_cache max=10; sendfile on; } } }
CONF
  pin 1 nginx -c "$work/backend.conf" & pids+=($!)
}

certificate() { # for the proxies that end TLS
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
  cat "$work/cert.pem" "$work/key.pem" > "$work/both.pem"
}

# The processor time that was taken, in $ticks a second.
ticks=$(getconf CLK_TCK)
cpu_ticks() { # of a process and its children
  local sum=0 pid
  for pid in "$1" $(pgrep -P "$1" || true); do
    set -- $(sed 's/.*) //' "/proc/$pid/stat"); sum=$((sum + ${12} + ${13}))
  done
  echo "$sum"
}

# Stops where wrk says that not every call was answered well.
answered_well() { # name output
  if grep -q 'Non-2xx\|Socket errors' <<< "$2"; then echo "error: $1 answered with errors: $2" >&2; exit 1; fi
}
# Of the rows in $work/rows that begin with a name, a column; and the median of a column.
column() { awk -v name="$1" -v column="$2" '$1 == name { print $column }' "$work/rows"; }
median() { sort -n | awk '{ v[NR] = $1 } END { print (NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2) }'; }

# One node of one worker, or of $workers. `start_node COMMAND...` runs it by a command.
found_node() {
  printf '%s' bench-password > "$work/password"
  "$binary" cluster bootstrap --data-dir "$work/n1" --bind "$address" --admin-password-file "$work/password" >/dev/null 2>&1
}
start_node() {
  PORTCULLIS_GATEWAY__WORKERS=${workers:-1} "$@" "$binary" server --data-dir "$work/n1" > "$work/node.log" 2>&1 & node=$!
  pids+=("$node")
  until curl -sf "http://$address:9763/readyz" >/dev/null 2>&1; do kill -0 "$node"; sleep 0.1; done
}
api() { curl -sS --fail-with-body --cacert "$work/n1/tls/ca.pem" -u admin:bench-password "$@"; }
json() { api -H 'content-type: application/json' "$base$1" -d "$2"; }
field() { python3 -c 'import json, sys
def find(node, name):
    if isinstance(node, dict):
        if name in node: return node[name]
        node = list(node.values())
    for one in node if isinstance(node, list) else []:
        found = find(one, name)
        if found is not None: return found
print(find(json.load(sys.stdin), sys.argv[1]))' "$1"; }
# Publishes an API before the backend; its id is in $api_id.
publish_api() { # name plan auth-type [action: Publish]
  local operation=",\"authType\":\"$3\"" revision
  api_id=$(json /api/am/publisher/v4/apis "{\"name\":\"$1\",\"context\":\"/$1\",\"version\":\"1\",\"policies\":[\"$2\"],\"endpointConfig\":{\"endpoint_type\":\"http\",\"production_endpoints\":{\"url\":\"http://$backend\"}},\"operations\":[{\"target\":\"/*\",\"verb\":\"GET\"$operation},{\"target\":\"/*\",\"verb\":\"POST\"$operation}]}" | field id)
  revision=$(json "/api/am/publisher/v4/apis/$api_id/revisions" '{"description":"1"}' | field id)
  json "/api/am/publisher/v4/apis/$api_id/deploy-revision?revisionId=$revision" '[{"name":"Default","vhost":"localhost","displayOnDevportal":true}]' >/dev/null
  api -X POST "$base/api/am/publisher/v4/apis/change-lifecycle?action=${4:-Publish}&apiId=$api_id" >/dev/null
}
# Publishes /bench/1 with a plan and a policy of the application that limit, and gets a token into $token.
publish() {
  local limit='{"type":"REQUESTCOUNTLIMIT","requestCount":{"timeUnit":"min","unitTime":1,"requestCount":500000000}}'
  json /api/am/admin/v4/throttling/policies/subscription "{\"policyName\":\"Bench\",\"displayName\":\"Bench\",\"defaultLimit\":$limit,\"stopOnQuotaReach\":true,\"billingPlan\":\"FREE\"}" >/dev/null
  json /api/am/admin/v4/throttling/policies/application "{\"policyName\":\"BenchApp\",\"displayName\":\"BenchApp\",\"defaultLimit\":$limit}" >/dev/null
  publish_api bench Bench 'Application & Application User'
  app=$(json /api/am/devportal/v3/applications '{"name":"bench","throttlingPolicy":"BenchApp","tokenType":"OAUTH"}' | field applicationId)
  token=$(json "/api/am/devportal/v3/applications/$app/generate-keys" '{"keyType":"PRODUCTION","grantTypesToBeSupported":["client_credentials"],"validityTime":86400}' | field accessToken)
  json /api/am/devportal/v3/subscriptions "{\"applicationId\":\"$app\",\"apiId\":\"$api_id\",\"throttlingPolicy\":\"Bench\"}" >/dev/null
  curl -sf -H "Authorization: Bearer $token" "http://$address:8280/bench/1/menu" >/dev/null
}
# Gets a token of the same application that is signed and carries what it allows, into $token; the key and the secret that it is asked
# for with are in $client.
signed_token() {
  local keys
  api -X PUT -H 'content-type: application/json' "$base/api/am/devportal/v3/applications/$app" \
    -d '{"name":"bench","throttlingPolicy":"BenchApp","tokenType":"JWT"}' >/dev/null
  keys=$(api "$base/api/am/devportal/v3/applications/$app/oauth-keys")
  client=$(field consumerKey <<< "$keys"):$(field consumerSecret <<< "$keys")
  token=$(curl -sS --fail-with-body --cacert "$work/n1/tls/ca.pem" -d grant_type=client_credentials "$base/oauth2/token" \
    -u "$client" | field access_token)
}
