#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
judge "$1"
only pyproject.toml
fresh -e '.[test]'
grep -qiE '^ *"pyyaml' pyproject.toml && grep -qiE '^ *"python.dateutil' pyproject.toml || wrong "not declared"
passes $python -m pytest -q -p no:cacheprovider
right
