#!/bin/sh
# Simulated clusters by the thousand: nodes, network, disks and clock in one thread, each schedule a function of its seed.
# Here, unlike in `cargo test`, a seed gives the very same schedule again: tokio takes its own chance from the seed as well,
# which needs a build of its own. Ends with 0 where no schedule breaks a promise.
# Usage: scripts/simulate.sh [SCHEDULES]      seeds from 1 to SCHEDULES, 2000 where nothing is said
#        scripts/simulate.sh seed SEED        one again, with all that happens in it where it fails
set -eu
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/simulation" RUSTFLAGS="--cfg tokio_unstable"
if [ "${1:-}" = seed ]; then
    export PORTCULLIS_SIMULATION_SEED="$2"
else
    export PORTCULLIS_SIMULATIONS="${1:-2000}"
fi
cargo test --locked --release --package portcullis-raft --lib -- simulated --nocapture
