#!/bin/sh
# Sends a throw-away node what its own documents (/docs/openapi) let be sent, and more: no answer may be a failure of the
# node (5xx), and each must be one that its document has. Needs schemathesis (PyPI) on the PATH; no part of the checks of every
# change, because it does not come with the repository.
#
#   portcullis dev --bind 127.77.40.1 &
#   scripts/check-contracts.sh https://127.77.40.1:9443 [EXAMPLES] [DOCUMENT…]
#
# The node is changed by it. What would end the node or lock the caller out is left out.
set -eu
server=${1:?the management port of a throw-away node}
examples=${2:-10}
if [ $# -gt 2 ]; then shift 2; documents=$*; else
    documents=$(curl --silent --insecure "$server/docs/swagger-initializer.js" | grep -o '/docs/openapi/[a-z0-9-]*' | sed 's|.*/||')
fi
left_out='/(cluster/(nodes|leader|plan|join|upgrade|backup|snapshots|certificates|tokens)|users|me/change-password|configuration/reload'
left_out="$left_out|signing-keys|trusted-issuers|gateway/tail|throttling/stream|logout|portal|owners|deactivate)|/tenants"
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
# What the node has is named in the documents, so that calls get beyond "not found".
python3 "$(dirname "$0")/learn-shapes.py" "$server" admin admin "$folder"
failed=
cd "$folder"
for document in $documents; do
    base=$(sed 's/.*"servers": \[{"url": "\([^"]*\)".*/\1/' "$folder/$document.json")
    echo "== $document"
    schemathesis run "$folder/$document.json" --url "$server${base%/}" --tls-verify false --auth admin:admin \
        --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance \
        --phases fuzzing --max-examples "$examples" --mode all --request-timeout 20 --seed 1 \
        --exclude-path-regex "$left_out" --suppress-health-check all || failed="$failed $document"
done
[ -z "$failed" ] || { echo "not as their documents say:$failed"; exit 1; }
