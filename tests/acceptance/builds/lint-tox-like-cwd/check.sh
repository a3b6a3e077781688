#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
judge "$1"
only libs/pricing/pricing.py
same_code libs/pricing/pricing.py
passes .venv/bin/black --check -q libs/pricing
right
