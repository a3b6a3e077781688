#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put tools/load.py <<'P'
import pathlib
import sqlite3
import subprocess
import sys
import time

state = pathlib.Path(".state")
if not state.exists():
    state.mkdir()
    hold = "import sqlite3, time; c = sqlite3.connect('.state/x.db', isolation_level=None); c.execute('BEGIN EXCLUSIVE'); time.sleep(2)"
    subprocess.Popen([sys.executable, "-c", hold], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.5)
with sqlite3.connect(".state/x.db", timeout=0.1) as database:
    database.execute("CREATE TABLE IF NOT EXISTS t (x)")
P
commit "Add load"
