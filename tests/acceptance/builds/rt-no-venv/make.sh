#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put requirements.txt <<'P'
pytest==8.3.4
packaging==24.2
P
put test_v.py <<'P'
from packaging.version import Version


def test_v():
    assert Version("1") < Version("2")
P
commit "Add test"
