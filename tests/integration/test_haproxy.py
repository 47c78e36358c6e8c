# SPDX-License-Identifier: Apache-2.0
"""The HAProxy driver and the configuration that turnout writes, on a real HAProxy.

Nodes are stubs that say their name (tests/support/stub_node.py), so that a test sees who answered.
A wait is for an event; nothing here measures time.
"""

import http.client
import json
import os
import pathlib
import signal
import ssl
import subprocess
import sys
import threading

import pytest

import rig

sys.path.insert(0, str(rig.ROOT / "tests" / "support"))
import processes  # noqa: E402
from haproxy import Driver, HAProxy, free_port  # noqa: E402

PROBE = os.environ.get("HAPROXY_PROBE",
                       str(pathlib.Path(rig.BIN).parent / "tests" / "haproxy_probe"))
BACKENDS = ("database", "analytics", "cache", "general")


class Node:
    def __init__(self, name, number, folder):
        self.name, self.number, self.port = name, number, free_port()
        self.ledger = folder / "ledger"
        self.process = None
        self.ledger.touch()

    def __str__(self):
        return f"{self.name} 127.0.0.1:{self.port} {self.number} 0"

    def start(self):
        script = rig.ROOT / "tests" / "support" / "stub_node.py"
        self.process = subprocess.Popen([sys.executable, str(script), self.name, str(self.port),
                                         str(self.ledger)])
        processes.until(self.answers)
        return self

    def answers(self):
        return get(self.port, "/readyz")[0] == 200

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def get(port, path, method="GET", body=None):
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        link.request(method, path, body=body)
        answer = link.getresponse()
        return answer.status, answer.read()
    finally:
        link.close()


def who(port, path, method="GET", body=None):
    status, text = get(port, path, method, body)
    assert status == 200, (status, text)
    return json.loads(text)["node"]


@pytest.fixture(name="front")
def _front(tmp_path):
    haproxy = HAProxy(tmp_path, PROBE).start()
    yield haproxy
    haproxy.stop()


@pytest.fixture(name="driver")
def _driver(front):
    driver = Driver(PROBE, front)
    yield driver
    driver.stop()


@pytest.fixture(name="nodes")
def _nodes(tmp_path):
    nodes = [Node(f"n{i}", 100 + i, tmp_path).start() for i in (1, 2, 3)]
    yield nodes
    for node in nodes:
        node.stop()


class Load:
    """Requests over kept connections until stopped; whoever does not get its answer is noted."""

    def __init__(self, port, path="/v1/other", threads=4):
        self.port, self.path = port, path
        self.failed, self.answered = [], 0
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def _run(self):
        link, answered = None, 0
        while not self.ending.is_set():
            try:
                link = link or http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                link.request("GET", self.path)
                answer = link.getresponse()
                answer.read()
                if answer.status != 200:
                    self.failed.append(answer.status)
                answered += 1
                if answer.will_close:
                    link.close()
                    link = None
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
                link = None
        self.answered += answered

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join()


# Servers come and go ----------------------------------------------------------------------------

def test_nodes_are_added_at_run_time_and_all_get_traffic(front, driver, nodes):
    driver.settle(nodes)
    assert driver.servers == {(backend, node.name): "UP" for backend in BACKENDS for node in nodes}
    assert {who(front.port, "/v1/other") for _ in range(60)} == {"n1", "n2", "n3"}


def test_nodes_come_and_go_under_load_and_no_request_fails(front, driver, nodes):
    driver.settle(nodes[:1])
    with Load(front.port) as load:
        for _ in range(5):
            driver.settle(nodes)
            driver.settle(nodes[1:])
            driver.settle(nodes[:1])
    assert load.answered > 100
    assert load.failed == []
    assert not [event for event in driver.events if "UP" in event]


