#!/usr/bin/env bash
# Builds the book from docs/ into target/book. Links are checked by `cargo test --test links`.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v mdbook >/dev/null; then
  echo "mdbook is needed to build the book: cargo install mdbook --locked --version 0.5.4" >&2
  exit 1
fi
mdbook build
echo "target/book/index.html"
