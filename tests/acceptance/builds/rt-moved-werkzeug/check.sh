#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
judge "$1"
only requirements/app.txt
grep -qi '^werkzeug' requirements/app.txt || wrong "no bound"
fresh -r requirements/app.txt -r requirements/dev.txt
cd service && passes $python -m pytest -q -p no:cacheprovider
right
