#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put requirements.txt <<'P'
iniconfig==2.0.0 --hash=sha256:0000000000000000000000000000000000000000000000000000000000000001
P
commit "Pin"
