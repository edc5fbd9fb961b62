#!/usr/bin/env bash
# Builds the book from docs/ and the pages beside it into target/book, and checks its links.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v mdbook >/dev/null; then
  echo "mdbook is needed to build the book: cargo install mdbook --locked --version 0.5.4" >&2
  exit 1
fi
scripts/book-pages.py target/book-pages
rm -rf target/book
MDBOOK_BOOK__SRC=target/book-pages mdbook build
scripts/check-book.py target/book
echo "target/book/index.html"
