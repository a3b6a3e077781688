#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
judge "$1"
only requirements/base.txt requirements/dev.txt
grep -qi '^python.dateutil' requirements/base.txt || wrong "not declared for the program"
fresh -r requirements/base.txt
passes $python -m almanac 2024-02-01
right
