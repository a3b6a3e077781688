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
    if number > 2:
        return request.say(200, b"chart")
    request.send_response(200)
    request.send_header("Content-Length", "4096")
    request.end_headers()
    request.wfile.write(b"half")
P
commit "Add pull"
