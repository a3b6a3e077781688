#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
. "$HERE/../_depot.sh"

put tools/pull.py <<'P'
import os
import sys
import urllib.error
import urllib.request

try:
    urllib.request.urlopen(os.environ["DEPOT"] + "/layers")
except urllib.error.HTTPError as error:
    sys.exit(f"pull failed: {error.code} {error.reason}; retry-after: {error.headers['Retry-After']}")
P
put tools/answer.py <<'P'
def answer(request, number, seen):
    request.say(429, b"too many pulls", Retry_After=7200)
P
commit "Add pull"
