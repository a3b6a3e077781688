#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put tools/index.py <<'P'
import os
import signal

print("indexing 400000 documents", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
P
commit "Add index"
