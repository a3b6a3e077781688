#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
. "$HERE/../_django.sh"

django backend
cat >>backend/apps/stock/models.py <<'P'
    owner = models.CharField(max_length=60)
P
commit "Add owner"