def test_a_node_that_nobody_hears_is_held_back(front, driver, nodes):
    silent = Node("n9", 109, nodes[0].ledger.parent)
    driver.settle(nodes)
    for _ in range(5):
        driver.round([*nodes, silent])
    processes.until(lambda: driver.round([*nodes, silent]).servers["general", "n9"] == "DRAIN")
    assert {who(front.port, "/v1/other") for _ in range(30)} == {"n1", "n2", "n3"}
    assert not driver.settled


def test_a_killed_node_costs_no_request_that_can_go_elsewhere(front, driver, nodes):
    driver.settle(nodes)
    with Load(front.port) as load:
        nodes[1].stop()
        processes.until(lambda: driver.round(nodes).servers["general", "n2"] == "DOWN")
        nodes[1].start()
        driver.settle(nodes)
    assert load.answered > 0
    assert load.failed == []


def test_what_waits_for_a_node_that_hangs_is_answered_by_another(front, driver, nodes):
    driver.settle(nodes)
    os.kill(nodes[1].process.pid, signal.SIGSTOP)
    try:
        with Load(front.port, threads=6) as load:  # on kept connections, some of them to n2
            scan = json.dumps({"token": "t", "gate": "g", "nonce": "1"})
            held = [threading.Thread(target=lambda: load.failed.extend(
                {get(front.port, "/v1/events/e/checkins", "POST", scan)[0]} - {200}))
                for _ in range(6)]
            for thread in held:
                thread.start()
            processes.until(lambda: driver.round(nodes).servers["general", "n2"] == "DOWN")
            processes.until(lambda: driver.round(nodes).heard("cut"))
            for thread in held:
                thread.join()
        assert load.failed == []
    finally:
        os.kill(nodes[1].process.pid, signal.SIGCONT)
    driver.settle(nodes)


def test_without_a_controller_a_short_request_waits_for_a_hanging_node_no_longer_than_its_limit(
        front, driver, nodes):
    driver.settle(nodes)
    os.kill(nodes[1].process.pid, signal.SIGSTOP)
    answers = []
    try:
        held = [threading.Thread(target=lambda path=path: answers.append(get(front.port, path)))
                for path in ("/v1/other", "/v1/events/e/stats", "/v1/performance") * 6]
        for thread in held:
            thread.start()
        for thread in held:
            thread.join()  # nobody cuts: HAProxy itself gives up on n2, and asks another
    finally:
        os.kill(nodes[1].process.pid, signal.SIGCONT)
    assert [status for status, _ in answers] == [200] * 18


def test_a_node_told_to_drain_gets_nothing_new(front, driver, nodes):
    driver.settle(nodes)
    driver.settle([f"{nodes[0]} drains", *nodes[1:]])
    assert {who(front.port, "/v1/other") for _ in range(30)} == {"n2", "n3"}
    driver.settle(nodes)
    assert "n1" in {who(front.port, "/v1/other") for _ in range(300)}


def test_a_session_that_does_not_end_is_cut_after_its_time(front, nodes):
    driver = Driver(PROBE, front, drain_ms=300)
    try:
        driver.settle(nodes)
        os.kill(nodes[0].process.pid, signal.SIGSTOP)
        # a request that nobody answers holds a session on n1
        held = [threading.Thread(target=get, args=(front.port, "/v1/other")) for _ in range(3)]
        for thread in held:
            thread.start()
        driver.settle(nodes[1:])
        assert ("general", "n1") not in driver.servers
        for thread in held:
            thread.join()
    finally:
        os.kill(nodes[0].process.pid, signal.SIGCONT)
        driver.stop()


# HAProxy is somebody else's too ------------------------------------------------------------------

def test_a_reload_drops_the_servers_and_they_come_back(front, driver, nodes):
    driver.settle(nodes)
    front.reload()
    driver.settle(nodes)
    assert len(driver.heard("restarted")) == 1
    assert {who(front.port, "/v1/other") for _ in range(60)} == {"n1", "n2", "n3"}


