#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put pulleys.py <<'P'
def lift(weight):
    return weight / 2
P
put test_pulleys.py <<'P'
from pulleys import lift, lower


def test_lift():
    assert lift(4) == 2
    assert lower(4) == 8
P
commit "Add pulleys"
