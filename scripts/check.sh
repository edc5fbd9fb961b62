#!/usr/bin/env bash
# What the gate runs, before a commit: formatting, lints, licences. With --tests the tests too.
# As a hook: ln -s ../../scripts/check.sh .git/hooks/pre-commit
set -euo pipefail
cd "$(git rev-parse --show-toplevel)"
if [ "${1:-}" = --tests ]; then
  exec .ci/run
fi
cargo fmt --all --check
cargo clippy --workspace --all-targets --locked -- -D warnings
if cargo deny --version >/dev/null 2>&1; then
  cargo deny --locked check bans licenses sources
else
  echo "cargo-deny is not installed: licences and sources are not checked" >&2
fi
