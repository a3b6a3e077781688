#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put pyproject.toml <<'P'
[tool.ruff.lint]
select = ["E", "F"]
P
put fares.py <<'P'
import json
import os


def fare(zones):
    return json.dumps({"fare": base_fare + zones * 40})
P
commit "Add fares"
