# SPDX-License-Identifier: Apache-2.0
"""The performance monitor of a real server: figures agree with what was asked of it."""

import contextlib
import http.client
import json
import os
import re
import select
import selectors
import signal
import socket
import statistics
import subprocess
import time
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

BIN = os.environ.get("TURNOUT_BIN",
                     str(Path(__file__).resolve().parents[2] / "build" / "turnout"))
WAIT_S = 30
KPI_KEYS = ["api_response_ms", "db_query_ms", "cache_hit_rate", "memory_percent", "cpu_percent",
            "concurrent_users", "throughput_tps"]
SCAN = "POST /v1/events/{event}/checkins"


class Node:
    def __init__(self, folder, *args, env=None):
        self.folder = folder
        self.log = open(folder / "serve.log", "ab")
        clean = {k: v for k, v in os.environ.items() if not k.startswith("TURNOUT_")}
        self.process = subprocess.Popen(
            [BIN, "serve", "--listen", "127.0.0.1:0", *args], cwd=folder, text=True,
            stdout=subprocess.PIPE, stderr=self.log, env={**clean, **(env or {})})
        readable, _, _ = select.select([self.process.stdout], [], [], WAIT_S)
        assert readable, "no ready line in time"
        line = self.process.stdout.readline()
        found = re.match(r"ready url=http://127\.0\.0\.1:(\d+) pid=", line)
        self.port = int(found[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def ask(self, path, body=None, method=None, key=None):
        """(status, headers, body) of one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        data = json.dumps(body).encode() if body is not None else None
        connection.request(method or ("POST" if body is not None else "GET"), path, data, headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, dict(answer.getheaders()), text

    def get(self, path, key=None):
        status, _, text = self.ask(path, key=key)
        assert status == 200, (status, text)
        return json.loads(text)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.process.stdout.close()
        self.log.close()
        return code

    def log_lines(self, event):
        return [line for line in (self.folder / "serve.log").read_text().splitlines()
                if f" event={event} " in line]


@pytest.fixture
def node(tmp_path):
    node = Node(tmp_path, "--auth", "off", env={"TURNOUT_CACHE_WARM": "none"})
    assert node.ask("/v1/events", {"code": "e1", "name": "One"})[0] == 201
    assert node.ask("/v1/events/e1/gates", {"code": "g1", "name": "North"})[0] == 201
    assert node.ask("/v1/events/e1/participants", {"token": "t1", "name": "Ann"})[0] == 201
    yield node
    node.stop()


def wait_until(look, what):
    """What `look` returns once it is true."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        select.select([], [], [], 0.05)
    raise AssertionError(f"{what}: not in {WAIT_S} s")


def settled(node):
    """The figures when none but this request is under way: an answer is counted when it was
    written, which is a moment after its client may have read it."""
    def alone():
        document = node.get("/v1/performance")
        return document if document["api"]["in_flight"] == 1 else None
    return wait_until(alone, "no request in flight but the one that asks")


def route_of(document, name):
    found = [one for one in document["api"]["endpoints"] if one["route"] == name]
    return found[0] if found else None


def query_of(document, name):
    found = [one for one in document["db"]["queries"] if one["name"] == name]
    return found[0] if found else None


# Shapes ----------------------------------------------------------------------------------------

API = {"count", "rps", "avg_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms", "error_rate",
       "slow_count", "in_flight", "oldest_in_flight_ms"}


def test_the_document_has_every_member_that_was_promised(node):
    document = node.get("/v1/performance")
    assert document["window_s"] == 300
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", document["at"])
    assert API | {"endpoints"} <= set(document["api"])
    assert all(API | {"route"} <= set(one) for one in document["api"]["endpoints"])
    assert {"count", "avg_ms", "p95_ms", "p99_ms", "slow_count", "failures",
            "queries"} <= set(document["db"])
    level = {"hits", "misses", "hit_rate", "entries", "capacity", "evictions", "avg_us"}
    assert level <= set(document["cache"]["l1"])
    assert level | {"state"} <= set(document["cache"]["l2"])
    assert set(document["cache"]["misses_by_cause"]) == {"cold", "expired", "evicted",
                                                         "invalidated", "l2_down"}
    system = document["system"]
    assert {"cpu_percent", "memory_percent", "rss_bytes", "connections", "open_fds",
            "pressure"} <= set(system)
    assert system["rss_bytes"] > 1 << 20 and system["open_fds"] > 3
    assert 0 < system["memory_percent"] <= 100
    assert system["connections"] >= 1
    [this] = document["nodes"]
    assert this["healthy"] is True and this["url"] == node.url


def test_the_processor_is_known_after_two_seconds(node):
    def figure():
        percent = node.get("/v1/performance")["system"]["cpu_percent"]
        return None if percent is None else [percent]

    assert 0 <= wait_until(figure, "a processor figure")[0] <= 100


# Figures ---------------------------------------------------------------------------------------

def test_counts_agree_with_the_requests_made(node):
    for number in range(7):
        assert node.ask("/v1/events/e1/checkins", {"token": f"x{number}", "gate": "g1"})[0] == 200
    for _ in range(4):
        node.get("/v1/events")
    assert node.ask("/v1/events/nope/stats")[0] == 404
    assert node.ask("/livez")[0] == 200
    document = settled(node)
    assert route_of(document, SCAN)["count"] == 7
    assert route_of(document, "GET /v1/events")["count"] == 4
    assert route_of(document, "GET /v1/events/{event}/stats")["error_rate"] == 0
    assert route_of(document, "GET /livez") is None
    assert document["api"]["count"] == sum(one["count"] for one in document["api"]["endpoints"])
    assert query_of(document, "check_in")["count"] == 7
    assert query_of(document, "list_events")["count"] == 4
    assert document["db"]["count"] == sum(one["count"] for one in document["db"]["queries"])
    assert document["api"]["avg_ms"] > 0 and document["db"]["avg_ms"] > 0
    # the one that asks is under way
    assert document["api"]["in_flight"] == 1
    assert route_of(document, "GET /v1/performance")["in_flight"] == 1


def test_scans_of_a_batch_count_as_transactions(node):
    lines = "".join(json.dumps({"token": f"b{n}", "gate": "g1"}) + "\n" for n in range(40))
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=WAIT_S)
    connection.request("POST", "/v1/events/e1/checkins:batch", lines.encode(),
                       {"Content-Type": "application/x-ndjson"})
    assert len(connection.getresponse().read().splitlines()) == 40
    connection.close()
    settled(node)
    text = node.ask("/metrics")[2].decode()
    assert int(re.search(r"^turnout_transactions_total (\d+)$", text, re.M)[1]) == 40 + 3


def test_traffic_of_some_seconds_shows_in_the_key_figures(node):
    begun = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=WAIT_S)
    count = 0
    while time.monotonic() - begun < 5:
        connection.request("POST", "/v1/events/e1/checkins",
                           json.dumps({"token": f"r{count}", "gate": "g1"}),
                           {"Content-Type": "application/json"})
        assert connection.getresponse().read()
        count += 1
    connection.close()
    items = {one["key"]: one for one in node.get("/v1/performance/kpi")["items"]}
    assert list(items) == KPI_KEYS
    assert items["api_response_ms"]["value"] > 0
    assert items["throughput_tps"]["value"] >= count / 10
    assert items["concurrent_users"]["value"] >= 1
    assert items["cache_hit_rate"] | {"value": None, "status": "unknown"} == items["cache_hit_rate"]
    assert route_of(node.get("/v1/performance"), SCAN)["count"] == count


