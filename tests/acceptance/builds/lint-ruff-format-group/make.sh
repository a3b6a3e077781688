#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put pyproject.toml <<'P'
[project]
name = "tidetable"
version = "0.4.0"
requires-python = ">=3.10"
dependencies = []

[dependency-groups]
dev = ["ruff==0.8.4"]

[tool.ruff]
src = ["src"]
line-length = 90
P
put src/tidetable/__init__.py <<'P'
from tidetable.levels import Level, highest

__all__ = ["Level", "highest"]
P
put src/tidetable/levels.py <<'P'
from dataclasses import dataclass

@dataclass(frozen = True)
class Level:
    station : str
    metres:float
def highest( levels:list[Level] )->Level :
    return max( levels, key = lambda level : level.metres )
P
put tests/test_levels.py <<'P'
import unittest

from tidetable import Level, highest


class HighestTest(unittest.TestCase):
    def test_highest(self):
        self.assertEqual(highest([Level('a',1.0), Level("b", 2.5)]).station, "b")
P
echo uv.lock >>.gitignore
commit "Add levels"
