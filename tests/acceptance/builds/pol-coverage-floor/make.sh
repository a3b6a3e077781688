#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put locks.py <<'P'
def fill(level, step):
    return level + step


def drain(level, step):
    if level < step:
        return 0
    if level == step:
        return 0
    return level - step
P
put test_locks.py <<'P'
from locks import fill


def test_fill():
    assert fill(1, 2) == 3
P
commit "Add locks"
