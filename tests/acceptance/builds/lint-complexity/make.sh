#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put ruff.toml <<'P'
[lint]
select = ["C90", "F"]
mccabe.max-complexity = 4
P
put src/route.py <<'P'
def route(kind, weight, night, island):
    if kind == "letter":
        return "post"
    if weight > 30:
        return "freight"
    if night and not island:
        return "courier"
    if island:
        return "boat"
    return "van"
P
commit "Add routes"
