#!/bin/sh
# Fault injection for every change: a fixed set of short runs with fixed seeds, less than ten minutes together.
# Needs root, and says plainly what is missing and not run. Ends with 0 where every run is valid, 1 where one is not, and
# 2 where nothing is known of one. Usage: scripts/ci-faults.sh [STORE]
set -eu
cd "$(dirname "$0")/.."
store=${1:-target/jepsen-ci}
target=${CARGO_TARGET_DIR:-target}
cargo build --locked --workspace --bins
suite=$target/debug/portcullis-jepsen
worst=0
some() { # workloads nemeses seconds
    code=0
    "$suite" all --nodes 3 --seeds 1 --workloads "$1" --nemeses "$2" --time-limit "$3" \
        --binary "$target/debug/portcullis" --store "$store" || code=$?
    if [ "$code" = 1 ] || { [ "$code" != 0 ] && [ "$worst" = 0 ]; }; then worst=$code; fi
}
some registry,append,quota kill,partition 15
some token,fence partition,delay 15
some set,usage power 15
some unique-ids,idempotence kill 12
some availability,membership member 15
exit "$worst"
