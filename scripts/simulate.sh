#!/bin/sh
# Simulated clusters by the thousand: nodes, network, disks and clock in one thread, each schedule a function of its seed.
# Here, unlike in `cargo test`, a seed gives the very same schedule again: tokio takes its own chance from the seed as well,
# which needs a build of its own, and a process runs one schedule at a time. Ends with 0 where no schedule breaks a promise.
# Usage: scripts/simulate.sh [SCHEDULES]      seeds from 1 to SCHEDULES, 2000 where nothing is said
#        scripts/simulate.sh seed SEED        one again, with all that happens in it where it fails
set -eu
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/simulation" RUSTFLAGS="--cfg tokio_unstable"
simulate() { # FIRST COUNT [TESTS]
    PORTCULLIS_SIMULATION_SEED=$1 PORTCULLIS_SIMULATIONS=$2 \
        cargo test --quiet --locked --release --package portcullis-raft --lib -- "${3:-simulated}" --nocapture --test-threads=1
}
if [ "${1:-}" = seed ]; then
    simulate "$2" 1
    exit
fi
cargo test --locked --release --package portcullis-raft --lib --no-run
schedules=${1:-2000} processes=$(nproc) first=1 running=
each=$(((schedules + processes - 1) / processes))
while [ "$first" -le "$schedules" ]; do
    count=$((schedules - first + 1 < each ? schedules - first + 1 : each))
    simulate "$first" "$count" & running="$running $!"
    first=$((first + count))
done
for process in $running; do
    wait "$process"
done
