#!/usr/bin/env bash
# Measures a node with a large state: how long its start takes, and how a second node joins it while API calls and writes
# go on: time, peak memory of both, and the slowest calls before and meanwhile. The state is made as a backup, which is
# restored. The joining node has a core of its own, as on a machine of its own; the other node, its callers and the backend
# share another. Needs taskset, curl, python3 and `cargo build --release` (or the binary named by PORTCULLIS).
# Usage: scripts/measure-large-state.sh [APPLICATIONS]     each has a subscription and a pair of keys: some 1100 bytes
set -euo pipefail
cd "$(dirname "$0")/.."
export ROWS=${1:-1000000}
binary=${PORTCULLIS:-$PWD/target/release/portcullis}
[ -x "$binary" ] || { echo "error: $binary is missing; try: cargo build --release" >&2; exit 1; }
export INTO
INTO=$(mktemp -d)
scripts=$PWD/scripts
one= two= load=
cleanup() {
  for process in $load $two $one; do kill "$process" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$INTO"
}
trap cleanup EXIT
export PORTCULLIS_USER=admin PORTCULLIS_PASSWORD=bench-password
now() { date +%s%N; }
since() { echo "$((($(now) - $1) / 1000000)) ms"; }
memory() { awk -v name="$2" '$1 == name":" {print int($2 / 1024) " MiB"}' "/proc/$1/status"; }
ready() { until curl -sf "http://$1:9763/readyz" >/dev/null 2>&1; do sleep 0.1; done; }

cargo test -q --workspace --lib -- --ignored --exact backup::large::write_a_large_backup >/dev/null
echo "backup of $ROWS applications, subscriptions and keys: $(stat -c %s "$INTO/large.backup") bytes"
cd "$INTO"
export HOME=$INTO
begin=$(now)
"$binary" cluster restore --data-dir n1 --bind 127.87.1.1 --cluster-key-file cluster.key large.backup 2>/dev/null
echo "restored in $(since "$begin"); snapshot $(stat -c %s n1/raft/snapshots/*.snap) bytes"
for round in 1 2 3 4 5; do
  begin=$(now)
  taskset -c 0 "$binary" server --data-dir n1 2>n1.log & one=$!
  ready 127.87.1.1
  echo "start $round: ready after $(since "$begin"), resident $(memory "$one" VmRSS), peak $(memory "$one" VmHWM)"
  [ "$round" = 5 ] || { kill "$one"; wait "$one" || true; }
done

python3 "$scripts/load.py" prepare n1/tls/ca.pem call.json
during() { # what it is, until the file `stop` is there
  rm -f stop
  taskset -c 0 python3 "$scripts/load.py" load n1/tls/ca.pem call.json "$1" stop & load=$!
}
ended() { touch stop; wait "$load"; load=; }
during "before"
sleep 15
ended
before=$(memory "$one" VmRSS)
# From here on its peak is that of the join.
echo 5 > "/proc/$one/clear_refs"
token=$("$binary" cluster token create --server https://127.87.1.1:9443 --data-dir n1 2>/dev/null)
during "while a node joins"
begin=$(now)
"$binary" cluster join --data-dir n2 --bind 127.87.1.2 --token "$token" 2>/dev/null
taskset -c 1 "$binary" server --data-dir n2 2>n2.log & two=$!
ready 127.87.1.2
echo "joined and ready after $(since "$begin")"
ended
echo "sender: resident before $before, peak $(memory "$one" VmHWM); receiver: resident $(memory "$two" VmRSS), peak $(memory "$two" VmHWM)"
