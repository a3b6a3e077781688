#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
judge "$1"
untouched
count=$(wc -l <.state/requests)
[ "$count" -ge 2 ] && [ "$count" -le 6 ] || wrong "$count requests"

python3 - <<'P' || wrong "hammered"
import sys
t = [float(x) for x in open(".state/requests").read().split()]
sys.exit(any(b - a < 0.3 for a, b in zip(t, t[1:])))
P
right
