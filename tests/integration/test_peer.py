# SPDX-License-Identifier: Apache-2.0
"""The service in Node that measurements compare with keeps its books as well as we do: a peer that
forgot, doubled or misjudged scans would be no peer."""

import contextlib
import os
import select
import signal
import subprocess

import pytest

import redis_cluster
import rig
from postgres import Postgres
from test_loadgen import SMALL, play

PEER = rig.ROOT / "bench" / "peers" / "node"


@pytest.fixture(name="peer")
def _peer(tmp_path):
    assert (PEER / "node_modules").is_dir(), "no packages of the peer: tools/setup test"
    with contextlib.closing(Postgres()) as postgres:
        database = postgres.create()
        [port] = redis_cluster.free_ports(1)
        with open(tmp_path / "peer.log", "wb") as log:
            process = subprocess.Popen(
                ["node", PEER / "main.mjs"], stdout=subprocess.PIPE, stderr=log, cwd=tmp_path,
                env={**os.environ, "DATABASE_URL": postgres.url(database), "PORT": str(port),
                     "WORKERS": "2"})
        try:
            answered = select.select([process.stdout], [], [], 60)[0]
            said = process.stdout.readline() if answered else b""
            assert b"ready url=" in said, (tmp_path / "peer.log").read_text()
            yield f"http://127.0.0.1:{port}"
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("event", ["", "reentry = none\n", "capacity = 15\n"],
                         ids=["after_exit", "none", "capacity"])
def test_its_books_agree_with_what_it_answered(peer, tmp_path, event):
    path = tmp_path / "small.ini"
    path.write_text(SMALL.replace("[event]\n", f"[event]\n{event}"))
    played = play(path, peer).check()
    assert played.report["ledger"]["admitted"] > 10
