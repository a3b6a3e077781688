#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
judge "$1"
only 'backend/apps/stock/migrations/0002_*.py' 'backend/apps/crew/migrations/0002_*.py'
cd backend
passes ../.venv/bin/python manage.py makemigrations --check --dry-run
rm -f test.sqlite3 && passes ../.venv/bin/python manage.py migrate -v 0
right
