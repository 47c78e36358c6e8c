# SPDX-License-Identifier: Apache-2.0
"""Whom a node takes for the client: who is connected, or whom a trusted proxy names.

Through a real HAProxy with the configuration that turnout writes, and against the node itself.
"""

import itertools
import os
import pathlib
import re
import signal
import ssl
import subprocess

import pytest

import processes
import rig
from haproxy import HAProxy
from rig import create_key, eventually
from test_access_log import lines_of

PROBE = os.environ.get("HAPROXY_PROBE",
                       str(pathlib.Path(rig.BIN).parent / "tests" / "haproxy_probe"))
TRUSTED = "TURNOUT_SERVER_TRUSTED_PROXIES"
LIMIT = 200  # far more failures than a node allows an address, on all its loops together
_addresses = itertools.count(1)


def address():
    """One of the loopback that no other test here uses."""
    return f"127.90.{next(_addresses)}.7"


def guess(client, **headers):
    """Wrong keys, each once; whether the client was told to wait before they were all looked at."""
    for number in range(LIMIT):
        answer = client.get("/v1/events", Authorization=f"Bearer tk_wrong{number}.x", **headers)
        if answer.status == 429:
            return True
        assert answer.status == 401, answer
    return False


def is_limited(client, **headers):
    return client.get("/v1/events", Authorization="Bearer tk_other.x", **headers).status == 429


@pytest.fixture(name="trusting")
def _trusting(make_server, tmp_path):
    """Believes what comes from 127.0.0.1, and writes an access log."""
    return make_server(auth="required", env={
        TRUSTED: "127.0.0.1,::1", "TURNOUT_LOG_ACCESS": str(tmp_path / "access.log"),
        "TURNOUT_SERVER_LOOPS": "1"})


class Front:
    """A HAProxy before one node."""

    def __init__(self, folder, node, certificate=None):
        self.haproxy = HAProxy(folder, PROBE, [f"n1 127.0.0.1:{node.port} 101 0"], certificate)

    def __enter__(self):
        self.haproxy.start()
        with self.client() as client:
            processes.until(lambda: client.get("/readyz").status == 200)
        return self

    def __exit__(self, *_):
        self.haproxy.stop()

    def client(self, key=None, source=None):
        return rig.Client("127.0.0.1", self.haproxy.port, key, source=source)


# The node itself --------------------------------------------------------------------------------

def test_who_is_not_a_trusted_proxy_cannot_be_somebody_else(trusting, tmp_path):
    source = address()
    with trusting.client(source=source) as client:
        told = (client.get("/v1/events", Authorization=f"Bearer tk_wrong{number}.x",
                           X_Forwarded_For=f"203.0.113.{number}").status for number in range(LIMIT))
        assert 429 in told
    assert {line["peer"] for line in lines_of(tmp_path / "access.log", 1)} == {source}


def test_behind_a_trusted_proxy_each_client_has_its_own_account(trusting):
    with trusting.client() as proxy:
        assert guess(proxy, X_Forwarded_For="203.0.113.1")
        assert is_limited(proxy, X_Forwarded_For="203.0.113.1")
        assert not is_limited(proxy, X_Forwarded_For="203.0.113.2")
        assert not is_limited(proxy), "the proxy itself"


def test_what_the_client_wrote_of_itself_gives_it_no_other_account(trusting):
    """The proxy appends whom it saw; everything left of that came from the client."""
    with trusting.client() as proxy:
        told = (proxy.get("/v1/events", Authorization=f"Bearer tk_wrong{number}.x",
                          X_Forwarded_For=f"198.51.100.{number}, 203.0.113.3").status
                for number in range(LIMIT))
        assert 429 in told
        assert is_limited(proxy, X_Forwarded_For="203.0.113.3")
        assert not is_limited(proxy, X_Forwarded_For="203.0.113.4, 198.51.100.1")


@pytest.mark.parametrize("nonsense", ["unknown", "", ",", "203.0.113.9 x", "_hidden", "[::1",
                                      "9" * 900])
