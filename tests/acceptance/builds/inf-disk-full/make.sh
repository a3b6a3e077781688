#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put docs/index.md <<'P'
# Docks
P
commit "Add docs"
