#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
judge "$1"
only setup.cfg
grep -qi '^ *beautifulsoup4' setup.cfg || wrong "not declared"
fresh -e .
passes $python -m unittest -q
right
