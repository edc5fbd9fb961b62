#!/bin/sh
# The journeys through the portals in headless Chromium. Installs Chromium and ChromeDriver from Debian's packages where
# they are missing (needs root for that). Pictures are kept in target/tmp/pictures. Usage: scripts/browser.sh [FILTER]
set -eu
cd "$(dirname "$0")/.."
if ! command -v chromium >/dev/null || ! command -v chromedriver >/dev/null; then
    apt-get update && apt-get install --yes --no-install-recommends chromium chromium-driver fonts-dejavu-core
fi
cargo test --workspace --locked --test browser -- --nocapture --test-threads 1 "$@"
echo "pictures: $(pwd)/target/tmp/pictures"
