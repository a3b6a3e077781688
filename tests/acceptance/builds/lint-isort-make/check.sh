#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
judge "$1"
only cargo/manifest.py tools/show.py
passes make -s lint PYTHON=.venv/bin/python
right
