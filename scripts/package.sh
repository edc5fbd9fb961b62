#!/usr/bin/env bash
# Packs a release: the binary, manual pages, completions, settings, unit and all pages in a tarball, and the checksums, into
# target/package.
# With them, what it is made of (CycloneDX); and where cargo-deb is installed, a Debian package.
# PROFILE=dev packs a debug build, to try the mechanics. TARGET=x86_64-unknown-linux-musl packs a program that needs no C library (with
# that target of rustup and musl-gcc); for it no Debian package is made. A release for this machine's own target is built by a profile
# (scripts/build-guided.sh) where its tools are installed; GUIDED=0 has it built as `cargo build --release` does, GUIDED=1 fails without them.
set -euo pipefail
cd "$(dirname "$0")/.."
profile=${PROFILE:-release}
target=${TARGET:-}
host=$(rustc -vV | awk '/^host/ { print $2 }')
guided=${GUIDED:-}
if [ -z "$guided$target${NO_BUILD:-}" ] && [ "$profile" = release ]; then
  guided=1
  for tool in nginx wrk h2load curl python3 "$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata"; do
    command -v "$tool" >/dev/null || { echo "not built by a profile: $tool is missing" >&2; guided=0; break; }
  done
fi
if [ "${guided:-0}" = 1 ]; then : "${target:=$host}"; fi
folder=$profile
if [ "$profile" = dev ]; then folder=debug; fi
binary=$PWD/target/${target:+$target/}$folder/portcullis
if [ -n "${NO_BUILD:-}" ]; then :
elif [ "${guided:-0}" = 1 ]; then TARGET=$target scripts/build-guided.sh
else cargo build --profile "$profile" --locked --bin portcullis ${target:+--target "$target"}; fi
if [ "$profile" = release ]; then BINARY=$binary scripts/check-footprint.sh; fi
version=$("$binary" version | awk '{ print $2; exit }')
name="portcullis-$version-$(uname -m)-linux"
case $target in *-musl) name+=-static ;; esac
into=target/package
rm -rf "$into" && mkdir -p "$into/$name" "$into/man" "$into/completions"
# Where the Debian package looks for them (Cargo.toml).
"$binary" man --into "$into/man"
for shell in bash zsh fish elvish powershell; do "$binary" completions "$shell" > "$into/completions/portcullis.$shell"; done
# Without the names of its functions: a fifth smaller.
strip -o "$into/$name/portcullis" "$binary"
# With every page that README leads to.
cp -r docs cluster-configs LICENSE README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md "$into/man" "$into/completions" "$into/$name/"
if [ -n "$target" ] && [ "$target" != "$host" ]; then
  echo "no Debian package for $target" >&2
elif command -v cargo-deb >/dev/null; then
  cargo deb --no-build --profile "$profile" ${target:+--target "$target"} --output "$into/"
else
  echo "no Debian package: cargo install cargo-deb --locked" >&2
fi
scripts/sbom.py > "$into/$name.sbom.json"
# The same bytes from the same files.
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$into" -cf - "$name" | gzip -n9 > "$into/$name.tar.gz"
rm -r "${into:?}/$name" "$into/man" "$into/completions"
(cd "$into" && sha256sum -- * > SHA256SUMS && cat SHA256SUMS)
