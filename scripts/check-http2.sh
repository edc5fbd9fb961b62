#!/usr/bin/env bash
# Puts the gateway's HTTP/2 to the cases of h2spec (RFC 9113, RFC 7541), as httpwg has them, and nginx beside it. Prints what each
# passes, and what the gateway does not; fails where it passes less than nginx. Needs httpwg (`cargo install httpwg-cli --locked`),
# Debian's nginx, curl, and a binary: PORTCULLIS, or target/debug/portcullis. Usage: scripts/check-http2.sh [ADDRESS]
set -euo pipefail
cd "$(dirname "$0")/.."
address=${1:-127.77.41.1}
binary=${PORTCULLIS:-$PWD/target/debug/portcullis}
for tool in httpwg nginx curl; do
  command -v "$tool" >/dev/null || { echo "error: $tool is missing" >&2; exit 1; }
done
work=$(mktemp -d) pids=()
trap 'for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; done; rm -rf "$work"' EXIT
HOME=$work "$binary" dev --bind "$address" > "$work/dev.log" 2>&1 & pids+=($!)
temporary=$(for kind in client_body proxy fastcgi uwsgi scgi; do printf '%s_temp_path %s/%s; ' "$kind" "$work" "$kind"; done)
cat > "$work/nginx.conf" <<CONF
worker_processes 1; daemon off; pid $work/nginx.pid; error_log $work/nginx.log;
events { worker_connections 256; }
http { access_log off; $temporary
  server { listen $address:8281 http2; location / { return 404 "there is nothing here"; } } }
CONF
nginx -c "$work/nginx.conf" 2>/dev/null & pids+=($!)
until curl -sf "http://$address:9763/readyz" >/dev/null && curl -s --http2-prior-knowledge "http://$address:8281/" >/dev/null; do sleep 0.2; done
for port in 8280 8281; do
  httpwg --connect-timeout 3000 --frame-timeout 3000 -a "$address:$port" 2>&1 | sed 's/\x1b\[[0-9;]*m//g' > "$work/$port" || true
done
passed() { grep -o 'Passed [0-9]*/[0-9]*' "$work/$1" | tail -n 1; }
echo "portcullis $(passed 8280), nginx $(passed 8281)"
grep -A2 '^❌ Test failed' "$work/8280" | sed -n 's/^❌ Test failed: //p; s/^   0: /    /p' || true
count() { passed "$1" | grep -o '[0-9]*' | head -n 1; }
[ "$(count 8280)" -ge "$(count 8281)" ]
