# SPDX-License-Identifier: Apache-2.0
"""A node that only says who it is, for tests of what stands in front of nodes.

    stub_node.py NAME PORT LEDGER [announce]

Port 0 is a free one; `announce` prints it in the line of a node that is ready.
Every request is answered with the node's name and its path; every POST is written to the ledger
before it is answered. A POST whose body holds "die" ends the process between the two: the write
happened and nobody hears of it.
"""

import http.server
import json
import os
import sys
import threading

NAME, PORT, LEDGER = sys.argv[1], int(sys.argv[2]), sys.argv[3]
ledger_lock = threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536  # an answer is one write, as turnout's: none dies in the middle of it

    def do_GET(self):
        self.answer({"node": NAME, "path": self.path})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        with ledger_lock, open(LEDGER, "a", encoding="utf-8") as ledger:
            ledger.write(f"{NAME} {body}\n")
        if f"die {NAME}" in body:
            os._exit(1)
        self.answer({"node": NAME, "path": self.path})

    def answer(self, what):
        text = json.dumps(what).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        pass  # health checks and HAProxy close when they like

    daemon_threads = True
    request_queue_size = 256


with Server(("127.0.0.1", PORT), Handler) as server:
    if sys.argv[4:] == ["announce"]:
        print(f"ready url=http://127.0.0.1:{server.server_port} pid={os.getpid()}", flush=True)
    server.serve_forever()
