#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
judge "$1"
only src/tidetable/levels.py tests/test_levels.py
same_code src/tidetable/levels.py tests/test_levels.py
passes .venv/bin/ruff format --check --no-cache
right
