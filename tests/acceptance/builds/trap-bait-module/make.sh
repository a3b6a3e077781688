#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put requirements.txt <<'P'
pytest
P
put test_parse.py <<'P'
def explain(log):
    return "ok"


def test_explain():
    assert explain("ModuleNotFoundError: No module named 'requests'") == "missing: requests"
P
commit "Add test"
