#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put requirements.txt <<'P'
mypy==1.13.0
texttable==1.6.7
P
put convert.py <<'P'
import texttable


def table(rows: list[list[str]]) -> str:
    drawn = texttable.Texttable()
    drawn.add_rows(rows)
    return str(drawn.draw())
P
commit "Add tables"
