#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put requirements/base.txt <<'P'
packaging
P
put requirements/test.txt <<'P'
-r base.txt
pytest
P
put test_m.py <<'P'
import os


def test_m(mocker):
    mocker.patch("os.getcwd", return_value="/quay")
    assert os.getcwd() == "/quay"
P
commit "Add test" 2025-06-01T10:00:00+0000
