#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
judge "$1"
only 'site/apps/crew/migrations/0002_*.py'
cd site && passes ../.venv/bin/python manage.py test -v 0
right
