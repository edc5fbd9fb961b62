#!/usr/bin/env bash
# Measures what connections cost a gateway that wait for their next request: each made one call with a token. Prints the
# node's memory before and after, and what one connection takes.
#
# Needs Debian's nginx, curl and python3, and `cargo build --release`. Usage: scripts/measure-idle-connections.sh [COUNT]
set -euo pipefail
cd "$(dirname "$0")/.."
count=${1:-20000}
ulimit -n $((count + 500)) 2>/dev/null || { echo "error: $((count + 500)) open files are not allowed here; try: ulimit -Hn" >&2; exit 1; }
. scripts/gateway-stage.sh
need nginx curl python3
network 127.88.3
start_backend
found_node
start_node pin 0
publish
resident() { awk '/VmRSS/ {print $2}' "/proc/$node/status"; }
cat > "$work/hold.py" <<'PY'
import socket, sys, time
address, count, token = sys.argv[1], int(sys.argv[2]), sys.argv[3]
request = f"GET /bench/1/menu HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
held = []
for number in range(count):
    one = socket.create_connection((address, 8280))
    one.sendall(request)
    answer = b""
    while len(answer) < 1100:
        piece = one.recv(65536)
        assert piece, "the gateway closed a connection"
        answer += piece
    assert answer.startswith(b"HTTP/1.1 200 "), answer[:200]
    held.append(one)
print("held", flush=True)
sys.stdin.readline()
# Each still carries a call.
for one in held[:: max(1, count // 100)]:
    one.sendall(request)
    answer = one.recv(65536)
    assert answer.startswith(b"HTTP/1.1 200 "), answer[:300]
print("alive", flush=True)
PY
coproc HOLD { exec python3 "$work/hold.py" "$address" "$count" "$token"; }
before=$(resident)
read -r line <&"${HOLD[0]}"; [ "$line" = held ]
sleep 2
after=$(resident)
echo >&"${HOLD[1]}"
read -r line <&"${HOLD[0]}"; [ "$line" = alive ]
echo "$count connections that wait: $before kB before, $after kB with them, $(awk -v a="$before" -v b="$after" -v n="$count" 'BEGIN { printf "%.2f", (b - a) / n }') KiB each; a sample of them carried a call after it"
