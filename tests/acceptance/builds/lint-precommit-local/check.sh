#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
judge "$1"
only tackle.py
same_code tackle.py
passes .venv/bin/black -q --check tackle.py
right
