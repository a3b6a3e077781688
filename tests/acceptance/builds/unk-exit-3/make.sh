#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put tools/pack.py <<'P'
raise SystemExit(3)
P
commit "Add pack"
