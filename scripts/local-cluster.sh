#!/usr/bin/env bash
# Runs a cluster on this machine, of the nodes of cluster-configs/three-nodes or another folder, until Ctrl-C.
#   usage: local-cluster.sh [FOLDER [DIRECTORY]]       the directory is kept, and used again where it is there
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-three-nodes} into=${2:-target/local-cluster}
settings=$PWD/cluster-configs/$folder
portcullis=${PORTCULLIS:-$PWD/target/release/portcullis}
mkdir -p "$into" && cd "$into"
[ -e admin-password ] || (umask 077 && head -c 512 /dev/urandom | LC_ALL=C tr -dc 'A-Za-z0-9' | head -c 20 > admin-password)
export PORTCULLIS_USER=admin PORTCULLIS_PASSWORD
PORTCULLIS_PASSWORD=$(cat admin-password)
nodes=()
trap 'kill "${nodes[@]}" 2>/dev/null || true; wait' EXIT
first=
for place in "$settings"/*/node.toml; do
  name=$(basename "$(dirname "$place")")
  if [ ! -e "$name/tls/ca.pem" ]; then
    mkdir -p "$name" && cp "$place" "$name/"
    if [ -z "$first" ]; then
      "$portcullis" cluster bootstrap --data-dir "$name" --admin-password-file admin-password
    else
      "$portcullis" cluster join --data-dir "$name" --token "$("$portcullis" cluster token create --data-dir "$first")"
    fi
  fi
  "$portcullis" server --data-dir "$name" 2>> "$name.log" &
  nodes+=($!)
  first=${first:-$name}
  until "$portcullis" doctor --ping --data-dir "$name" >/dev/null 2>&1; do kill -0 "${nodes[-1]}"; sleep 0.3; done
done
"$portcullis" cluster status --data-dir "$first"
echo "admin / $PORTCULLIS_PASSWORD; logs and data in $PWD; Ctrl-C stops it" >&2
wait
