#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put ferry/__init__.py </dev/null
put ferry/deck.py <<'P'
def lanes(width_metres: float) -> int:
    return width_metres / 3.2


def plan(widths: list[float]) -> list[str]:
    return [lanes(width) for width in widths]
P
commit "Add deck"
