# Other proxies before the backend of gateway-stage.sh: each on the first core, its process id in $peer. To be sourced after
# gateway-stage.sh. They do nothing but forward, or with CHECKS what an API's proxy is there for: they check a signed token and count
# the calls of its subject against a limit that is never reached. With CHECKS=1 the token is a short one of their own (HS256, made by
# `sign_token`), with CHECKS=same the one that Portcullis is shown (read by `take_token`; HAProxy and Envoy alone). It is in $peer_token,
# its key is told to Envoy by $peer_keys, with the issuer in $peer_issuer, and to HAProxy by $peer_algorithm and $peer_key. Envoy
# remembers tokens, unless with TOKEN_CACHE=0.
checks=${CHECKS:-} token_cache=${TOKEN_CACHE:-1000} peer_token= peer_keys= peer_issuer= peer_algorithm= peer_key=
peer_secret=0123456789abcdef0123456789abcdef

base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
sign_token() {
  local text
  text=$(printf '{"alg":"HS256","typ":"JWT"}' | base64url).$(printf '{"iss":"bench","sub":"bench","exp":%s}' $(($(date +%s) + 86400)) | base64url)
  peer_token=$text.$(printf '%s' "$text" | openssl dgst -sha256 -hmac "$peer_secret" -binary | base64url)
  peer_keys='{"keys":[{"kty":"oct","alg":"HS256","k":"'$(printf '%s' "$peer_secret" | base64url)'"}]}'
  peer_issuer=bench peer_algorithm=HS256 peer_key=$peer_secret
}
# Takes the token in $token, of the node of gateway-stage.sh, with the key that checks it, as a file too.
take_token() {
  peer_token=$token peer_key=$work/token-key.pem
  peer_keys=$(api "$base/oauth2/jwks")
  read -r peer_algorithm peer_issuer < <(python3 - "$token" "$peer_keys" "$peer_key" <<'PY'
import base64, json, sys
def decode(text): return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
def der(tag, *parts):
    content = b"".join(parts)
    length = bytes([len(content)]) if len(content) < 128 else bytes([0x82]) + len(content).to_bytes(2, "big")
    return bytes([tag]) + length + content
header, claims = (json.loads(decode(part)) for part in sys.argv[1].split(".")[:2])
key = next(key for key in json.loads(sys.argv[2])["keys"] if key["kid"] == header["kid"])
if key["kty"] == "EC": # P-256, as RFC 5480 writes it
    kind = der(0x30, bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06082a8648ce3d030107"))
    value = b"\4" + decode(key["x"]) + decode(key["y"])
else: # RFC 3279
    kind = der(0x30, bytes.fromhex("06092a864886f70d0101010500"))
    value = der(0x30, der(2, b"\0" + decode(key["n"])), der(2, decode(key["e"])))
text = base64.encodebytes(der(0x30, kind, der(3, b"\0" + value))).decode()
open(sys.argv[3], "w").write(f"-----BEGIN PUBLIC KEY-----\n{text}-----END PUBLIC KEY-----\n")
print(header["alg"], claims["iss"])
PY
  )
}

start_nginx() { # http on :8280, https on :8243; with CHECKS needs Debian's libnginx-mod-http-js
  local module= http= location=
  if [ "$checks" = same ]; then echo "error: CHECKS=same is for HAProxy and Envoy; nginx checks a token of its own, with CHECKS=1" >&2; exit 1; fi
  if [ -n "$checks" ]; then
    module="load_module /usr/lib/nginx/modules/ngx_http_js_module.so;"
    http="js_path $work; js_import check from check.js; js_set \$subject check.subject; limit_req_zone \$subject zone=calls:10m rate=1000000r/s;"
    location="if (\$subject = '') { return 401; } limit_req zone=calls burst=1000000 nodelay;"
    cat > "$work/check.js" <<JS
const crypto = require('crypto');
function subject(r) {
  const parts = (r.headersIn['Authorization'] || '').replace('Bearer ', '').split('.');
  if (parts.length !== 3) return '';
  const hmac = crypto.createHmac('sha256', '$peer_secret').update(parts[0] + '.' + parts[1]).digest('base64url');
  if (hmac !== parts[2]) return '';
  const claims = JSON.parse(Buffer.from(parts[1], 'base64url'));
  return claims.exp > Date.now() / 1000 ? claims.sub : '';
}
export default { subject };
JS
  fi
  cat > "$work/nginx.conf" <<CONF
$module
worker_processes ${workers:-1}; daemon off; pid $work/nginx.pid; error_log $work/nginx.log crit;
events { worker_connections 4096; }
http { access_log off; keepalive_requests 1000000000; $http
  upstream backend { server $backend; keepalive 256; keepalive_requests 1000000000; }
  server { listen $proxies:8280; listen $proxies:8243 ssl; ssl_certificate $work/cert.pem; ssl_certificate_key $work/key.pem;
    location / { $location proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; } } }
CONF
  pin 0 nginx -c "$work/nginx.conf" & peer=$!; pids+=("$peer")
}

start_haproxy() { # http on :8380, https on :8343; it does not look at the time of a token
  local rules=
  [ -z "$checks" ] || rules="
  stick-table type string len 64 size 100k expire 60s store http_req_rate(60s)
  http-request set-var(txn.token) http_auth_bearer
  http-request deny deny_status 401 unless { var(txn.token),jwt_verify(\"$peer_algorithm\",\"$peer_key\") -m int 1 }
  http-request set-var(txn.subject) var(txn.token),jwt_payload_query('\$.sub')
  http-request track-sc0 var(txn.subject)
  http-request deny deny_status 429 if { sc_http_req_rate(0) gt 500000000 }"
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
  bind $proxies:8343 ssl crt $work/both.pem$rules
  default_backend backend
backend backend
  server backend $backend
CONF
  pin 0 haproxy -f "$work/haproxy.cfg" & peer=$!; pids+=("$peer")
}

start_envoy() { # http on :8480, https on :8443; the program is ENVOY
  local filters= router='{name: envoy.filters.http.router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}'
  if [ -n "$checks" ]; then
    local keys=${peer_keys//\"/\\\"} cache=
    [ "$token_cache" = 0 ] || cache=", jwt_cache_config: {jwt_cache_size: $token_cache}"
    filters="{name: envoy.filters.http.jwt_authn, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication, providers: {bench: {issuer: \"$peer_issuer\", local_jwks: {inline_string: \"$keys\"}$cache}}, rules: [{match: {prefix: /}, requires: {provider_name: bench}}]}}, {name: envoy.filters.http.local_ratelimit, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit, stat_prefix: calls, token_bucket: {max_tokens: 500000000, tokens_per_fill: 500000000, fill_interval: 60s}, filter_enabled: {default_value: {numerator: 100}}, filter_enforced: {default_value: {numerator: 100}}}}, "
  fi
  local listener='filter_chains: [{filters: [{name: envoy.filters.network.http_connection_manager, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: in, route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: backend}}]}]}, http_filters: [FILTERS]}}]TLS}]'
  listener=${listener/FILTERS/"$filters$router"}
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
