# SPDX-License-Identifier: Apache-2.0
"""Slow clients, clients that leave, and very many of them."""

import contextlib
import socket

import rig
from rig import at, ok

CONNECTIONS = 10_000
SPARE_FDS = 500
IDLE_MEMORY_MAX_KIB = 60 * 1024
BUSY_MEMORY_MAX_KIB = 200 * 1024


def scan_request(venue, body):
    return (b"POST %s/checkins HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (venue.path.encode(), len(body), body))


def test_half_a_head_on_many_connections_keeps_nobody_waiting(server, client, venue):
    venue.person("t")
    with contextlib.ExitStack() as stack:
        for _ in range(500):
            link = stack.enter_context(server.socket())
            link.sendall(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        assert client.get("/livez").status == 200
        venue.admitted("t")


def test_half_a_body_on_many_connections_keeps_nobody_waiting(server, client, venue):
    venue.person("t")
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            link = stack.enter_context(server.socket())
            link.sendall(scan_request(venue, b"x" * 1000)[:-900])
        venue.admitted("t")
    assert len(venue.attendance()) == 1


def test_a_scan_whose_client_left_is_decided_once_and_for_all(server, venue):
    tokens = venue.crowd(100)
    for number, token in enumerate(tokens):
        with server.socket() as link:
            body = b'{"token":"%s","gate":"g1","nonce":"n%d"}' % (token.encode(), number)
            link.sendall(scan_request(venue, body))
            if number % 2:
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset
    for number, token in enumerate(tokens):
        assert venue.admitted(token, nonce=f"n{number}")
    venue.stats_become(scans=100, inside=100)


def test_a_client_that_leaves_in_the_middle_of_a_body_leaves_no_record(server, venue):
    venue.person("t")
    body = b'{"token":"t","gate":"g1"}'
    for cut in range(1, len(body), 5):
        with server.socket() as link:
            link.sendall(scan_request(venue, body)[:-cut])
    venue.admitted("t")
    assert len(venue.attendance()) == 1


def test_clients_that_leave_during_an_export_harm_nobody(server, venue):
    tokens = venue.crowd(3000)
    venue.batch([{"token": token, "gate": "g1", "scanned_at": at(n)}
                for n, token in enumerate(tokens)])
    for _ in range(50):
        with server.socket() as link:
            link.sendall(b"GET %s/attendance HTTP/1.1\r\nHost: x\r\nAccept: text/csv\r\n\r\n" %
                         venue.path.encode())
            link.recv(100)
    assert venue.client.get("/livez").status == 200
    assert len(venue.attendance()) == 3000


def test_clients_that_read_nothing_do_not_fill_the_memory(make_server):
    server = make_server()
    with server.client() as client:
        venue = rig.Venue(client)
        tokens = venue.crowd(20000)
        lines = [{"token": token, "gate": "g1", "scanned_at": at(
            n / 10)} for n, token in enumerate(tokens)]
        venue.batch(lines)
        before = server.memory_kib()
        with contextlib.ExitStack() as stack:
            for _ in range(100):  # 100 exports of about 2 MB each
                link = stack.enter_context(socket.socket())
                link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                link.connect((server.host, server.port))
                link.sendall(b"GET %s/attendance HTTP/1.1\r\nHost: x\r\nAccept: text/csv\r\n\r\n" %
                             venue.path.encode())
            for _ in range(200):
                assert client.get("/livez").status == 200
            assert server.memory_kib() - before < 100 * 1024
        assert ok(client.get(venue.path + "/stats"))["scans"] == 20000


def test_unfinished_bodies_do_not_fill_the_memory(make_server):
    server = make_server()
    with server.client() as client, contextlib.ExitStack() as stack:
        venue = rig.Venue(client)
        piece = b"x" * (1 << 20)
        for _ in range(40):  # 40 imports that stop after 20 of 30 MiB
            link = stack.enter_context(server.socket(5))
            try:
                link.sendall(b"POST %s/participants:import HTTP/1.1\r\nHost: x\r\n"
                             b"Content-Type: text/csv\r\nContent-Length: %d\r\n\r\n" %
                             (venue.path.encode(), 30 << 20))
                for _ in range(20):
                    link.sendall(piece)
            except OSError:
                pass  # cut off: that is one way to stay within the budget
        assert client.get("/livez").status == 200
        assert server.memory_kib() < 600 * 1024


def ask(link):
    link.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")


def is_answered(link):
    return link.recv(4096).startswith(b"HTTP/1.1 200")


def test_ten_thousand_connections_are_all_served_in_little_memory(make_server):
    """As many as the descriptors allow when that is fewer; the number is printed."""
    hard = rig.raise_fd_limit()
    count = min(CONNECTIONS, hard - SPARE_FDS)
    print(f"{count} connections; at most {hard} descriptors a process")
    server = make_server()
    links = []
    try:
        for _ in range(count):
            links.append(server.socket())
        for link in links:
            ask(link)
            assert is_answered(link)
        assert server.memory_kib() < IDLE_MEMORY_MAX_KIB
        with server.client() as client:  # and one more, while they are idle
            venue = rig.Venue(client)
            venue.person("t")
            venue.admitted("t")
        for link in links:  # all at the same moment
            ask(link)
        assert all(is_answered(link) for link in links)
        assert server.memory_kib() < BUSY_MEMORY_MAX_KIB
    finally:
        for link in links:
            link.close()


def test_connections_that_come_and_go_leave_nothing_behind(make_server):
    server = make_server()
    for _ in range(200):
        with server.client() as client:
            client.get("/livez")

    def open_fds():
        return len(list(rig.pathlib.Path(f"/proc/{server.pid}/fd").iterdir()))

    rig.eventually(open_fds, lambda now: now < 100)
