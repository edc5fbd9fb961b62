#!/usr/bin/env bash
# Measures a node that holds many live tokens: how many it gives in a second as they become more, and what each costs in
# memory and in the state. Opaque tokens by client credentials over TLS, each on the disk before it is answered. Needs
# wrk, curl, python3 and `cargo build --release` (or the binary named by PORTCULLIS).
# Usage: scripts/measure-live-tokens.sh [TOKENS]
set -euo pipefail
cd "$(dirname "$0")/.."
wanted=${1:-1000000}
binary=${PORTCULLIS:-$PWD/target/release/portcullis}
[ -x "$binary" ] || { echo "error: $binary is missing; try: cargo build --release" >&2; exit 1; }
work=$(mktemp -d)
node=
cleanup() {
  [ -z "$node" ] || kill "$node" 2>/dev/null || true
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT
export HOME=$work
cd "$work"
echo "bench-password" >password
"$binary" cluster bootstrap --data-dir n1 --bind 127.86.1.1 --admin-password-file password >/dev/null 2>&1
"$binary" server --data-dir n1 2>n1.log & node=$!
until curl -sf http://127.86.1.1:9763/readyz >/dev/null 2>&1; do sleep 0.1; done
at=https://127.86.1.1:9443
memory() { awk '$1 == "VmRSS:" {print $2}' "/proc/$node/status"; }
metric() { curl -s http://127.86.1.1:9763/metrics | awk -v name="$1" 'index($0, name) == 1 {print $NF}'; }
state() { metric 'portcullis_database_bytes{database="apimgtdb"'; }
# The sizes are a sample that is taken now and then.
settled() { sleep 12; }

settled
empty=$(memory) empty_state=$(state)
printf '| live tokens | a second | p99 | resident | apimgtdb |\n|---|---|---|---|---|\n'
tokens=0
while [ "$tokens" -lt "$wanted" ]; do
  # A client may hold 100 000 tokens.
  made=$(curl -s --cacert n1/tls/ca.pem -u admin:bench-password -H 'content-type: application/json' "$at/oauth2/register" \
    -d '{"client_name": "live", "grant_types": ["client_credentials"], "access_token_type": "OPAQUE"}')
  login=$(python3 -c 'import base64, json, sys
client = json.loads(sys.argv[1])
print(base64.b64encode((client["client_id"] + ":" + client["client_secret"]).encode()).decode())' "$made")
  cat >post.lua <<LUA
wrk.method = "POST"
wrk.body = "grant_type=client_credentials"
wrk.headers["Authorization"] = "Basic $login"
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
LUA
  report=$(wrk -t1 -c64 -d4s --latency -s post.lua "$at/oauth2/token")
  given=$(awk '/requests in/ {print $1}' <<<"$report")
  refused=$(awk '/Non-2xx/ {print $NF}' <<<"$report")
  tokens=$((tokens + given - ${refused:-0}))
  printf '| %s | %s | %s | %s MiB | |\n' "$tokens" "$(awk '/Requests.sec/ {print $2}' <<<"$report")" \
    "$(awk '$1 == "99%" {print $2}' <<<"$report")" "$(($(memory) / 1024))"
done
settled
full=$(memory) full_state=$(state)
printf '| %s | | | %s MiB | %s bytes |\n' "$tokens" "$((full / 1024))" "$full_state"
echo
echo "each token: $((((full - empty) * 1024) / tokens)) bytes of memory, $(((full_state - empty_state) / tokens)) bytes of state"
