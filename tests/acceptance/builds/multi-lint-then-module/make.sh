#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put requirements.txt <<'P'
packaging==24.2
P
put requirements-dev.txt <<'P'
black==24.10.0
P
put tariff.py <<'P'
import attr
from packaging.version import Version
@attr.s
class Tariff:
    name = attr.ib( )
    since = attr.ib(converter = Version)
P
put test_tariff.py <<'P'
import unittest

from tariff import Tariff


class TariffTest(unittest.TestCase):
    def test_since(self):
        self.assertEqual(Tariff("a", "1.0").since.major, 1)
P
commit "Add tariff" 2025-02-01T10:00:00+0000
