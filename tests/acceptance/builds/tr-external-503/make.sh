#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
. "$HERE/../_depot.sh"

put tools/answer.py <<'P'
def answer(request, number, seen):
    request.say(503 if number < 4 else 200)
P
commit "Add deployment"
