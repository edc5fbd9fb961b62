# What the scripts that load a gateway stand on: a backend, a node whose API is published with a token and two quotas, and
# other proxies before the same backend. To be sourced, with `need TOOL...` and `network` (such as 127.88.0) called first.
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

# Other proxies, which do nothing but forward: each on the first core, its process id in $peer.
start_nginx() { # http on :8280, https on :8243
  cat > "$work/nginx.conf" <<CONF
worker_processes 1; daemon off; pid $work/nginx.pid; error_log $work/nginx.log crit;
events { worker_connections 4096; }
http { access_log off; keepalive_requests 1000000000;
  upstream backend { server $backend; keepalive 256; keepalive_requests 1000000000; }
  server { listen $proxies:8280; listen $proxies:8243 ssl; ssl_certificate $work/cert.pem; ssl_certificate_key $work/key.pem;
    location / { proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; } } }
CONF
  pin 0 nginx -c "$work/nginx.conf" & peer=$!; pids+=("$peer")
}
start_haproxy() { # http on :8380, https on :8343
  cat > "$work/haproxy.cfg" <<CONF
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend proxies
  bind $proxies:8380
  bind $proxies:8343 ssl crt $work/both.pem
  default_backend backend
backend backend
  server backend $backend
CONF
  pin 0 haproxy -f "$work/haproxy.cfg" & peer=$!; pids+=("$peer")
}
start_envoy() { # http on :8480, https on :8443; the program is ENVOY
  local listener='filter_chains: [{filters: [{name: envoy.filters.network.http_connection_manager, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: in, route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: backend}}]}]}, http_filters: [{name: envoy.filters.http.router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]}}]TLS}]'
  local tls=", transport_socket: {name: envoy.transport_sockets.tls, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext, common_tls_context: {tls_certificates: [{certificate_chain: {filename: $work/cert.pem}, private_key: {filename: $work/key.pem}}]}}}"
  cat > "$work/envoy.yaml" <<CONF
static_resources:
  listeners:
  - {name: plain, address: {socket_address: {address: $proxies, port_value: 8480}}, ${listener/TLS/}}
  - {name: tls, address: {socket_address: {address: $proxies, port_value: 8443}}, ${listener/TLS/$tls}}
  clusters:
  - {name: backend, type: STATIC, connect_timeout: 5s, load_assignment: {cluster_name: backend, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: ${backend%:*}, port_value: ${backend#*:}}}}}]}]}}
CONF
  pin 0 "${ENVOY:-envoy}" -c "$work/envoy.yaml" --concurrency 1 --disable-hot-restart -l error & peer=$!; pids+=("$peer")
}

# One node of one worker. `start_node COMMAND...` runs it by a command.
found_node() {
  printf '%s' bench-password > "$work/password"
  "$binary" cluster bootstrap --data-dir "$work/n1" --bind "$address" --admin-password-file "$work/password" >/dev/null 2>&1
}
start_node() {
  PORTCULLIS_GATEWAY__WORKERS=1 "$@" "$binary" server --data-dir "$work/n1" > "$work/node.log" 2>&1 & node=$!
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
# Publishes /bench/1 with a plan and a policy of the application that limit, and gets a token into $token.
publish() {
  local limit='{"type":"REQUESTCOUNTLIMIT","requestCount":{"timeUnit":"min","unitTime":1,"requestCount":500000000}}' id revision app
  json /api/am/admin/v4/throttling/policies/subscription "{\"policyName\":\"Bench\",\"displayName\":\"Bench\",\"defaultLimit\":$limit,\"stopOnQuotaReach\":true,\"billingPlan\":\"FREE\"}" >/dev/null
  json /api/am/admin/v4/throttling/policies/application "{\"policyName\":\"BenchApp\",\"displayName\":\"BenchApp\",\"defaultLimit\":$limit}" >/dev/null
  id=$(json /api/am/publisher/v4/apis "{\"name\":\"bench\",\"context\":\"/bench\",\"version\":\"1\",\"policies\":[\"Bench\"],\"endpointConfig\":{\"endpoint_type\":\"http\",\"production_endpoints\":{\"url\":\"http://$backend\"}},\"operations\":[{\"target\":\"/*\",\"verb\":\"GET\"},{\"target\":\"/*\",\"verb\":\"POST\"}]}" | field id)
  revision=$(json "/api/am/publisher/v4/apis/$id/revisions" '{"description":"1"}' | field id)
  json "/api/am/publisher/v4/apis/$id/deploy-revision?revisionId=$revision" '[{"name":"Default","vhost":"localhost","displayOnDevportal":true}]' >/dev/null
  api -X POST "$base/api/am/publisher/v4/apis/change-lifecycle?action=Publish&apiId=$id" >/dev/null
  app=$(json /api/am/devportal/v3/applications '{"name":"bench","throttlingPolicy":"BenchApp","tokenType":"OAUTH"}' | field applicationId)
  token=$(json "/api/am/devportal/v3/applications/$app/generate-keys" '{"keyType":"PRODUCTION","grantTypesToBeSupported":["client_credentials"],"validityTime":86400}' | field accessToken)
  json /api/am/devportal/v3/subscriptions "{\"applicationId\":\"$app\",\"apiId\":\"$id\",\"throttlingPolicy\":\"Bench\"}" >/dev/null
  curl -sf -H "Authorization: Bearer $token" "http://$address:8280/bench/1/menu" >/dev/null
}
