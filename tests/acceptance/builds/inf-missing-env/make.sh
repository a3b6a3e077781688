#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put config.py <<'P'
import os
import sys

if "WAREHOUSE_URL" not in os.environ:
    sys.exit("error: environment variable WAREHOUSE_URL is not set")
P
commit "Add configuration"
