#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put test_dice.py <<'P'
import pathlib
import unittest


class DiceTest(unittest.TestCase):
    def test_roll(self):
        count = pathlib.Path(".state/rolls")
        count.parent.mkdir(exist_ok=True)
        count.touch()
        count.write_text(count.read_text() + "x")
        self.assertEqual(len(count.read_text()) % 3, 0)
P
commit "Add dice"
