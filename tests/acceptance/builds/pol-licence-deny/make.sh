#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put requirements.txt <<'P'
unidecode==1.3.8
P
commit "Add requirements"
