# SPDX-License-Identifier: Apache-2.0
"""The access log and W3C trace context, from outside."""

import os
import re

import pytest

import rig
from rig import create_key, eventually

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
LINE = re.compile(r't=\S+Z req=(?P<req>\S+) method=(?P<method>\S+) route="(?P<route>[^"]+)" '
                  r'status=(?P<status>\d+) bytes=(?P<bytes>\d+) took_ms=(?P<took>[\d.]+) '
                  r'scope=(?P<scope>\S+) peer=(?P<peer>\S+) trace=(?P<trace>\S+)')


def lines_of(path, at_least):
    text = eventually(lambda: path.read_text() if path.exists() else "",
                      lambda text: text.count("\n") >= at_least, 30)
    found = [LINE.fullmatch(line) for line in text.splitlines()]
    assert all(found), text
    return found


def access(path):
    return {"TURNOUT_LOG_ACCESS": str(path)}


def test_each_request_has_one_line(make_server, tmp_path):
    path = tmp_path / "access.log"
    server = make_server(env=access(path))
    with server.client() as client:
        client.post("/v1/events", {"code": "e1", "name": "One"}, X_Request_Id="first")
        client.get("/v1/events/e1/participants?token=SECRET-TOKEN", traceparent=PARENT)
        client.get("/no/such/SECRET-PATH")
        client.request("HEAD", "/livez")
        client.request("BREW", "/v1/events")
    first, people, unknown, head, brewed = lines_of(path, 5)
    assert (first["req"], first["method"], first["route"], first["status"]) == \
        ("first", "POST", "POST /v1/events", "201")
    assert first["scope"] == "admin" and first["peer"] == "127.0.0.1" and first["trace"] == "-"
    assert int(first["bytes"]) > 50 and float(first["took"]) >= 0
    assert people["route"] == "GET /v1/events/{event}/participants" and people["trace"] == TRACE
    assert (unknown["route"], unknown["status"], unknown["scope"]) == ("other", "404", "-")
    assert (head["method"], head["route"]) == ("HEAD", "GET /livez")
    assert (brewed["method"], brewed["status"]) == ("other", "405")
    assert "SECRET" not in path.read_text()


def test_keys_are_never_in_it(make_server, tmp_path):
    path = tmp_path / "access.log"
    server = make_server(auth="required", env=access(path))
    key = create_key(server, "analyst")
    with server.client(key) as client:
        assert client.get("/v1/events").status == 200
        assert client.get("/v1/events", Authorization="Bearer tk_wrong.SECRET").status == 401
    good, bad = lines_of(path, 2)
    assert good["scope"] == "analyst" and bad["scope"] == "-" and bad["status"] == "401"
    text = path.read_text()
    assert key not in text and key.split(".")[1] not in text and "SECRET" not in text


def test_a_file_that_was_moved_away_begins_anew(make_server, tmp_path):
    path, moved = tmp_path / "access.log", tmp_path / "access.log.1"
    server = make_server(env=access(path))
    with server.client() as client:
        client.get("/v1/events")
        lines_of(path, 1)
        os.rename(path, moved)

        def asked():
            client.get("/v1/events")
            return path.exists()

        eventually(asked, bool, 30)
        server.stop()
    assert len(lines_of(path, 1)) >= 1 and len(lines_of(moved, 1)) >= 1


def test_nothing_is_lost_at_the_end(make_server, tmp_path):
    path = tmp_path / "access.log"
    server = make_server(env=access(path))
    with server.client() as client:
        for _ in range(500):
            client.get("/livez")
    server.stop()
    assert len(lines_of(path, 500)) == 500


def test_a_disk_that_stands_still_holds_up_nobody(make_server, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # opened, and never read
    try:
        server = make_server(env=access(pipe))
        with server.client() as client:
            def dropped():
                for _ in range(200):
                    assert client.get("/livez").status == 200
                text = client.get("/metrics").body.decode()
                return float(re.search(r"^turnout_access_log_dropped_total (\S+)$", text, re.M)[1])

            eventually(dropped, lambda count: count > 0, 120)
        server.stop()  # and it ends, with nobody reading still
        assert " event=access_log_left " in server.log_path.read_text()
    finally:
        os.close(reader)


def test_a_pipe_that_nobody_reads_is_said_at_the_start(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    done = rig.run("serve", "--auth", "off", "--listen", "127.0.0.1:0", "--store",
                   f"sqlite:{tmp_path}/t.db", env=access(pipe))
    assert done.returncode == 78 and "log.access" in done.stderr and "pipe" in done.stderr


def test_a_file_that_cannot_be_opened_is_said_at_the_start(tmp_path):
    done = rig.run("serve", "--auth", "off", "--listen", "127.0.0.1:0", "--store",
                   f"sqlite:{tmp_path}/t.db", env=access(tmp_path / "no" / "folder"))
    assert done.returncode == 78 and "log.access" in done.stderr


# Trace context ---------------------------------------------------------------------------------

def test_a_trace_is_passed_on_with_a_span_of_its_own(client):
    spans = set()
    for _ in range(3):
        answer = client.get("/livez", traceparent=PARENT)
        found = re.fullmatch(rf"00-{TRACE}-([0-9a-f]{{16}})-01", answer.headers["traceresponse"])
        assert found, answer.headers["traceresponse"]
        spans.add(found[1])
    assert len(spans) == 3 and "00f067aa0ba902b7" not in spans


@pytest.mark.parametrize("given", [
    "00-" + "0" * 32 + "-00f067aa0ba902b7-01", f"ff-{TRACE}-00f067aa0ba902b7-01", "x",
    PARENT + "-x", PARENT.upper()])
def test_what_is_no_trace_is_left_alone(client, given):
    answer = client.get("/livez", traceparent=given)
    assert answer.status == 200 and answer.headers["traceresponse"] is None
    assert client.get("/livez").headers["traceresponse"] is None


def test_two_traces_are_none(server):
    with server.socket() as link:
        link.sendall(f"GET /livez HTTP/1.1\r\nHost: x\r\ntraceparent: {PARENT}\r\n"
                     f"Traceparent: {PARENT}\r\nConnection: close\r\n\r\n".encode())
        text = b""
        while piece := link.recv(65536):
            text += piece
    assert text.startswith(b"HTTP/1.1 200 ") and b"traceresponse" not in text.lower()