def test_nonsense_counts_for_who_sent_it(trusting, nonsense):
    with trusting.client() as proxy:
        assert guess(proxy, X_Forwarded_For=nonsense)
        assert is_limited(proxy)
        assert not is_limited(proxy, X_Forwarded_For="203.0.113.5")


def test_a_network_of_ipv6_clients_has_one_account(trusting):
    with trusting.client() as proxy:
        assert guess(proxy, X_Forwarded_For="[2001:db8:1:2::3]:4711")
        assert is_limited(proxy, X_Forwarded_For="2001:db8:1:2:ffff::4")
        assert not is_limited(proxy, X_Forwarded_For="2001:db8:1:3::3")


def test_a_reload_makes_a_proxy_known_and_unknown(make_server, tmp_path):
    config = tmp_path / "turnout.ini"
    access = tmp_path / "access.log"
    config.write_text(f"[log]\naccess = {access}\n")
    server = make_server("--config", str(config), env={"TURNOUT_SERVER_LOOPS": "1"})

    def peer_after(proxies):
        config.write_text(f"[log]\naccess = {access}\n[server]\ntrusted_proxies = {proxies}\n")
        before = server.log_path.read_text().count("event=reloaded")
        os.kill(server.pid, signal.SIGHUP)
        eventually(lambda: server.log_path.read_text().count("event=reloaded"),
                   lambda count: count > before, 20)
        known = len(lines_of(access, 0)) if access.exists() else 0
        with server.client() as client:
            client.get("/v1/events", X_Forwarded_For="203.0.113.9")
        return lines_of(access, known + 1)[-1]["peer"]

    assert peer_after("127.0.0.0/8") == "203.0.113.9"
    assert peer_after("10.0.0.0/8") == "127.0.0.1"
    assert peer_after("127.0.0.1") == "203.0.113.9"


def test_a_proxy_that_nobody_named_is_told_once_and_counted(make_server):
    server = make_server(env={"TURNOUT_SERVER_LOOPS": "1"})
    with server.client() as client:
        for _ in range(50):
            client.get("/v1/events", X_Forwarded_For="203.0.113.9")
        text = eventually(lambda: client.get("/metrics").body.decode(),
                          lambda text: "turnout_http_ignored_forwarded_total 50\n" in text)
    assert "turnout_http_ignored_forwarded_total 50\n" in text
    log = server.log_path.read_text()
    assert log.count("event=forwarded_ignored") == 1
    assert "server.trusted_proxies" in log and "203.0.113.9" not in log


# Through HAProxy --------------------------------------------------------------------------------

def test_through_haproxy_who_guesses_locks_out_only_itself(trusting, tmp_path):
    key = create_key(trusting, "analyst")
    guesser, other = address(), address()
    with Front(tmp_path, trusting) as front:
        with front.client(source=guesser) as client:
            assert guess(client)
            assert is_limited(client)
        with front.client(source=other) as client:
            assert not is_limited(client)
        with front.client(key, source=other) as client:
            assert client.get("/v1/events").status == 200, "a key the node has not seen before"
    eventually(lambda: {line["peer"] for line in lines_of(tmp_path / "access.log", 3)},
               lambda peers: {guesser, other} <= peers, 60)


def test_through_haproxy_a_client_cannot_choose_its_address(trusting, tmp_path):
    victim, guesser = "203.0.113.77", address()
    with Front(tmp_path, trusting) as front:
        with front.client(source=guesser) as client:
            assert guess(client, X_Forwarded_For=victim, Forwarded=f"for={victim}")
            assert is_limited(client, X_Forwarded_For="203.0.113.78"), "by another name"
            assert is_limited(client, X_Forwarded_For=f"{victim}, 127.0.0.1")
            client.link.putrequest("GET", "/v1/events")
            for value in ("203.0.113.79", "127.0.0.1", ""):
                client.link.putheader("X-Forwarded-For", value)
            client.link.endheaders()
            answer = client.link.getresponse()
            answer.read()
            assert answer.status == 429, "by three names"
        with front.client(source=address()) as client:
            assert not is_limited(client, X_Forwarded_For=guesser), "and it names no other"
    text = (tmp_path / "access.log").read_text()
    assert "203.0.113." not in text


