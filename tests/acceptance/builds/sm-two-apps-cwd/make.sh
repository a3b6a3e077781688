#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
. "$HERE/../_django.sh"

django backend
cat >>backend/apps/stock/models.py <<'P'
    note = models.TextField(null=True, blank=True)
P
cat >>backend/apps/crew/models.py <<'P'
    rank = models.CharField(max_length=20, default="deckhand")
P
commit "Add note and rank"