def test_what_is_read_again_shows_as_hits_and_not_as_queries(tmp_path):
    # warming reads for itself, and would be in the counts
    node = Node(tmp_path, "--auth", "off", env={"TURNOUT_CACHE_WARM": "none"})
    try:
        check_reads_of_one_event(node)
    finally:
        node.stop()


def check_reads_of_one_event(node):
    assert node.ask("/v1/events", {"code": "e1", "name": "One"})[0] == 201
    for _ in range(20):
        node.get("/v1/events/e1")
    document = node.get("/v1/performance")
    level = document["cache"]["l1"]
    assert (level["hits"], level["misses"], level["entries"]) == (19, 1, 1)
    assert level["hit_rate"] == document["cache"]["hit_rate"] == 0.95
    queries = {one["name"]: one["count"] for one in document["db"]["queries"]}
    assert queries["load_event"] == 1
    items = {one["key"]: one for one in node.get("/v1/performance/kpi")["items"]}
    assert (items["cache_hit_rate"]["value"], items["cache_hit_rate"]["status"]) == (0.95, "met")


def test_a_request_that_hangs_shows_before_it_is_answered(tmp_path):
    node = Node(tmp_path, "--auth", "off", "--store", "sqlite:hang.db")
    try:
        node.ask("/v1/events", {"code": "e1", "name": "One"})
        blocker = subprocess.Popen(["sqlite3", "hang.db"], cwd=tmp_path, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        blocker.stdin.write("BEGIN IMMEDIATE; SELECT 'held';\n")
        blocker.stdin.flush()
        assert blocker.stdout.readline() == "held\n"
        hanging = http.client.HTTPConnection("127.0.0.1", node.port, timeout=WAIT_S)
        hanging.request("POST", "/v1/events", json.dumps({"code": "e2", "name": "Two"}),
                        {"Content-Type": "application/json"})

        def hangs():
            one = route_of(node.get("/v1/performance"), "POST /v1/events")
            return one["in_flight"] == 1 and one["oldest_in_flight_ms"] > 1200 \
                and one["slow_count"] == 1

        wait_until(hangs, "the request in flight, counted as slow already")
        assert node.log_lines("slow_request") == []
        blocker.stdin.close()
        blocker.wait(WAIT_S)
        blocker.stdout.close()
        answer = hanging.getresponse()
        answer.read()
        hanging.close()
        document = settled(node)
        slow = route_of(document, "POST /v1/events")
        assert slow["in_flight"] == 0 and slow["slow_count"] == 1 and slow["max_ms"] > 1000
        [line] = node.log_lines("slow_request")
        assert 'route="POST /v1/events"' in line
        phases = {name: float(ms) for name, ms in re.findall(r"(\w+)_ms=([\d.]+)", line)}
        assert list(phases) == ["took", "receive", "queue", "cache", "store", "commit", "write",
                                "rest"]
        # the lock of the file is waited for at the beginning of the transaction
        assert phases["store"] > 1000 and phases["took"] >= phases["store"]
        [query] = [one for one in node.log_lines("slow_query")
                   if " operation=create_event " in one]
        assert re.search(r"req=\S+", query)[0] == re.search(r"req=\S+", line)[0]
        assert re.search(r"queue_ms=\S+ store_ms=\S+ commit_ms=\S+ err=ok", query), query
        assert document["db"]["slow_count"] >= 1
    finally:
        node.stop()


# Suggestions -----------------------------------------------------------------------------------

def test_suggestions_come_in_two_languages_and_no_third(node):
    for _ in range(51):
        assert node.ask("/v1/events/" + "%20")[0] == 404
    for lang in ("en", "ko"):
        document = node.get(f"/v1/performance/suggestions?lang={lang}")
        assert document["lang"] == lang
        for one in document["items"]:
            assert {"type", "priority", "message", "evidence", "actions",
                    "expected_impact"} <= set(one)
            assert one["evidence"] and one["actions"]
    assert node.ask("/v1/performance/suggestions?lang=fr")[0] == 400
    assert node.get("/v1/performance/suggestions")["lang"] == "en"


def suggested(node, key, kind):
    status, _, text = node.ask("/v1/performance/suggestions", key=key)
    if status == 429:  # on a loop that has not seen the good key before the bad ones
        return []
    return [one for one in json.loads(text)["items"] if one["type"] == kind]


def test_many_bad_keys_are_evidence_for_a_suggestion(tmp_path):
    node = Node(tmp_path, "--store", "sqlite:keys.db")
    try:
        made = subprocess.run([BIN, "key", "create", "--name", "m", "--scope", "metrics", "--store",
                               "sqlite:keys.db"], cwd=tmp_path, capture_output=True, text=True,
                              timeout=WAIT_S, check=True)
        key = made.stdout.strip()
        node.get("/v1/performance", key=key)  # a key that is known is not slowed down by bad ones
        for number in range(60):
            assert node.ask("/v1/events", key=f"tk_no{number}.wrong")[0] in (401, 429)
        items = wait_until(lambda: suggested(node, key, "auth_failures"), "the suggestion")
        evidence = items[0]["evidence"]
        assert evidence["unauthorized"] + evidence["rate_limited"] >= 60
        assert "slowed down" in items[0]["message"]
    finally:
        node.stop()


# Scopes ----------------------------------------------------------------------------------------

ROUTES = ["/v1/performance", "/v1/performance/kpi", "/v1/performance/suggestions",
          "/v1/performance/history", "/metrics"]


def test_a_crowded_gate_is_a_suggestion_with_where_to_go(node):
    for code in ("g2", "g3"):
        assert node.ask("/v1/events/e1/gates", {"code": code, "name": code})[0] == 201
    assert node.ask("/v1/events/e1", {"reentry": "always"}, method="PATCH")[0] == 200
    for gate, count in (("g1", 70), ("g2", 2), ("g3", 4)):
        for _ in range(count):
            assert node.ask("/v1/events/e1/checkins", {"token": "t1", "gate": gate})[0] == 200
    [one] = wait_until(lambda: suggested(node, None, "gate_skew"), "the suggestion")
    evidence = one["evidence"]
    assert (evidence["event"], evidence["gate"]) == ("e1", "g1")
    assert evidence["gates"] == "g1 70, g3 4, g2 2"
    assert (evidence["relief"], evidence["relief_status"]) == ("g2", "open")
    # 70 scans over the four to five minutes that are looked at
    assert 70 / 5.5 < evidence["gate_per_minute"] < 70 / 3.5
    assert evidence["after_per_minute"] == pytest.approx(
        (evidence["gate_per_minute"] + evidence["relief_per_minute"]) / 2, abs=0.2)
    assert "{" not in json.dumps([one["message"], one["actions"], one["expected_impact"]])
    assert f'{evidence["after_per_minute"]:.1f}' in one["expected_impact"]


def test_figures_want_a_key_that_may_see_them(tmp_path):
    node = Node(tmp_path, "--store", "sqlite:keys.db")
    try:
        keys = {}
        for scope in ("metrics", "analyst", "admin", "scanner"):
            made = subprocess.run([BIN, "key", "create", "--name", scope, "--scope", scope,
                                   "--store", "sqlite:keys.db"], cwd=tmp_path, text=True,
                                  capture_output=True, timeout=WAIT_S, check=True)
            keys[scope] = made.stdout.strip()
        for route in ROUTES:
            assert node.ask(route)[0] == 401
            assert node.ask(route, key=keys["scanner"])[0] == 403
            for scope in ("metrics", "analyst", "admin"):
                assert node.ask(route, key=keys[scope])[0] == 200, (route, scope)
        assert node.ask("/v1/events", key=keys["metrics"])[0] == 403
        assert node.ask("/v1/performance/stream", key=keys["scanner"])[0] == 403
        (tmp_path / "key").write_text(keys["metrics"] + "\n")
        for given in (keys["metrics"], "@key"):
            shown = subprocess.run([BIN, "kpi", "--url", node.url, "--key", given], cwd=tmp_path,
                                   capture_output=True, text=True, timeout=WAIT_S)
            assert shown.returncode == 0, shown.stderr
        refused = subprocess.run([BIN, "kpi", "--url", node.url], cwd=tmp_path,
                                 capture_output=True, text=True, timeout=WAIT_S)
        assert refused.returncode == 1 and "401 unauthorized" in refused.stderr
    finally:
        node.stop()


# The stream ------------------------------------------------------------------------------------

class Stream:
    """`small`: the kernel keeps as little as it can between the two, so that a client that does not
    read is soon noticed."""

    def __init__(self, node, small=False):
        self.socket = socket.socket()
        self.socket.settimeout(WAIT_S)
        if small:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        self.socket.connect(("127.0.0.1", node.port))
        self.socket.sendall(b"GET /v1/performance/stream HTTP/1.1\r\nHost: node\r\n\r\n")
        self.bytes = b""
        self.events_seen = 0  # and not kept
        self.ended = False

    def pull(self):
        """Reads what is there, waiting for the first byte."""
        more = self.socket.recv(1 << 20)
        self.ended = self.ended or not more
        self.bytes += more

    def events(self):
        return [json.loads(data) for data in
                re.findall(rb"^data: (\{.*\})\n\n", self.bytes, re.M)]

    def close(self):
        self.socket.close()


def test_the_stream_tells_each_second(node):
    stream = Stream(node)
    while len(stream.events()) < 3:
        stream.pull()
    assert b"content-type: text/event-stream" in stream.bytes.lower()
    events = stream.events()
    ids = [int(one) for one in re.findall(rb"^id: (\d+)$", stream.bytes, re.M)]
    assert ids == sorted(set(ids))
    assert API <= set(events[0]["api"])
    # a stream is no request in flight, and its length is no answer time
    assert events[-1]["api"]["in_flight"] == 0
    assert "turnout_http_streams 1" in node.ask("/metrics")[2].decode()
    stream.close()
    wait_until(lambda: "turnout_http_streams 0" in node.ask("/metrics")[2].decode(),
               "the end of the stream")
    assert node.log_lines("slow_request") == []


def test_a_head_request_for_the_stream_ends(node):
    assert node.ask("/v1/performance/stream", method="HEAD")[0] == 200
    assert "turnout_http_streams 0" in node.ask("/metrics")[2].decode()


def test_streams_end_when_the_node_stops(node):
    streams = [Stream(node) for _ in range(3)]
    for stream in streams:
        while not stream.events():
            stream.pull()
    begun = time.monotonic()
    assert node.stop() == 0
    assert time.monotonic() - begun < WAIT_S / 2
    for stream in streams:
        while not stream.ended:
            stream.pull()
        assert stream.bytes.endswith(b"0\r\n\r\n")  # ended, not broken off
        stream.close()


class Crowd:
    """Streams of one node that are read together: quick ones whenever there is something, slow ones
    a few bytes an event, deaf ones never."""

    def __init__(self, node):
        self.node = node
        self.selector = selectors.DefaultSelector()
        self.quick, self.slow, self.deaf = [], [], []

    def add(self, streams, count, **options):
        for _ in range(count):
            streams.append(Stream(self.node, **options))
            streams[-1].socket.setblocking(False)
            if streams is self.quick:
                self.selector.register(streams[-1].socket, selectors.EVENT_READ, streams[-1])

    def leave(self, count):
        """The last of the quick ones go."""
        for stream in self.quick[-count:]:
            self.selector.unregister(stream.socket)
            stream.close()
        del self.quick[-count:]

    def read_for(self, events):
        """Until the first quick stream has had so many more events; the seconds they tell of."""
        first, known = self.quick[0], len(self.quick[0].events())
        begun = known
        while known < begun + events:
            assert self.selector.select(WAIT_S), "no event in time"
            for key, _ in self.selector.select(0):
                key.data.pull()
                assert not key.data.ended
                if key.data is not first:
                    key.data.events_seen += key.data.bytes.count(b"\nid: ")
                    key.data.bytes = b""
            if len(first.events()) > known:
                known = len(first.events())
                for stream in self.slow:
                    with contextlib.suppress(BlockingIOError):
                        stream.socket.recv(64)
        return [event["at"] for event in first.events()[begun:]]

    def median_stall_ms(self, moments):
        """Of the longest turns in the seconds that these events tell of."""
        items = self.node.get("/v1/performance/history?step=1")["items"]
        stalls = [one["stall_ms"] for one in items if moments[0] <= one["at"] <= moments[-1]]
        return statistics.median(stalls)

    def close(self):
        for stream in self.quick + self.slow + self.deaf:
            stream.close()


def rss_bytes(node):
    text = Path(f"/proc/{node.process.pid}/status").read_text()
    return int(re.search(r"^VmRSS:\s+(\d+) kB", text, re.M)[1]) * 1024


def ask_many_routes(node):
    """So that an event is some kilobytes."""
    for path in ("/v1/events", "/v1/events/e1", "/v1/events/e1/gates", "/v1/events/e1/gates/g1",
                 "/v1/events/e1/participants?limit=1", "/v1/events/e1/attendance", "/v1/nodes",
                 "/v1/events/e1/stats", "/v1/performance/kpi", "/v1/alerts", "/v1/actions",
                 "/v1/database/partitions", "/v1/cache", "/v1/performance/history",
                 "/v1/performance/suggestions", "/v1/nodes/optimal?type=general"):
        node.ask(path)


def until_latest(stream, moment):
    """A deaf one begins to read; the numbers of the events that it gets."""
    stream.socket.settimeout(WAIT_S)
    while not any(event["at"] >= moment for event in stream.events()):
        stream.pull()
        assert not stream.ended
    return [int(one) for one in re.findall(rb"^id: (\d+)$", stream.bytes, re.M)]


def test_slow_and_deaf_streams_cost_bounded_memory_and_hold_up_nobody(tmp_path):
    count, slow, deaf, events = 1000, 300, 300, 8
    node = Node(tmp_path, "--auth", "off",
                env={"TURNOUT_CACHE_WARM": "none",
                     "TURNOUT_SERVER_RESPONSE_TIMEOUT": "1h"})  # nobody is cut off for being slow
    crowd = Crowd(node)
    try:
        node.ask("/v1/events", {"code": "e1", "name": "One"})
        ask_many_routes(node)
        crowd.add(crowd.quick, count)
        crowd.read_for(2)
        rss_quick = rss_bytes(node)
        without_ms = crowd.median_stall_ms(crowd.read_for(events))
        crowd.leave(slow + deaf)
        crowd.add(crowd.slow, slow, small=True)
        crowd.add(crowd.deaf, deaf, small=True)
        crowd.read_for(events)  # until their sockets are full
        rss_full = rss_bytes(node)
        moments = crowd.read_for(events)
        grown = rss_bytes(node) - rss_full
        with_ms = crowd.median_stall_ms(moments)
        assert f"turnout_http_streams {count}" in node.ask("/metrics")[2].decode()
        event = len(crowd.quick[0].bytes) / len(crowd.quick[0].events())
        # One event waits for each of them, wherever it is copied on its way, and never a second.
        assert rss_full - rss_quick < (slow + deaf) * 10 * event
        assert grown < deaf * events * event / 4
        # Both runs had a thousand streams on the same machine: the loops wait for none of them.
        assert with_ms < 3 * without_ms
        for stream in crowd.quick[1:]:
                assert stream.events_seen > 2 * events  # of 3 * events and some
        numbers = until_latest(crowd.deaf[0], moments[-1])
        gaps = [after - before for before, after in zip(numbers, numbers[1:])]
        assert max(gaps) >= events  # what it slept through is gone, and the latest is there
    finally:
        crowd.close()
        node.stop()


# Prometheus ------------------------------------------------------------------------------------

def test_promtool_finds_nothing_to_mend(node):
    node.ask("/v1/events/e1/checkins", {"token": "t1", "gate": "g1"})
    status, headers, text = node.ask("/metrics")
    headers = {name.lower(): value for name, value in headers.items()}
    assert status == 200
    assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True,
                             timeout=WAIT_S)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout + checked.stderr == b""


