#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put reports/__init__.py </dev/null
put reports/monthly.py <<'P'
import json
import sys

rows = json.load(open(sys.argv[1]))
for row in rows:
    print(row["berth"], row["hours"] * row["rate"])
P
put data/may.json <<'P'
[{"berth": 1, "hours": 4, "rate": 9}, {"berth": 2, "hours": 3}]
P
commit "Add reports"
