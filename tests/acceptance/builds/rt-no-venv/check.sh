#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
judge "$1"
untouched
passes .venv/bin/python -m pytest -q -p no:cacheprovider
right
