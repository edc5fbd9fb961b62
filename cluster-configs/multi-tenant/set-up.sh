#!/bin/sh
# Makes tenants, each with a first administrator whose password is in a file of its own.
#   usage: set-up.sh DIRECTORY DOMAIN...
# The server and who signs in there are those of the command line: PORTCULLIS_SERVER, PORTCULLIS_USER, PORTCULLIS_PASSWORD, or a context.
set -eu
into=${1:?a directory for the passwords}
shift
umask 077
mkdir -p "$into"
for domain in "$@"; do
  if portcullis tenant list -o name | grep -qxF "$domain"; then
    echo "$domain is there" >&2
    continue
  fi
  file="$into/$domain"
  # 24 letters and digits, with something of each kind that the settings ask for.
  printf 'Aa1-%s\n' "$(head -c 512 /dev/urandom | LC_ALL=C tr -dc 'A-Za-z0-9' | head -c 24)" > "$file"
  portcullis tenant create "$domain" --admin admin --email "admin@$domain" --new-password-file "$file"
  echo "$domain: sign in as admin@$domain with the password in $file" >&2
done
