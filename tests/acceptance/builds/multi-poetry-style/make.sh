#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put pyproject.toml <<'P'
[tool.poetry]
name = "mastlight"
version = "0.1.0"
description = "Lights"
authors = ["Dev <dev@example.org>"]
packages = [{ include = "mastlight" }]

[tool.poetry.dependencies]
python = "^3.9"
packaging = "^24.0"

[build-system]
requires = ["poetry-core>=1.0.0"]
build-backend = "poetry.core.masonry.api"
P
put mastlight/__init__.py <<'P'
from packaging.version import Version
from tabulate import tabulate


def table(rows):
    assert Version("1") < Version("2")
    return tabulate(rows)
P
commit "Add lights" 2024-09-01T10:00:00+0000
