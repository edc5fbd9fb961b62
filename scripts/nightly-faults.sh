#!/bin/sh
# Fault injection at length, on a machine that does nothing else: every workload with every kind of faults at five nodes
# for a minute, all at once in one cluster where they can be; ten minutes of all faults on quotas, registers and tokens; the
# deliberate faults, of which each must be found; and simulated clusters by the thousand. Some two hours on two cores.
# It can be stopped and called again: what has a verdict in STORE/summary.tsv is not run again. At the end the whole table.
# Needs root, iproute2, nftables, e2fsprogs, xfsprogs and gcc; says what is missing and not run.
# Usage: scripts/nightly-faults.sh [STORE [OLD_BINARY]]; with the binary of another version also mixed versions.
set -eu
cd "$(dirname "$0")/.."
store=${1:-target/jepsen-nightly}
old=${2:-}
target=${CARGO_TARGET_DIR:-target}
cargo build --locked --release --workspace --bins
suite=$target/release/portcullis-jepsen
worst=0
all() {
    code=0
    "$suite" all --nodes 5 --binary "$target/release/portcullis" ${old:+--old-binary "$old"} --store "$store" "$@" || code=$?
    if [ "$code" = 1 ] || { [ "$code" != 0 ] && [ "$worst" = 0 ]; }; then worst=$code; fi
}
all --time-limit 60 --seeds 1 --together
all --time-limit 600 --seeds 1 --together --workloads quota,registry,token --nemeses all
"$suite" mutants --store "$store/mutants" || worst=1
scripts/simulate.sh 2000 || worst=1
printf '\nworkload\tnemesis\tnodes\tseed\ts\tverdict\toperations\ttook s\tfolder\tsaid\n'
cat "$store/summary.tsv"
exit "$worst"
