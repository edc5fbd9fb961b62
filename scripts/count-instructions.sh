#!/usr/bin/env bash
# Counts what a call costs the gateway in instructions of user space and in system calls: figures that neighbours on the
# machine do not change. The same call as in compare-gateway.sh: opaque token, two quotas, statistics, 1 KiB of JSON.
#
# Needs Debian's valgrind, strace, nginx, wrk and curl, and `cargo build --release`. The program is COUNTED where that is
# set. Usage: scripts/count-instructions.sh [CONNECTIONS] [SECONDS OF COUNTING]
set -euo pipefail
cd "$(dirname "$0")/.."
connections=${1:-16} seconds=${2:-10}
. scripts/gateway-stage.sh
need valgrind strace nginx wrk curl
network 127.88.1
start_backend
found_node
call() { # for how long
  local out
  out=$(wrk -t1 -c"$connections" -d"$1s" -H "Authorization: Bearer $token" "http://$address:8280/bench/1/menu")
  if grep -q 'Non-2xx' <<< "$out"; then echo "error: answered with errors: $out" >&2; exit 1; fi
  awk '/requests in/ {print $1}' <<< "$out"
}
thread_of_worker() { grep -lx gateway-0 "/proc/$node"/task/*/comm | cut -d/ -f5; }
stop() { kill "$node"; wait "$node" 2>/dev/null || true; }

# System calls of the worker's thread.
start_node env
publish
call 1 >/dev/null
strace -c -o "$work/calls" -p "$(thread_of_worker)" & tracer=$!
sleep 0.5
count=$(call 3)
kill -INT "$tracer"; wait "$tracer" || true
echo "system calls per request ($count requests, $connections connections):"
awk -v n="$count" '$4 ~ /^[0-9]+$/ && $NF != "total" && $4 / n >= 0.005 { printf "  %-16s %6.2f\n", $NF, $4 / n }' "$work/calls"
stop

# Instructions of the worker's thread. Each thread has a file of its own.
start_node valgrind --tool=callgrind --separate-threads=yes --instr-atstart=no --collect-jumps=no --callgrind-out-file="$work/out" --quiet
# The first calls of a node that valgrind slows down may be answered before the cluster has granted of the quotas.
(call 3) >/dev/null 2>&1 || true
callgrind_control --instr=on "$node" >/dev/null
call 2 >/dev/null
callgrind_control --zero "$node" >/dev/null
count=$(call "$seconds")
callgrind_control --dump "$node" >/dev/null
callgrind_control --instr=off "$node" >/dev/null
# The worker's thread alone carries clients' connections.
file=$(grep -l 'portcullis_gateway::downstream' "$work"/out.1-* | tail -1)
instructions=$(awk '/^totals:/ {print $2}' "$file")
echo "instructions of user space per request ($count requests): $((instructions / count))"
[ -z "${KEEP:-}" ] || { cp "$file" "$KEEP"; echo "$count" > "$KEEP.count"; }
for kind in no yes; do
  echo "the dearest functions, per request, $([ "$kind" = yes ] && echo 'with what they call' || echo 'by themselves'):"
  callgrind_annotate --inclusive="$kind" --auto=no --threshold=100 "$file" 2>/dev/null |
    awk -v n="$count" -v inclusive="$kind" '/^ *[0-9,]+ \(/ && !/PROGRAM TOTALS/ {
      cost = $1; gsub(",", "", cost); sub(/^ *[0-9,]+ \([^)]*\) */, ""); sub(/^[^:]*:/, ""); sub(/ \[[^]]*\]$/, "")
      if (inclusive == "no") costs[$0] += cost; else if (cost > costs[$0]) costs[$0] = cost
    } END { for (name in costs) if (costs[name] / n >= 60) printf "  %7.0f  %.150s\n", costs[name] / n, name }' | sort -rn | head -45
done
