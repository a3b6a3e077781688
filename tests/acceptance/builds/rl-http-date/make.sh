#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
. "$HERE/../_depot.sh"

put tools/answer.py <<'P'
from email.utils import formatdate


def answer(request, number, seen):
    if number == 1:
        request.say(429, b"slow down", Date=formatdate(time.time(), usegmt=True), Retry_After=formatdate(seen[0] + 5, usegmt=True))
    else:
        request.say(200, b"[]")
P
commit "Add index"
