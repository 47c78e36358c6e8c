# SPDX-License-Identifier: Apache-2.0
"""Settings of the hands: what a node tells HAProxy, the configuration for HAProxy, and what doctor
says of both and of providers."""

import json
import os
import pathlib
import re
import socket
import subprocess
import sys

import pytest

import rig

sys.path.insert(0, str(rig.ROOT / "tests" / "support"))
import processes  # noqa: E402
from haproxy import SBIN, HAProxy, free_port  # noqa: E402

PROBE = os.environ.get("HAPROXY_PROBE",
                       str(pathlib.Path(rig.BIN).parent / "tests" / "haproxy_probe"))


def config(folder, text):
    path = folder / "turnout.ini"
    path.write_text(text)
    return str(path)


def hear(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
        pieces = []
        while piece := link.recv(100):
            pieces.append(piece)
    return b"".join(pieces).decode()


def agent_port(server):
    found = rig.eventually(lambda: re.search(r"event=agent port=(\d+)",
                                             server.log_path.read_text()), bool)
    return int(found[1])


def doctor(*words):
    done = rig.run("doctor", "--json", *words)
    found = {}
    for one in json.loads(done.stdout)["findings"]:
        found.setdefault(one["check"], []).append(one)
    return found


# The agent ---------------------------------------------------------------------------------------

def test_a_node_says_its_share_in_haproxys_words_and_nothing_once_it_drains(make_server, tmp_path):
    server = make_server("--config", config(
        tmp_path, "[server]\nagent = 127.0.0.1:0\ndrain_timeout = 20s\n"))
    port = agent_port(server)
    for _ in range(3):
        assert re.fullmatch(r"up (\d|[1-9]\d|100)%\n", hear(port))
        assert hear(port) != "up 0%\n"
    # who says nothing and stays, or leaves at once, is in nobody's way
    with socket.create_connection(("127.0.0.1", port)), socket.create_connection(
            ("127.0.0.1", port)):
        socket.create_connection(("127.0.0.1", port)).close()
        assert hear(port).startswith("up ")
    # a request that is not finished keeps it in its drain
    with socket.create_connection(("127.0.0.1", server.port)) as held:
        held.sendall(b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n"
                     b"Content-Type: application/json\r\nAuthorization: Bearer x\r\n\r\n{")
        server.process.terminate()
        rig.eventually(lambda: hear(port), lambda line: line == "up 0%\n")
    server.wait_stopped()


def test_haproxy_takes_the_word_of_the_node(make_server, tmp_path):
    server = make_server("--config", config(tmp_path, "[server]\nagent = 127.0.0.1:0\n"))
    node = f"n1 127.0.0.1:{server.port} 101 {agent_port(server)}"
    folder = tmp_path / "haproxy"
    folder.mkdir()
    front = HAProxy(folder, PROBE, [node]).start()
    try:
        def agents():
            lines = front.ask("show stat").splitlines()
            names = lines[0].removeprefix("# ").split(",")
            rows = [dict(zip(names, line.split(","))) for line in lines[1:] if line]
            return {row["pxname"]: row["agent_status"] for row in rows if row["svname"] == "n1"}
        processes.until(lambda: agents() == {"database": "L7OK", "analytics": "L7OK",
                                             "cache": "", "general": "L7OK"})
    finally:
        front.stop()


def test_an_agent_that_cannot_listen_ends_the_start(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = subprocess.run([rig.BIN, "serve", "--listen", "127.0.0.1:0", "--store",
                               f"sqlite:{tmp_path}/t.db", "--auth", "off"], text=True,
                              env={**os.environ, "TURNOUT_SERVER_AGENT":
                                   f"127.0.0.1:{taken.getsockname()[1]}"},
                              capture_output=True, timeout=30, check=False)
    assert done.returncode == 78 and "cannot listen" in done.stderr


# HAProxy's configuration -------------------------------------------------------------------------

def test_the_written_configuration_is_one_that_haproxy_takes(tmp_path):
    (tmp_path / "best.map").touch()
    settings = config(tmp_path, f"""[haproxy]
socket = {tmp_path}/haproxy.sock
map = {tmp_path}/best.map
bind = 127.0.0.1:{free_port()}
stats_bind = 127.0.0.1:{free_port()}
""")
    done = rig.run("control", "haproxy", "--config", settings)
    assert done.returncode == 0, done.stderr
    (tmp_path / "haproxy.cfg").write_text(done.stdout)
    checked = subprocess.run([processes.program("haproxy", *SBIN), "-c", "-f",
                              tmp_path / "haproxy.cfg"], text=True, capture_output=True,
                             check=False)
    assert checked.returncode == 0 and "[WARNING]" not in checked.stderr, checked.stderr


@pytest.mark.parametrize("text, words", [
    ("", "stats_socket"),
    ("socket = /a\n", "map_file"),
    ("socket = /a\nmap = /b\nbind = 1 2\n", "bind"),
    ("socket = /a\nmap = /b\ntls_bind = :443\n", "certificate"),
])
def test_a_configuration_that_cannot_be_is_refused(tmp_path, text, words):
    done = rig.run("control", "haproxy", "--config", config(tmp_path, "[haproxy]\n" + text))
    assert done.returncode == 78
    assert words in done.stderr


# doctor ------------------------------------------------------------------------------------------

def test_doctor_says_what_the_hands_would_find(tmp_path):
    folder = tmp_path / "haproxy"
    folder.mkdir()
    front = HAProxy(folder, PROBE).start()
    text = f"[haproxy]\nsocket = {front.socket}\nmap = {{}}\n"
    try:
        seen = doctor("--config", config(tmp_path, text.format(front.map)))["haproxy"]
        assert [one["level"] for one in seen] == ["ok"] and "HAProxy 2." in seen[0]["message"]
        seen = doctor("--config", config(tmp_path, text.format("/nowhere")))["haproxy"]
        assert [one["level"] for one in seen] == ["ok", "warning"]
        os.chmod(front.socket, 0o666)
        seen = doctor("--config", config(tmp_path, text.format(front.map)))["haproxy"]
        assert [one["level"] for one in seen] == ["ok", "unsafe"]
    finally:
        front.stop()
    seen = doctor("--config", config(tmp_path, text.format(front.map)))["haproxy"]
    assert [one["level"] for one in seen] == ["unsafe"]


PROGRAM = """#!/bin/sh
cat >/dev/null
echo '{"desired":3,"running":3,"ready":2}'
"""


def test_doctor_looks_at_the_provider_and_changes_nothing(tmp_path):
    program = tmp_path / "program"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    store = "[store]\nurl = postgres://nobody@127.0.0.1:1/none\n[scaler]\n"
    seen = doctor("--config", config(
        tmp_path, f"{store}provider = command\n[command]\nprogram = {program}\n"))["provider"]
    assert seen[0]["level"] == "ok"
    assert "3 nodes wanted, 3 run, 2 ready" in seen[0]["message"]
    program.write_text("#!/bin/sh\necho no quota >&2\nexit 1\n")
    seen = doctor("--config", config(
        tmp_path, f"{store}provider = command\n[command]\nprogram = {program}\n"))["provider"]
    assert seen[0]["level"] == "unsafe" and "no quota" in seen[0]["message"]
    home = tmp_path / "nodes"
    seen = doctor("--config", config(
        tmp_path, f"{store}provider = process\n[process]\nfolder = {home}\n"))["provider"]
    assert seen[0]["level"] == "ok" and not home.exists()


@pytest.mark.parametrize("text, words", [
    ("provider = process\n", "process.folder"),
    ("provider = process\n[process]\nfolder = /tmp/x\nstop_within = 5s\n", "process.stop_within"),
    ("provider = swarm\n", "service"),
    ("provider = kubernetes\n", "name"),
    ("provider = nomad\n", "job"),
    ("provider = command\n", "program"),
])
def test_a_provider_that_lacks_a_setting_is_named(tmp_path, text, words):
    store = "[store]\nurl = postgres://nobody@127.0.0.1:1/none\n[scaler]\n"
    seen = doctor("--config", config(tmp_path, store + text))["provider"]
    assert seen[0]["level"] == "unsafe" and words in seen[0]["message"]


def test_a_sqlite_file_has_no_provider(tmp_path):
    seen = doctor("--config", config(
        tmp_path, f"[store]\nurl = sqlite:{tmp_path}/t.db\n[scaler]\nprovider = systemd\n"))
    assert "served by one node" in seen["provider"][0]["message"]
