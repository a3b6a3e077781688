#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
. "$HERE/../_depot.sh"

put tools/answer.py <<'P'
def answer(request, number, seen):
    request.reset() if number == 1 else request.say(200, b'{"tiles": []}')
P
commit "Add tiles"
