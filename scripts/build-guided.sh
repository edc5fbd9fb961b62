#!/usr/bin/env bash
# Builds the program by a profile: first one that counts which ways its code takes, which then carries API calls, makes writes on
# three nodes and answers lists, and then the one to keep, whose compiler knows what was counted. It does the same in less processor
# time (docs/reference/performance.md). Takes as long as two release builds.
#
# Needs rustup's llvm-tools (`rustup component add llvm-tools`), and Debian's nginx, wrk, nghttp2-client and curl for the loads.
# Usage: [TARGET=x86_64-unknown-linux-gnu] scripts/build-guided.sh; PROFILE_DATA=FILE takes a profile gathered before.
set -euo pipefail
cd "$(dirname "$0")/.."
host=$(rustc -vV | awk '/^host/ { print $2 }')
target=${TARGET:-$host}
folder=${CARGO_TARGET_DIR:-$PWD/target}
tools=$(rustc --print sysroot)/lib/rustlib/$host/bin
[ -x "$tools/llvm-profdata" ] || { echo "error: llvm-profdata is missing; try: rustup component add llvm-tools" >&2; exit 1; }
build() { CARGO_INCREMENTAL=0 RUSTFLAGS="${RUSTFLAGS:-} $1" cargo build --release --locked --bin portcullis --target "$target"; }
profile=${PROFILE_DATA:-$folder/guided/portcullis.profdata}
if [ -z "${PROFILE_DATA:-}" ]; then
  rm -rf "$folder/guided" && mkdir -p "$folder/guided/counts"
  build "-Cprofile-generate=$folder/guided/counts"
  cp "$folder/$target/release/portcullis" "$folder/guided/portcullis"
  scripts/train.sh "$folder/guided/portcullis"
  "$tools/llvm-profdata" merge -o "$profile" "$folder/guided/counts"
fi
build "-Cprofile-use=$profile"
