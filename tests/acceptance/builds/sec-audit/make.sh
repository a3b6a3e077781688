#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put requirements.txt <<'P'
jinja2==3.1.2
packaging==24.2
P
put tools/advisories.json <<'P'
{"jinja2": [{"id": "GHSA-h5c8-rqwp-cp95", "below": "3.1.3"}]}
P
put tools/audit.py <<'P'
import json
import pathlib
import sys

known = json.loads(pathlib.Path("tools/advisories.json").read_text())
pins = dict(line.split("==") for line in pathlib.Path(sys.argv[1]).read_text().split())
rows = [(n, v, a["id"], a["below"]) for n, v in pins.items() for a in known.get(n, []) if v < a["below"]]
if rows:
    print(f"Found {len(rows)} known vulnerability in {len(rows)} package", file=sys.stderr)
    print("Name   Version ID                  Fix Versions")
    print("------ ------- ------------------- ------------")
    for row in rows:
        print("{:<6} {:<7} {:<19} {}".format(*row))
    sys.exit(1)
print("No known vulnerabilities found")
P
commit "Pin"
