#!/usr/bin/env bash
# Compares what a call costs whose signed token the gateway has never seen, and the next call with it, with what nginx takes to forward
# the same bytes, and with one check of a signature by OpenSSL. Each proxy is pinned to one core, in alternation; load and backend
# share the other.
#
# Needs Debian's nginx, wrk, curl and openssl, and `cargo build --release`.
# Usage: [ALGORITHM=ES256|RS256|EdDSA] scripts/compare-new-tokens.sh [ROUNDS] [TOKENS] [CONNECTIONS]
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-5} tokens=${2:-10000} connections=${3:-64} algorithm=${ALGORITHM:-ES256}
case $algorithm in
  ES256) checked_by=ecdsap256 ;;
  RS256) checked_by=rsa2048 ;;
  EdDSA) checked_by=ed25519 ;;
  *) echo "error: ALGORITHM must be ES256, RS256 or EdDSA" >&2; exit 1 ;;
esac
. scripts/gateway-stage.sh
. scripts/gateway-peers.sh
need nginx wrk curl taskset openssl
network 127.88.9
start_backend
certificate
start_nginx
export PORTCULLIS_OAUTH__SIGNING_ALGORITHM=$algorithm
found_node
start_node pin 0
publish
signed_token

# Others for each round. wrk ends as soon as there are enough, and below as soon as each has been shown: by itself it ends by the clock.
cat > "$work/ask.lua" <<LUA
local wanted, out = $((rounds * tokens)), io.open("$work/tokens", "w")
wrk.method, wrk.body = "POST", "grant_type=client_credentials"
wrk.headers["Authorization"] = "Basic $(printf '%s' "$client" | base64 -w0)"
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
response = function(status, _, body)
  if status ~= 200 then io.stderr:write("error: no token: ", body, "\n"); os.exit(1) end
  out:write(body:match('"access_token" *: *"([^"]+)"'), "\n")
  wanted = wanted - 1
  if wanted == 0 then out:close(); os.exit(0) end
end
LUA
timeout 600 wrk -t1 -c16 -d900s -s "$work/ask.lua" "$base/oauth2/token" > /dev/null
split -l "$tokens" -a 3 -d "$work/tokens" "$work/tokens-"
cat > "$work/load.lua" <<LUA
local tokens, asked, answered = {}, 0, 0
init = function(arguments) for line in io.lines(arguments[1]) do tokens[#tokens + 1] = line end end
request = function()
  asked = asked + 1
  return wrk.format("GET", nil, { Authorization = "Bearer " .. tokens[(asked - 1) % #tokens + 1] })
end
response = function(status)
  if status ~= 200 then io.stderr:write("error: answered by ", status, "\n"); os.exit(1) end
  answered = answered + 1
  if answered == #tokens then os.exit(0) end
end
LUA
measure() { # name pid url tokens
  local before after
  before=$(cpu_ticks "$2")
  (pin 1 timeout 600 wrk -t1 -c"$connections" -d900s -s "$work/load.lua" "$3" -- "$4") > /dev/null
  after=$(cpu_ticks "$2")
  awk -v n="$1" -v t=$((after - before)) -v hz="$ticks" -v r="$tokens" 'BEGIN { printf "%-16s %7.2f µs CPU/request\n", n, t / hz * 1e6 / r }'
}
echo "$algorithm, $connections connections:"
for round in $(seq "$rounds"); do
  file=$work/tokens-$(printf '%03d' $((round - 1)))
  measure nginx "$peer" "http://$proxies:8280/menu" "$file"
  measure portcullis "$node" "http://$address:8280/bench/1/menu" "$file"
  measure portcullis-again "$node" "http://$address:8280/bench/1/menu" "$file"
done | tee "$work/rows"
# Checks a second, one after the other on the gateway's core.
checks=$(pin 0 openssl speed -seconds 2 "$checked_by" 2>/dev/null | awk 'END { print $NF }')
awk -v a="$(column nginx 2 | median)" -v b="$(column portcullis 2 | median)" -v c="$(column portcullis-again 2 | median)" -v k="$checks" 'BEGIN {
  printf "medians: nginx %.2f µs, one check %.2f µs, together %.2f; a new token %.2f µs, the same again %.2f\n", a, 1e6 / k, a + 1e6 / k, b, c }'
