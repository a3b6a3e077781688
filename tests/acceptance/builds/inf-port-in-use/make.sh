#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put tools/smoke.py <<'P'
import http.server
import socket

holder = socket.socket()  # stands for whatever else runs on the machine
holder.bind(("127.0.0.1", 0))
holder.listen()
http.server.HTTPServer(("127.0.0.1", holder.getsockname()[1]), http.server.SimpleHTTPRequestHandler)
P
commit "Add smoke test"
