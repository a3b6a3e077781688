#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
judge "$1"
only lib/gears/__init__.py
no_suppressions
PYTHONPATH=lib passes python3 -m unittest discover -q -s tests
right
