#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
. "$HERE/../_django.sh"

django site
printf 'from django.db import models\n' >site/apps/crew/models.py
commit "Drop sailors"
