#!/bin/sh
# Runs each fuzz target for so many seconds (60): scripts/fuzz.sh [SECONDS] [TARGET…]. Needs a nightly toolchain and a C++
# compiler. What crashes a target is left in fuzz/crashes/, to be made a test where the fault is mended.
set -eu
cd "$(dirname "$0")/../fuzz"
[ -f Cargo.lock ] || cp ../Cargo.lock Cargo.lock
seconds=${1:-60}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- path templates requests answer bodies challenge token
RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1" \
    cargo +nightly build --release --target "$(rustc -vV | sed -n 's/^host: //p')" --bins
for target in "$@"; do
    mkdir -p "corpus/$target" crashes
    echo "== $target"
    target/*/release/"$target" "corpus/$target" -max_total_time="$seconds" -artifact_prefix="crashes/$target-" \
        -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 2>&1 | tail -n 20
done