def test_openmetrics_is_given_to_whoever_asks_and_is_accepted(node):
    node.ask("/v1/events/e1/checkins", {"token": "t1", "gate": "g1"})
    settled(node)
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=WAIT_S)
    connection.request("GET", "/metrics", headers={
        "Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.getheader("content-type") == \
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    families = {one.name: one for one in text_string_to_metric_families(text)}
    plain = node.ask("/metrics")[2].decode()
    assert len(families) == plain.count("# TYPE ")
    assert families["turnout_http_requests"].type == "counter"
    [scans] = [one for one in families["turnout_http_request_duration_seconds"].samples
               if one.name.endswith("_count") and one.labels["route"] == SCAN]
    assert scans.value == 1


def test_histograms_are_whole(node):
    for _ in range(9):
        node.get("/v1/events")
    label = re.escape('route="GET /v1/events"')
    name = "turnout_http_request_duration_seconds"

    def all_counted():
        """The text once it counts all nine: an answer is counted when it has left, not before."""
        text = node.ask("/metrics")[2].decode()
        count = re.search(rf"^{name}_count{{{label}}} (\d+)$", text, re.M)
        return text if count is not None and int(count[1]) == 9 else None

    text = wait_until(all_counted, "the count of nine requests")
    buckets = [int(one) for one in re.findall(rf"^{name}_bucket{{{label},le=\"\S+\"}} (\d+)$", text,
                                              re.M)]
    assert len(buckets) == 20 and buckets == sorted(buckets)
    assert buckets[-1] == 9
    assert float(re.search(rf"^{name}_sum{{{label}}} (\S+)$", text, re.M)[1]) > 0


def test_labels_are_never_what_clients_send(node):
    for number in range(30):
        node.ask(f"/v1/events/evil{number}/stats")
        node.ask(f"/nothing/{number}", method="GET")
    settled(node)
    text = node.ask("/metrics")[2].decode()
    assert "evil" not in text and "/nothing" not in text
    assert 'route="other"' in text


# The command -----------------------------------------------------------------------------------

def test_the_command_prints_the_seven_figures(node, tmp_path):
    node.get("/v1/events")
    shown = subprocess.run([BIN, "kpi", "--url", node.url], cwd=tmp_path, capture_output=True,
                           text=True, timeout=WAIT_S)
    assert shown.returncode == 0 and shown.stderr == ""
    rows = [line.split() for line in shown.stdout.splitlines()]
    assert [row[0] for row in rows] == ["KEY"] + KPI_KEYS
    assert all(row[-1] in ("met", "at_risk", "missed", "unknown") for row in rows[1:])
    assert "\033" not in shown.stdout
    printed = subprocess.run([BIN, "kpi", "--json"], cwd=tmp_path, capture_output=True, text=True,
                             timeout=WAIT_S,
                             env={**os.environ, "TURNOUT_SERVER_LISTEN": f"127.0.0.1:{node.port}"})
    assert [one["key"] for one in json.loads(printed.stdout)["items"]] == KPI_KEYS


def test_the_command_says_when_nobody_answers(tmp_path):
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets the port
    done = subprocess.run([BIN, "kpi", "--url", f"http://127.0.0.1:{taken.getsockname()[1]}"],
                          cwd=tmp_path, capture_output=True, text=True, timeout=WAIT_S)
    taken.close()
    assert done.returncode == 1 and "nobody answers" in done.stderr and done.stdout == ""