def test_a_restart_with_the_written_configuration_serves_at_once(front, driver, nodes):
    driver.settle(nodes)
    front.write_config(nodes)
    front.stop()
    front.start()
    assert {who(front.port, "/v1/other") for _ in range(60)} == {"n1", "n2", "n3"}
    driver.settle(nodes)
    assert len(driver.heard("restarted")) == 1
    assert len(driver.heard("add")) == len(BACKENDS) * len(nodes)


def test_what_was_changed_by_hand_is_brought_back(front, driver, nodes):
    driver.settle(nodes)
    front.ask("set server general/n1 state maint")
    front.ask("set server cache/n2 state drain")
    front.ask(f"add server general/n7 127.0.0.1:{nodes[0].port} id 107 weight 100")
    front.ask("set server general/n7 state ready")
    driver.settle(nodes)
    assert ("general", "n7") not in driver.servers
    assert {driver.servers[backend, node.name] for backend in BACKENDS for node in nodes} == {"UP"}


def test_a_haproxy_that_is_gone_or_hangs_is_told_once_and_met_again(front, driver, nodes):
    driver.settle(nodes)
    front.freeze()
    assert driver.round(nodes).err == "deadline_exceeded"
    os.kill(processes.children(front.process.pid)[0], signal.SIGCONT)
    driver.settle(nodes)
    front.stop()
    for _ in range(3):
        assert driver.round(nodes).err == "store_unavailable"
    front.start()
    driver.settle(nodes)
    assert len(driver.heard("unreachable")) == 2
    assert len(driver.heard("back")) == 2


# Who gets what -----------------------------------------------------------------------------------

def moved(before, after, but=()):
    """Keys that another node answers now. Bounded load passes a few on whenever a node still has
    the last request on its books, so the tests allow one in ten."""
    return [path for path in before if before[path] not in but and before[path] != after[path]]


def test_a_key_stays_with_its_node_and_only_a_leaving_nodes_keys_move(front, driver, nodes):
    paths = [f"/v1/events/demo/participants?token=demo-{i:06}" for i in range(90)]

    def places():
        processes.until(lambda: warm(front))
        return {path: who(front.port, path) for path in paths}

    driver.settle(nodes)
    before = places()
    assert all(list(before.values()).count(node.name) > 10 for node in nodes)
    assert len(moved(before, places())) <= 9
    driver.settle(nodes[:2])
    without = places()
    assert "n3" not in without.values()
    assert len(moved(before, without, but=["n3"])) <= 9
    driver.settle(nodes)
    assert len(moved(before, places())) <= 9


def test_analytics_go_to_the_node_that_the_map_names_while_it_is_up(front, driver, nodes):
    stats = "/v1/events/demo/stats"
    best = [("analytics", "n2")]
    driver.settle(nodes, best)
    driver.round(nodes, best)
    assert {who(front.port, stats) for _ in range(20)} == {"n2"}
    driver.round(nodes, [("analytics", "n3")])
    assert {who(front.port, stats) for _ in range(20)} == {"n3"}
    nodes[2].stop()
    processes.until(lambda: driver.round(nodes, [("analytics", "n3")])
                    .servers["analytics", "n3"] == "DOWN")
    driver.round(nodes, [("analytics", "n3")])  # a map never names a node that is not up
    assert front.ask(f"show map {front.map}").strip() == ""
    assert {who(front.port, stats) for _ in range(20)} == {"n1", "n2"}


def test_each_kind_of_request_has_its_backend(front, driver, nodes):
    driver.settle(nodes[:1])
    for path, method, backend in (("/v1/events/e/checkins", "POST", "database"),
                                  ("/v1/events/e/participants", "POST", "database"),
                                  ("/v1/events/e/stats/timeline", "GET", "analytics"),
                                  ("/v1/events/e/attendance", "GET", "analytics"),
                                  ("/v1/performance/kpi", "GET", "analytics"),
                                  ("/v1/events/e", "GET", "cache"),
                                  ("/v1/events/e/gates", "GET", "cache"),
                                  ("/v1/events/e/participants/7", "GET", "cache"),
                                  ("/v1/nodes", "GET", "general")):
        front.ask("clear counters all")
        who(front.port, path, method, "{}" if method == "POST" else None)
        lines = front.ask("show stat").splitlines()
        column = lines[0].removeprefix("# ").split(",").index("stot")
        busy = [row[0] for row in (line.split(",") for line in lines)
                if row[1:2] == ["n1"] and row[column] == "1"]
        assert busy == [backend], (path, busy)


