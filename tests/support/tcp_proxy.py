# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy on loopback that can hang up, refuse and fall silent, and counts who comes."""

import contextlib
import socket
import threading


class Proxy:
    """Passes on to `target` (host, port). Modes: pass, refuse (accept and hang up), silent (accept
    and say nothing)."""

    def __init__(self, target):
        self.target = target
        self.lock = threading.Lock()
        self.mode = "pass"
        self.accepted = 0
        self.silent_now = self.silent_most = 0  # connections that wait for a word at a time
        self.links = set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.accepted += 1
                mode = self.mode
            if mode == "refuse":
                client.close()
            else:
                body = self._silence if mode == "silent" else self._serve
                threading.Thread(target=body, args=(client,), daemon=True).start()

    def _silence(self, client):
        with self.lock:
            self.links.add(client)
            self.silent_now += 1
            self.silent_most = max(self.silent_most, self.silent_now)
        with contextlib.suppress(OSError):
            while client.recv(65536):
                pass
        with self.lock:
            self.silent_now -= 1
        self._close(client)

    def _serve(self, client):
        try:
            server = socket.create_connection(self.target)
        except OSError:
            client.close()
            return
        with self.lock:
            self.links |= {client, server}
        back = threading.Thread(target=self._copy, args=(server, client), daemon=True)
        back.start()
        self._copy(client, server)
        back.join()
        self._close(client)
        self._close(server)

    @staticmethod
    def _copy(source, target):
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                target.sendall(piece)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _close(self, link):
        with self.lock:
            self.links.discard(link)
        link.close()

    def become(self, mode):
        """From now on; connections that there are end, as when a server dies."""
        with self.lock:
            self.mode = mode
            links = list(self.links)
        for link in links:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.listener.close()
        self.become("refuse")
