#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put requirements.txt <<'P'
packaging==24.2
P
put fetch.py <<'P'
import packaging
import reqeusts

print(packaging, reqeusts)
P
commit "Add fetch"
