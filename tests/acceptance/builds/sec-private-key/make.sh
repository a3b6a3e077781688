#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put tools/no-keys.sh 755 <<'P'
#!/bin/sh
if found=$(git grep -lE -e '-----BEGIN ([A-Z]+ )?PRIVATE KEY' -- . ':!tools'); then
    for file in $found; do echo "Private key found: $file"; done
    exit 1
fi
P
{ printf -- '-----BEGIN RSA PRIVATE '; printf 'KEY-----\n'; head -c 90 /dev/zero | base64 -w 64; printf -- '-----END RSA PRIVATE '; printf 'KEY-----\n'; } | put deploy/id_rsa
commit "Add deployment"
