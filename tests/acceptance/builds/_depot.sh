# Sourced by the cases with a server that misbehaves; tools/answer.py says how.
put tools/depot.py <<'P'
"""Start a depot on a free port, run the command with DEPOT set to its address, and keep count in .state/."""
import http.server
import os
import pathlib
import socket
import struct
import subprocess
import sys
import threading
import time

state = pathlib.Path(".state/requests")
state.parent.mkdir(exist_ok=True)


class Depot(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with state.open("a") as file:
            file.write(f"{time.time()}\n")
        seen = [float(line) for line in state.read_text().split()]
        answer(self, len(seen), seen)

    def log_message(self, *arguments):
        pass

    def say(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


exec(pathlib.Path("tools/answer.py").read_text())
server = http.server.HTTPServer(("127.0.0.1", 0), Depot)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ |= {"DEPOT": f"http://127.0.0.1:{server.server_port}", "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}
sys.exit(subprocess.call(sys.argv[1:]))
P
