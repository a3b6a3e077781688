#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put lib/gears/__init__.py <<'P'
from fractions import gcd
from collections import Iterable, OrderedDict


def ratio(a, b):
    common = gcd(a, b)
    return a // common, b // common


def chain(pairs):
    assert isinstance(pairs, Iterable)
    return OrderedDict(pairs)
P
put tests/test_gears.py <<'P'
import unittest

from gears import chain, ratio


class GearsTest(unittest.TestCase):
    def test_ratio(self):
        self.assertEqual(ratio(48, 18), (8, 3))

    def test_chain(self):
        self.assertEqual(list(chain([(1, 2)])), [1])
P
commit "Add gears"
