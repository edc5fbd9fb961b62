#!/usr/bin/env bash
# Has a program do, for a few seconds each, what nodes do most: API calls of six kinds with all policies on, over many connections and
# over one, by HTTP/1.1 and HTTP/2; writes on three nodes; lists and searches of the portals. For scripts/build-guided.sh.
# Needs Debian's nginx, wrk, nghttp2-client (h2load) and curl, and python3. Usage: scripts/train.sh PROGRAM
set -euo pipefail
cd "$(dirname "$0")/.."
export COUNTED=$1 PORTCULLIS=$1 PEERS=
for load in get paths post https large; do LOAD=$load scripts/compare-gateway.sh 1 4 64; done
scripts/compare-writes.sh 1 6 64
scripts/compare-writes.sh 1 3 16
scripts/measure-rest.py 100 100

# What the others leave out: one connection, HTTP/2, and tokens that carry what they allow.
. scripts/gateway-stage.sh
need nginx wrk curl h2load
network 127.88.3
start_backend
found_node
start_node pin 0
publish
call() (pin 1 "$@" -H "Authorization: Bearer $token" >/dev/null)
call wrk -t1 -c1 -d3s "http://$address:8280/bench/1/menu"
call h2load -t1 -c16 -m8 -D3 "https://$address:8243/bench/1/menu"
signed_token
call wrk -t1 -c64 -d3s "http://$address:8280/bench/1/menu"
