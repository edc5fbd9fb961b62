#!/usr/bin/env bash
# Measures a node's time from start to ready, and its resident memory when idle. Needs curl and `cargo build --release`.
# Usage: scripts/measure-start.sh [ROUNDS]        BINARY=FILE measures another one
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-7}
binary=${BINARY:-$PWD/target/release/portcullis}
[ -x "$binary" ] || { echo "error: $binary is missing; try: cargo build --release" >&2; exit 1; }
work=$(mktemp -d)
node=
cleanup() { [ -z "$node" ] || kill "$node" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"; }
trap cleanup EXIT
printf 'bench-password' > "$work/password"
"$binary" cluster bootstrap --data-dir "$work/n1" --bind 127.88.2.1 --admin-password-file "$work/password" >/dev/null 2>&1
now() { date +%s%N; }
for round in $(seq "$rounds"); do
  begin=$(now)
  "$binary" server --data-dir "$work/n1" 2>"$work/log" & node=$!
  until curl -sf "http://127.88.2.1:9763/readyz" >/dev/null 2>&1; do :; done
  ready=$(( ($(now) - begin) / 1000000 ))
  sleep 2
  echo "start $round: ready after $ready ms, resident $(awk '/VmRSS/ {print $2}' "/proc/$node/status") kB"
  kill "$node"; wait "$node" || true; node=
done
