#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
judge "$1"
untouched
! .venv/bin/python -c 'import reqeusts' 2>/dev/null || wrong "it was installed"
right
