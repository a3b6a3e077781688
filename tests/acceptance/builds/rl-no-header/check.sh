#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
judge "$1"
untouched
count=$(wc -l <.state/requests)
[ "$count" -ge 3 ] && [ "$count" -le 4 ] || wrong "$count requests"
right
