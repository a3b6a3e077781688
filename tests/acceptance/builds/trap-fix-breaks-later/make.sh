#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put formats/__init__.py <<'P'
KNOWN = {}
P
put formats/csv_format.py <<'P'
import formats

formats.KNOWN["csv"] = ","
P
put exporting.py <<'P'
import formats
import formats.csv_format as plugin


def separator(name):
    return formats.KNOWN[name]
P
put test_formats.py <<'P'
import unittest

import exporting


class FormatsTest(unittest.TestCase):
    def test_csv(self):
        self.assertEqual(exporting.separator("csv"), ",")
P
commit "Add formats"
