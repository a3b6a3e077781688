#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
judge "$1"
only pyproject.toml
fresh -e . --group test
passes $python -m pytest -q -p no:cacheprovider
right
