#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
. "$HERE/../_depot.sh"

put tools/answer.py <<'P'
def answer(request, number, seen):
    if number <= 2 or time.time() < seen[0] + 5:
        request.say(429, b'{"message": "API rate limit exceeded"}', X_RateLimit_Remaining=0, X_RateLimit_Reset=int(seen[0]) + 6)
    else:
        request.say(200, b"[]")
P
commit "Add releases"
