#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
judge "$1"
only requirements.txt requirements-dev.txt
fresh -r requirements.txt -r requirements-dev.txt
passes $python -m pytest -q -p no:cacheprovider tests
right
