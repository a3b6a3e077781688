#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put tools/smoke.py <<'P'
import pathlib
import socket
import time

begun = pathlib.Path(".state/begun")
begun.parent.mkdir(exist_ok=True)
if not begun.exists():
    begun.write_text(str(time.time()))
with socket.socket() as listener:
    listener.bind(("127.0.0.1", 0))
    if time.time() - float(begun.read_text()) > 2:
        listener.listen()
    socket.create_connection(listener.getsockname(), timeout=3)
print("up")
P
commit "Add smoke test"
