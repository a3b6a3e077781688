#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put app/units.py <<'P'
UNIT = {"length": "m"}


def label(value):
    return f"{value} {UNIT['length']}"
P
put app/test_a_feet.py <<'P'
import units


def test_feet():
    units.UNIT["length"] = "ft"
    assert units.label(3) == "3 ft"
P
put app/test_b_metres.py <<'P'
import units


def test_metres():
    assert units.label(3) == "3 m"
P
commit "Add units"
