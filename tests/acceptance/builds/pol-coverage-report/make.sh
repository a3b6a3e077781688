#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put winch.py <<'P'
def pull(load):
    if load > 5:
        return "slow"
    return "fast"
P
put test_w.py <<'P'
import unittest

from winch import pull


class WinchTest(unittest.TestCase):
    def test_pull(self):
        self.assertEqual(pull(1), "fast")
P
commit "Add winch"
