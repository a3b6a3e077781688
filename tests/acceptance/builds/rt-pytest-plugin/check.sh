#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
judge "$1"
only requirements/test.txt
grep -qi '^pytest.mock' requirements/test.txt || wrong "not declared"
fresh -r requirements/test.txt
passes $python -m pytest -q -p no:cacheprovider
right
