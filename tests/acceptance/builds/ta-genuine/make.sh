#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put services/tolls/__init__.py <<'P'
def toll(axles, loaded):
    return axles * 12 + (30 if loaded else 0) - 1
P
put services/tolls/test_tolls.py <<'P'
import pytest

from tolls import toll


@pytest.mark.parametrize(("axles", "loaded", "expected"), [(2, False, 24), (5, True, 90)])
def test_toll(axles, loaded, expected):
    assert toll(axles, loaded) == expected
P
commit "Add tolls"
