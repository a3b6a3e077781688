#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
judge "$1"
only scripts/lib/stamp.sh
cmp -s scripts/lib/stamp.sh "$pristine/scripts/lib/stamp.sh" || wrong "contents changed"
[ "$(cat build/version.txt)" = "version 1" ] || wrong "not built"
right
