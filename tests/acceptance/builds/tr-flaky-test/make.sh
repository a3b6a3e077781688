#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put tests/__init__.py </dev/null
put tests/test_clock.py <<'P'
import pathlib
import unittest


class ClockTest(unittest.TestCase):
    def test_ticks(self):
        mark = pathlib.Path(".state/ran")
        first = not mark.exists()
        mark.parent.mkdir(exist_ok=True)
        mark.touch()
        self.assertLess(12 if first else 3, 5, "the clock drifted")
P
commit "Add clock"
