#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put pyproject.toml <<'P'
[build-system]
requires = ["setuptools>=61"]
build-backend = "setuptools.build_meta"

[project]
name = "shiftplan"
version = "2.1.0"
dependencies = [
    "packaging",
]

[project.optional-dependencies]
test = ["pytest"]

[tool.setuptools.packages.find]
where = ["src"]
P
put src/shiftplan/__init__.py <<'P'
from shiftplan.reading import shifts

__all__ = ["shifts"]
P
put src/shiftplan/reading.py <<'P'
import yaml

from shiftplan.days import day


def shifts(text):
    return [(day(entry["day"]), entry["who"]) for entry in yaml.safe_load(text)]
P
put src/shiftplan/days.py <<'P'
from dateutil.parser import parse


def day(text):
    return parse(text).date().isoformat()
P
put tests/test_reading.py <<'P'
from shiftplan import shifts


def test_shifts():
    assert shifts("[{day: 3 May 2024, who: Ada}]") == [("2024-05-03", "Ada")]
P
commit "Add shifts" 2025-03-01T10:00:00+0000
