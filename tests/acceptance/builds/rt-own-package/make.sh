#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put requirements-test.txt <<'P'
pytest==8.3.4
P
put pyproject.toml <<'P'
[build-system]
requires = ["setuptools>=61"]
build-backend = "setuptools.build_meta"

[project]
name = "wharf-ledger"
version = "0.1.0"

[tool.setuptools.packages.find]
where = ["src"]
P
put src/wharf_ledger/__init__.py <<'P'
def balance(entries):
    return sum(entries)
P
put tests/test_balance.py <<'P'
from wharf_ledger import balance


def test_balance():
    assert balance([5, -2]) == 3
P
commit "Add ledger"
