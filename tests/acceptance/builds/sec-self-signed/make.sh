#!/usr/bin/env bash
. "$(dirname "$0")/../_lib.sh"
project "$1"
put tools/tls.py <<'P'
import http.server
import ssl
import subprocess
import sys
import threading

subprocess.run("mkdir -p .state && openssl req -x509 -newkey rsa:2048 -nodes -keyout .state/k -out .state/c -subj /CN=localhost -days 2", shell=True, check=True, stderr=subprocess.DEVNULL)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(".state/c", ".state/k")
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
server.socket = context.wrap_socket(server.socket, server_side=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.exit(subprocess.call(["curl", "-sS", "--noproxy", "*", f"https://127.0.0.1:{server.server_port}/"]))
P
commit "Add fetch"