def test_through_haproxy_nobody_is_believed_unless_it_is_configured(make_server, tmp_path):
    access = tmp_path / "access.log"
    server = make_server(auth="required", env={"TURNOUT_LOG_ACCESS": str(access)})
    with Front(tmp_path, server) as front, front.client(source=address()) as client:
        client.get("/v1/events")
        asked = eventually(lambda: [line for line in lines_of(access, 1)  # a look at /readyz, too
                                    if line["route"] == "GET /v1/events"], bool, 60)
    assert {line["peer"] for line in asked} == {"127.0.0.1"}
    assert "event=forwarded_ignored" in server.log_path.read_text()


def certificate(folder):
    key, crt, pem = folder / "key.pem", folder / "crt.pem", folder / "front.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                    "-keyout", str(key), "-out", str(crt)], check=True, capture_output=True)
    pem.write_text(crt.read_text() + key.read_text())
    return crt, pem


def log_in(link, key, **headers):
    fields = {"Content-Type": "application/json", **headers}
    link.request("POST", "/v1/session", '{"key":"%s"}' % key, fields)
    answer = link.getresponse()
    answer.read()
    assert answer.status == 200
    return answer.getheader("Set-Cookie")


def test_the_session_cookie_is_kept_to_tls_when_haproxy_was_asked_over_tls(trusting, tmp_path):
    crt, pem = certificate(tmp_path)
    key = create_key(trusting, "analyst")
    forged = {"X-Forwarded-Proto": "https"}
    with Front(tmp_path, trusting, pem) as front:
        context = ssl.create_default_context(cafile=str(crt))
        link = rig.http.client.HTTPSConnection("localhost", front.haproxy.tls_port, context=context)
        assert re.search(r"; Secure$", log_in(link, key))
        assert re.search(r"; Secure$", log_in(link, key, **{"X-Forwarded-Proto": "http"}))
        link.close()
        plain = rig.http.client.HTTPConnection("127.0.0.1", front.haproxy.port)
        assert "Secure" not in log_in(plain, key)
        assert "Secure" not in log_in(plain, key, **forged)
        plain.close()


def test_the_scheme_is_believed_of_a_trusted_proxy_alone(trusting, secured):
    forged = {"X-Forwarded-Proto": "https"}
    with trusting.client() as proxy, trusting.client(source=address()) as client, \
            secured.client() as stranger:
        key = create_key(trusting, "analyst")
        assert re.search(r"; Secure$", log_in(proxy.link, key, **forged))
        assert "Secure" not in log_in(client.link, key, **forged)
        assert "Secure" not in log_in(stranger.link, create_key(secured, "analyst"), **forged)


# Configuration ----------------------------------------------------------------------------------

@pytest.mark.parametrize("value, level", [
    ("", "ok"), ("10.0.0.7, fd00::/8", "ok"), ("10.0.0.0/8,0.0.0.0/0", "unsafe"),
    ("::/0", "unsafe")])
def test_the_doctor_judges_who_is_trusted(tmp_path, value, level):
    done = rig.run("doctor", "--listen", "127.0.0.1:0", "--store", f"sqlite:{tmp_path}/t.db",
                   "--json", env={TRUSTED: value})
    found = {entry["check"]: entry for entry in rig.json.loads(done.stdout)["findings"]}
    assert found["proxies"]["level"] == level


@pytest.mark.parametrize("value", ["proxy.example", "10.1.2.3/16", "10.0.0.0/33",
                                   "10.0.0.1 10.0.0.2"])
def test_what_is_no_list_of_addresses_is_refused_at_the_start(tmp_path, value):
    done = rig.run("serve", "--listen", "127.0.0.1:0", "--store", f"sqlite:{tmp_path}/t.db",
                   env={TRUSTED: value})
    assert done.returncode == 78 and "TURNOUT_SERVER_TRUSTED_PROXIES" in done.stderr
    assert "such as" in done.stderr
