#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put requirements/lint.txt <<'P'
black==24.10.0
P
put README.md <<'P'
Prices.
P
put libs/pricing/pricing.py <<'P'
def price( a,b ):
    return {'a':a,'b':b}
P
put libs/other/other.py <<'P'
def other( a ):
    return a
P
commit "Add libs"
