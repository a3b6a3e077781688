#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
judge "$1"
only pyproject.toml
grep -q '^tabulate *=' pyproject.toml || wrong "not declared"
fresh .
cd "$scratch" && passes "$python" -c 'import mastlight; print(mastlight.table([[1, 2]]))'
right
