#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
judge "$1"
untouched
[ "$(.venv/bin/ruff --version)" = "ruff 0.8.4" ] || wrong "not the declared ruff"
passes .venv/bin/ruff check --no-cache .
right
