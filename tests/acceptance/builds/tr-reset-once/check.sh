#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
judge "$1"
untouched
count=$(wc -l <.state/requests)
[ "$count" -ge 2 ] && [ "$count" -le 3 ] || wrong "$count requests"
[ -s build/tiles.json ] || wrong 'no download'
right
