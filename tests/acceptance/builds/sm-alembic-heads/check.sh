#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
judge "$1"
only 'db/schema/versions/*.py'
for file in 1a2b3c4d5e6f 2b3c4d5e6f70 3c4d5e6f7081; do
    cmp -s "db/schema/versions/$file.py" "$pristine/db/schema/versions/$file.py" || wrong "$file was edited"
done
[ -z "$(changes)" ] || { rm -f db/pier.db && cd db && passes ../.venv/bin/alembic upgrade head; }
right
