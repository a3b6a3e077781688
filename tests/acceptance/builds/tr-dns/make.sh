#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put README.md <<'P'
Mirror.
P
commit "Add readme"
