#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
judge "$1"
only keel/keel.py
passes .venv/bin/autoflake -j 1 --check --remove-all-unused-imports -r keel
passes .venv/bin/isort --check keel
right
