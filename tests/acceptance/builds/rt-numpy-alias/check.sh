#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
judge "$1"
only requirements.txt mean.py
[ -z "$(changes)" ] || { fresh -r requirements.txt && passes $python -m unittest -q test_mean; }
right
