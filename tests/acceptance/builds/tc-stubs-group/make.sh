#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put pyproject.toml <<'P'
[project]
name = "logbook"
version = "1.0.0"
requires-python = ">=3.10"
dependencies = ["pyyaml>=6", "python-dateutil>=2.9"]

[dependency-groups]
dev = ["mypy==1.13.0"]

[tool.mypy]
strict = true
P
put src/logbook/__init__.py </dev/null
put src/logbook/entries.py <<'P'
import datetime
from pathlib import Path

import yaml
from dateutil import parser


def dates(path: Path) -> list[datetime.datetime]:
    return [parser.parse(entry["at"]) for entry in yaml.safe_load(path.read_text())]
P
echo uv.lock >>.gitignore
commit "Add entries"