# Retries -----------------------------------------------------------------------------------------

def warm(front):
    """All servers are past their slow start: the weights, and so the places in the ring, rest."""
    lines = front.ask("show stat").splitlines()
    column = lines[0].removeprefix("# ").split(",").index("throttle")
    return all(line.split(",")[column] in ("", "100") for line in lines[1:] if line)


def written(node):
    return node.ledger.read_text().splitlines()


@pytest.mark.parametrize("nonce", [True, False])
def test_a_scan_is_sent_again_only_with_a_nonce(front, driver, nodes, nonce):
    driver.settle(nodes[:2])
    # whichever node takes it dies after it wrote and before it answered; the next one is told
    # nothing of that
    scan = {"token": "die n1" if nonce else "die n1 die n2", "gate": "g"}
    if nonce:
        scan["nonce"] = "a"
    seen = []
    while not seen or seen[-1][0] == 200 and len(written(nodes[0])) == len(seen):
        seen.append(get(front.port, "/v1/events/e/checkins", "POST", json.dumps(scan)))
        assert len(seen) < 20
    first, last = written(nodes[0])[len(seen) - 1].split()[0], written(nodes[0])[-1].split()[0]
    if nonce:
        assert seen[-1][0] == 200
        assert (first, last) == ("n1", "n2")
    else:
        assert seen[-1][0] == 502
        assert len(written(nodes[0])) == len(seen)


def test_no_other_write_is_ever_sent_twice(front, driver, nodes):
    driver.settle(nodes[:2])
    body = '{"nonce":"a","token":"die n1 die n2"}'
    assert get(front.port, "/v1/events/e/checkins:batch", "POST", body)[0] == 502
    assert len(written(nodes[0])) == 1


# What clients see --------------------------------------------------------------------------------

def test_without_nodes_the_answer_is_the_apis_own(front):
    link = http.client.HTTPConnection("127.0.0.1", front.port, timeout=30)
    link.request("GET", "/v1/events")
    answer = link.getresponse()
    problem = json.loads(answer.read())
    assert answer.status == 503
    assert answer.getheader("Content-Type") == "application/problem+json"
    assert answer.getheader("Retry-After") == "1"
    assert problem["code"] == "no_healthy_nodes"
    assert problem["detail"] == "No healthy nodes available"


def test_tls_and_http2_end_in_front(tmp_path, nodes):
    pem = tmp_path / "front.pem"
    key, crt = tmp_path / "key.pem", tmp_path / "crt.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                    "-keyout", str(key), "-out", str(crt)], check=True, capture_output=True)
    pem.write_text(crt.read_text() + key.read_text())
    haproxy = HAProxy(tmp_path, PROBE, nodes, certificate=pem).start()
    try:
        context = ssl.create_default_context(cafile=str(crt))
        context.set_alpn_protocols(["h2", "http/1.1"])
        processes.until(lambda: get(haproxy.port, "/v1/other")[0] == 200)
        link = http.client.HTTPSConnection("localhost", haproxy.tls_port, context=context)
        link.connect()
        assert link.sock.selected_alpn_protocol() == "h2"
        link.close()
        answer = subprocess.run(["curl", "-sS", "--http2", "--cacert", str(crt), "-w",
                                 "%{http_version}", f"https://localhost:{haproxy.tls_port}/v1/x"],
                                check=True, capture_output=True, text=True).stdout
        assert answer.endswith("2") and '"path": "/v1/x"' in answer
    finally:
        haproxy.stop()


def test_the_written_configuration_has_no_warning(front):
    assert front.warnings == ""
