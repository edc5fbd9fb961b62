#!/usr/bin/env bash
# Packs a release: the binary, manual pages, completions, unit and settings in a tarball, and the checksums, into target/package.
# Where cargo-deb is installed, a Debian package too; where cargo-cyclonedx is, a list of what it is made of.
set -euo pipefail
cd "$(dirname "$0")/.."
binary=${BINARY:-target/release/portcullis}
if [ -z "${BINARY:-}" ]; then cargo build --release --locked --bin portcullis; fi
version=$("$binary" version | awk '{ print $2; exit }')
name="portcullis-$version-$(uname -m)-linux"
into=target/package
rm -rf "$into" && mkdir -p "$into/$name/man" "$into/$name/completions"
# Without the names of its functions: a fifth smaller.
strip -o "$into/$name/portcullis" "$binary"
cp -r cluster-configs LICENSE README.md CHANGELOG.md "$into/$name/"
"$binary" man --into "$into/$name/man"
for shell in bash zsh fish elvish; do "$binary" completions "$shell" > "$into/$name/completions/portcullis.$shell"; done
if command -v cargo-deb >/dev/null; then
  cargo deb --no-build --output "$into/"
else
  echo "no Debian package: cargo install cargo-deb --locked" >&2
fi
if command -v cargo-cyclonedx >/dev/null; then
  cargo cyclonedx --format json --override-filename "$name.sbom" && mv "$name.sbom.json" "$into/"
else
  echo "no list of what it is made of: cargo install cargo-cyclonedx --locked" >&2
fi
# The same bytes from the same files.
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$into" -cf - "$name" | gzip -n9 > "$into/$name.tar.gz"
rm -r "${into:?}/$name"
(cd "$into" && sha256sum -- * > SHA256SUMS && cat SHA256SUMS)
