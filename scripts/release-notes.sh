#!/usr/bin/env bash
# Prints the notes of a release: its section of CHANGELOG.md.   usage: release-notes.sh 0.1.0
set -euo pipefail
version=${1:?a version}
cd "$(dirname "$0")/.."
notes=$(awk -v head="## $version" 'index($0, "## ") == 1 { on = index($0, head) == 1; next } on' CHANGELOG.md)
[ -n "${notes//[[:space:]]/}" ] || { echo "CHANGELOG.md says nothing of $version" >&2; exit 1; }
printf '# Portcullis %s\n%s\n' "$version" "$notes"
