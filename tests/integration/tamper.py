# SPDX-License-Identifier: Apache-2.0
"""A node that goes wrong: a proxy in front of a real one, for the tests of what must notice."""

import http.server
import threading

import rig


class Proxy:
    """Hands everything on to `node`, but for what `tamper(request, honest)` answers itself."""

    def __init__(self, node):
        self.node = node
        self.tamper = None
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one piece

            def handle_one(self):
                length = int(self.headers.get("Content-Length") or 0)
                self.sent = self.rfile.read(length) if length else None

                def honest():
                    with proxy.node.client() as client:
                        answer = client.request(self.command, self.path, self.sent,
                                                self.headers.get("Content-Type"))
                    return answer.status, answer.headers.get("Content-Type"), answer.body
                tamper = proxy.tamper
                status, kind, answer = honest() if tamper is None else tamper(self, honest)
                self.send_response(status)
                if kind:
                    self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_PATCH = handle_one

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def client(self, key=None, timeout=30):
        return rig.Client("127.0.0.1", self.server.server_address[1], key, timeout)

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
