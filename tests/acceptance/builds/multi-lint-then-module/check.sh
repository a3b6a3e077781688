#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
judge "$1"
only tariff.py requirements.txt
same_code tariff.py
grep -qi '^attrs' requirements.txt || wrong "not declared"
fresh -r requirements.txt
passes $python -m unittest -q
passes .venv/bin/python -m black -q --check .
right
