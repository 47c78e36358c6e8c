# SPDX-License-Identifier: Apache-2.0
"""A node of the tests' own making: it registers in PostgreSQL and answers controllers as it is told
to, truthfully or not. And the words of both sides of that exchange, for whoever plays one of them.
"""

import contextlib
import hashlib
import hmac
import http.server
import json
import secrets
import threading
import time


def seal(secret, *parts):
    return hmac.new(secret.encode(), "\n".join(parts).encode(), hashlib.sha256).hexdigest()


def make_ask(secret, node, asker=None, at_ms=None):
    """What a controller sends in turnout-ask."""
    at_ms = int(time.time() * 1000) if at_ms is None else at_ms
    text = f"{asker or secrets.token_hex(8)}.{at_ms}.{secrets.token_hex(16)}"
    return f"{text}.{seal(secret, 'turnout ask', node, text)}"


class FakeNode:
    """Registers as `name` for an hour. What it says is its members' business, at any time:
    `figures` are its own, `delay_s` is how long it thinks, `secret` what it seals with; `edit`
    may change the document, `spoil` the seal."""

    def __init__(self, sql, name, secret):
        self.sql = sql
        self.name = name
        self.secret = secret
        self.incarnation = secrets.token_hex(16)
        self.figures = {"cpu": 1.0, "memory": 1.0, "connections": 0, "hit_rate": 0.99,
                        "requests": 0, "queries": 0, "slow_queries": 0, "lookups": 0}
        self.delay_s = 0
        self.clock_ahead_ms = 0
        self.edit = lambda document: document
        self.spoil = lambda seal: seal
        self.asks = 0
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _handler(node):  # noqa: N805: the handler has a self of its own
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self):
                node.asks += 1
                time.sleep(node.delay_s)
                ask = self.headers.get("turnout-ask", "")
                body = json.dumps(node.edit(node.document()))
                with contextlib.suppress(OSError):
                    self.send_response(200)
                    self.send_header("content-type", "application/json")
                    self.send_header("content-length", str(len(body.encode())))
                    self.send_header("turnout-seal",
                                     node.spoil(seal(node.secret, "turnout status", ask, body)))
                    self.end_headers()
                    self.wfile.write(body.encode())

            def log_message(self, *_):
                pass

        return Handler

    def document(self):
        return {"id": self.name, "incarnation": self.incarnation, "version": "fake",
                "at_ms": int(time.time() * 1000) + self.clock_ahead_ms, "ready": True,
                "draining": False, "reason": "", "age_ms": 0, **self.figures}

    def register(self):
        self.sql("INSERT INTO nodes (id, url, version, incarnation, started_at, until, draining)"
                 f" VALUES ('{self.name}', '{self.url}', 'fake', '{self.incarnation}', now(),"
                 " now() + interval '1 hour', false)")
        return self

    def leave(self):
        self.sql(f"DELETE FROM nodes WHERE id = '{self.name}'")

    def close(self):
        self.leave()
        self.server.shutdown()
        self.server.server_close()
