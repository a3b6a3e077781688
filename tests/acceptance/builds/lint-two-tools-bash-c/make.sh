#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put keel/__init__.py </dev/null
put keel/keel.py <<'P'
import sys
import os
import json


def keel():
    return os.getcwd(), sys.argv
P
commit "Add keel"
