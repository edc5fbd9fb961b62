#!/usr/bin/env bash
# Measures failover with default settings: three nodes, the leader killed (SIGKILL), the time until the first write that
# succeeds on another node; and counts API calls on the nodes that stay that fail meanwhile. Repeats ROUNDS times; the
# killed node is started again and caught up before the next round. Needs curl, python3 and `cargo build --release`
# (or the binary named by PORTCULLIS). Usage: scripts/measure-failover.sh [ROUNDS]
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-20}
binary=${PORTCULLIS:-$PWD/target/release/portcullis}
for tool in curl python3; do
  command -v "$tool" >/dev/null || { echo "error: $tool is missing" >&2; exit 1; }
done
[ -x "$binary" ] || { echo "error: $binary is missing; try: cargo build --release" >&2; exit 1; }
work=$(mktemp -d)
declare -A pids
cleanup() { for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done; sleep 0.2; rm -rf "$work"; }
trap cleanup EXIT
export HOME=$work PORTCULLIS_USER=admin PORTCULLIS_PASSWORD=bench-password
printf '%s' "$PORTCULLIS_PASSWORD" > "$work/password"
cd "$work"
run() { "$binary" server --data-dir "$work/n$1" 2>>"$work/n$1.log" & pids[$1]=$!; disown; }
ready() { until curl -sf "http://127.87.1.$1:9763/readyz" >/dev/null 2>&1; do sleep 0.02; done; }
"$binary" cluster bootstrap --data-dir n1 --bind 127.87.1.1 --admin-password-file password >/dev/null 2>&1
run 1; ready 1
for n in 2 3; do
  token=$("$binary" cluster token create --server https://127.87.1.1:9443 --data-dir n1 2>/dev/null)
  "$binary" cluster join --data-dir "n$n" --bind "127.87.1.$n" --token "$token" >/dev/null 2>&1
  run "$n"; ready "$n"
done
status() { "$binary" cluster status --server "https://127.87.1.$1:9443" --data-dir n1 -o json 2>/dev/null; }
voters() { status "$1" | python3 -c 'import json,sys; print(sum(n["role"] in ("leader","voter") and n["health"] == "alive" for n in json.load(sys.stdin)["nodes"]))'; }
leader() { status "$1" | python3 -c 'import json,sys; print(json.load(sys.stdin)["leader"] or 0)'; }
until [ "$(voters 1)" = 3 ]; do sleep 0.2; done
python3 "$OLDPWD/scripts/load.py" prepare n1/tls/ca.pem "$work/call.json"
for round in $(seq "$rounds"); do
  old=0; until [ "$old" != 0 ]; do old=$(leader 1); done
  python3 "$OLDPWD/scripts/load.py" round n1/tls/ca.pem "$work/call.json" "$old" "${pids[$old]}" "$round" | tee -a "$work/results"
  run "$old"; ready "$old"
  until [ "$(voters "$old")" = 3 ]; do sleep 0.1; done
done
python3 "$OLDPWD/scripts/load.py" summary "$work/results"
