#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
judge "$1"
only 'schema/versions/*.py'
cmp -s schema/versions/1a2b3c4d5e6f.py "$pristine/schema/versions/1a2b3c4d5e6f.py" || wrong "a revision was edited"
[ -z "$(changes)" ] || { rm -f pier.db && passes .venv/bin/alembic upgrade head && passes .venv/bin/alembic check; }
right
