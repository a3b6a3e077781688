#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
judge "$1"
untouched
count=$(wc -l <.state/requests)
[ "$count" -ge 2 ] && [ "$count" -le 2 ] || wrong "$count requests"

early() { python3 - "$1" <<'P' || wrong "asked too early"
import sys
t = [float(x) for x in open(".state/requests").read().split()]
sys.exit(t[1] - t[0] < float(sys.argv[1]))
P
}
early 4
right
