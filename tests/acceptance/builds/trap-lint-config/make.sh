#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put loom.py <<'P'
def weave():
    return 1
P
commit "Add loom"
