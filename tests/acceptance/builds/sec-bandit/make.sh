#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put backup/__init__.py </dev/null
put backup/copy.py <<'P'
import subprocess


def copy(path):
    subprocess.call(f"cp -r {path} /backup", shell=True)
P
commit "Add backup"
