# SPDX-License-Identifier: Apache-2.0
"""Receivers of notices on the loopback: HTTP, and SMTP with STARTTLS and AUTH.

Each listens on a free port in threads of its own, keeps what it got, and can be told to refuse, to
hang or to be gone. Standard library only.
"""

import base64
import email
import email.policy
import http.server
import json
import socket
import socketserver
import ssl
import subprocess
import threading
import time


class Kept:
    """What came, in order, for tests that wait for it."""

    def __init__(self):
        self._changed = threading.Condition()
        self._items = []

    def add(self, item):
        with self._changed:
            self._items.append(item)
            self._changed.notify_all()

    def all(self):
        with self._changed:
            return list(self._items)

    def wait(self, count, timeout_s=60):
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._items) >= count, timeout_s), \
                f"{len(self._items)} of {count} came"
            return list(self._items)


class Hook:
    """An HTTP receiver. `answer`: a status, or "hang" until it is closed."""

    def __init__(self, answer=200, port=0):
        self.kept = Kept()
        self.answer = answer
        self._closing = threading.Event()
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = hook.answer
                hook.kept.add({"at": time.time(), "path": self.path, "body": body,
                               "headers": dict(self.headers.items()), "answer": answer})
                if answer == "hang":
                    hook._closing.wait()
                    return
                self.send_response(answer)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def documents(self, count, timeout_s=60):
        return [json.loads(one["body"]) for one in self.kept.wait(count, timeout_s)]

    def close(self):
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def make_certificate(folder):
    """A key and a certificate for localhost that signs itself."""
    key, certificate = folder / "smtp.key", folder / "smtp.crt"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out",
                    str(certificate)], check=True, capture_output=True)
    return key, certificate


class Mailbox:
    """An SMTP receiver. `reply`: the line that answers each RCPT; `login`: (user, password) that it
    asks for; `certificate`: (key, certificate) for STARTTLS."""

    def __init__(self, reply="250 ok", login=None, certificate=None):
        self.kept = Kept()
        self.reply = reply
        self.login = login
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate[1], certificate[0])
        mailbox = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                Session(mailbox, self.request).run()

        socketserver.ThreadingTCPServer.allow_reuse_address = True
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Session:
    def __init__(self, mailbox, link):
        self.mailbox, self.link = mailbox, link
        self.file = link.makefile("rb")
        self.is_safe = False
        self.user = None
        self.sender, self.recipients = None, []

    def say(self, line):
        self.link.sendall(line.encode() + b"\r\n")

    def run(self):
        try:
            self.say("220 test ESMTP")
            while self.command():
                pass
        except (OSError, ValueError):
            pass

    def command(self):
        line = self.file.readline().decode().rstrip("\r\n")
        verb, _, rest = line.partition(" ")
        handle = getattr(self, f"do_{verb.lower()}", None)
        if not verb:
            return False
        if handle is None:
            self.say("502 no such command")
            return True
        return handle(rest) is not False

    def do_ehlo(self, _):
        lines = ["test"]
        if self.mailbox.context and not self.is_safe:
            lines.append("STARTTLS")
        if self.mailbox.login:
            lines.append("AUTH PLAIN")
        for line in lines[:-1]:
            self.say("250-" + line)
        self.say("250 " + lines[-1])

    def do_starttls(self, _):
        self.say("220 go on")
        self.link = self.mailbox.context.wrap_socket(self.link, server_side=True)
        self.file = self.link.makefile("rb")
        self.is_safe = True

    def do_auth(self, rest):
        _, _, token = rest.partition(" ")
        if not token:
            self.say("334 ")
            token = self.file.readline().decode().strip()
        _, user, password = base64.b64decode(token).decode().split("\0")
        if (user, password) != self.mailbox.login:
            self.say("535 no")
            return
        self.user = user
        self.say("235 ok")

    def do_mail(self, rest):
        if self.mailbox.login and self.user is None:
            self.say("530 log in first")
            return
        self.sender, self.recipients = rest.split("<")[1].split(">")[0], []
        self.say("250 ok")

    def do_rcpt(self, rest):
        if self.mailbox.reply.startswith("250"):
            self.recipients.append(rest.split("<")[1].split(">")[0])
        self.say(self.mailbox.reply)

    def do_data(self, _):
        self.say("354 go on")
        lines = []
        while (line := self.file.readline()) not in (b".\r\n", b""):
            lines.append(line[1:] if line.startswith(b"..") else line)
        message = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
        self.mailbox.kept.add({"from": self.sender, "to": self.recipients, "user": self.user,
                               "is_safe": self.is_safe, "message": message,
                               "raw": b"".join(lines)})
        self.say("250 kept")

    def do_rset(self, _):
        self.say("250 ok")

    def do_noop(self, _):
        self.say("250 ok")

    def do_quit(self, _):
        self.say("221 bye")
        return False


def free_port():
    with socket.socket() as link:
        link.bind(("127.0.0.1", 0))
        return link.getsockname()[1]
