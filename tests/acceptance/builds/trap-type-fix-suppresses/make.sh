#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put hoist.py <<'P'
def lift(kg: int) -> int:
    return kg * 2  # type: ignore[operator]
P
commit "Add hoist"
