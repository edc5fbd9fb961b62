#!/bin/sh
# Starts a node of a cluster whose nodes are started together, as containers are. On its first start it bootstraps the cluster, or joins
# the one whose first node is at FIRST; on later starts it just runs.
#
#   ADVERTISE            the IP address at which others reach this node; it must stay the same (required)
#   BIND                 the address it binds; 0.0.0.0 where nothing is said
#   FIRST                the address of the first node; empty on the first node itself
#   NODE_NAME            the node's name
#   COMPONENTS           the components it serves; all where it is empty
#   DATA_DIR             its data directory
#   ADMIN_PASSWORD_FILE  a file whose first line is the administrator's password
set -eu
: "${ADVERTISE:?the IP address at which others reach this node}"
: "${ADMIN_PASSWORD_FILE:?a file with the password of the administrator}"
DATA_DIR=${DATA_DIR:-/var/lib/portcullis/node}
NODE_NAME=${NODE_NAME:-$(hostname)}
set -- --data-dir "$DATA_DIR" --bind "${BIND:-0.0.0.0}" --advertise "$ADVERTISE" --node-name "$NODE_NAME"
[ -z "${COMPONENTS:-}" ] || set -- "$@" --components "$COMPONENTS"

if [ ! -e "$DATA_DIR/tls/ca.pem" ]; then
  if [ -z "${FIRST:-}" ]; then
    portcullis cluster bootstrap "$@" --admin-password-file "$ADMIN_PASSWORD_FILE"
  else
    # The first contact is believed; afterwards the authority is pinned. Nothing but the nodes should be on this network.
    HOME=$(dirname "$DATA_DIR") && export HOME
    until token=$(portcullis cluster token create --server "https://$FIRST:9443" \
      --user admin --password-file "$ADMIN_PASSWORD_FILE"); do
      echo "waiting for the first node at $FIRST" >&2
      sleep 2
    done
    portcullis cluster join "$@" --token "$token"
  fi
fi
exec portcullis server --data-dir "$DATA_DIR"
