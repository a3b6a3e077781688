#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put test_x.py <<'P'
import unittest
P
commit "Add test"
