#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
. "$HERE/../_depot.sh"

put tools/pull.py <<'P'
import os
import urllib.request

with urllib.request.urlopen(os.environ["DEPOT"] + "/chart", timeout=5) as answer:
    open("chart.bin", "wb").write(answer.read())
P
echo chart.bin >>.gitignore

put tools/answer.py <<'P'
def answer(request, number, seen):
    request.say(403, b"chart")
P
commit "Add pull"
