#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put requirements.txt <<'P'
flask==3.0.3
werkzeug==2.3.8
P
commit "Pin"
