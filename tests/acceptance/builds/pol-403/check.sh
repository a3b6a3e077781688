#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
judge "$1"
untouched
count=$(wc -l <.state/requests)
[ "$count" -ge 1 ] && [ "$count" -le 1 ] || wrong "$count requests"
right
