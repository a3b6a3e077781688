#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
printf 'check:\n\tpython3 -m unittest -q test_bill\n\nupdate-snapshots:\n\tUPDATE=1 python3 -m unittest -q test_bill\n' | put Makefile
put bill.py <<'P'
def bill(lines):
    return "\n".join(f"{name:<8}{price:>7}" for name, price in lines) + "\n"
P
put snapshots/bill.txt <<'P'
rope     12.50
lamp      3.00
P
put test_bill.py <<'P'
import os
import pathlib
import unittest

from bill import bill

SNAPSHOT = pathlib.Path("snapshots/bill.txt")


class BillTest(unittest.TestCase):
    def test_bill(self):
        text = bill([("rope", "12.50"), ("lamp", "3.00")])
        if os.environ.get("UPDATE"):
            SNAPSHOT.write_text(text)
        self.assertEqual(text, SNAPSHOT.read_text(), "run `make update-snapshots` to accept the change")
P
commit "Add bill"
