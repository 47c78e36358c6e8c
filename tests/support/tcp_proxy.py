# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy on loopback that can hang up, refuse, fall silent, swallow, and counts who comes."""

import contextlib
import socket
import threading


class Link:
    """One connection: whether its client has said the marker in this mode."""

    def __init__(self):
        self.met = False


class Proxy:
    """Passes on to `target` (host, port). Modes: pass, refuse (accept and hang up), silent (accept
    and say nothing), swallow and deafen (see there)."""

    def __init__(self, target):
        self.target = target
        self.lock = threading.Lock()
        self.mode = "pass"
        self.marker = None
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
        link = Link()
        back = threading.Thread(target=self._copy, daemon=True,
                                args=(server, client, lambda _: not self._is_deaf(link)))
        back.start()
        self._copy(client, server, lambda piece: not self._is_swallowed(link, piece))
        back.join()
        self._close(client)
        self._close(server)

    def _is_swallowed(self, link, piece):
        met = self.marker is None or self.marker in piece
        if self.mode == "deafen":
            link.met |= met
            return False
        if self.mode == "swallow":
            link.met |= met
            return link.met
        return False

    def _is_deaf(self, link):
        return self.mode == "deafen" and link.met

    @staticmethod
    def _copy(source, target, passes):
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                if passes(piece):
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

    def swallow(self, marker=None):
        """What clients say goes nowhere from now on, also on connections that there are; with a
        marker, on each connection from the piece on that holds it. Until it becomes another."""
        with self.lock:
            self.marker, self.mode = marker, "swallow"

    def deafen(self, marker):
        """The same for what the server says, from when a client has said the marker."""
        with self.lock:
            self.marker, self.mode = marker, "deafen"

    def close(self):
        self.listener.close()
        self.become("refuse")
