#!/usr/bin/env bash
# Fails where a release has grown beyond its bounds: the binary as it is packed, what it takes to start and to idle, the crates in it.
# The figures themselves are in docs/reference/footprint.md; the bounds are somewhat above them, so that a bound that is passed is news.
# Needs `cargo build --release`, curl, strip and gzip. BINARY=FILE checks another one.
set -euo pipefail
cd "$(dirname "$0")/.."
export BINARY=${BINARY:-$PWD/target/release/portcullis}
[ -x "$BINARY" ] || { echo "error: $BINARY is missing; try: cargo build --release" >&2; exit 1; }
failed=0
check() { # WHAT FIGURE BOUND UNIT
  local word=ok
  if [ "$2" -gt "$3" ]; then word="TOO MUCH"; failed=1; fi
  printf '%-52s %6s %s, at most %s  %s\n' "$1" "$2" "$4" "$3" "$word"
}
packed=$(mktemp)
trap 'rm -f "$packed"' EXIT
strip -o "$packed" "$BINARY"
check "binary without the names of its functions" $(($(stat -c %s "$packed") / 1000000)) 95 MB
check "that, with gzip" $(($(gzip -9 < "$packed" | wc -c) / 1000000)) 34 MB
check "crates, without those for tests" "$(cargo tree --edges normal --prefix none --locked | sed 's/ (\*)$//' | sort -u | wc -l)" 460 crates
# Of several starts the quickest: a machine that is busy makes a start slower, never quicker. Of memory the least, for the same reason.
starts=$(scripts/measure-start.sh 5)
quickest=$(sed -n 's/.*ready after \([0-9]*\) ms.*/\1/p' <<< "$starts" | sort -n | head -n 1)
least=$(sed -n 's/.*resident \([0-9]*\) kB.*/\1/p' <<< "$starts" | sort -n | head -n 1)
check "start of a node until it is ready" "$quickest" 350 ms
check "memory of an idle node" $((least / 1000)) 100 MB
exit "$failed"
