# SPDX-License-Identifier: Apache-2.0
"""A disk that fills up, for real: scans answer 503, reads go on, and it mends itself.

The disk is a small ext4 on a loop device, else a tmpfs; where neither may be mounted, a limit on
the size of a file (RLIMIT_FSIZE) stands in, and the test says so.
"""

import resource
import signal

import pytest
from disk import Disk

import rig
from rig import Venue, ok

DISK_MIB = 96  # the log of the store alone may take 64 MiB before it is moved into the file
FILE_LIMIT = 6 << 20


@pytest.fixture
def disk(tmp_path):
    made = Disk(tmp_path / "disk", DISK_MIB)
    print(f"disk: {made.kind or 'no mount allowed'}")
    yield made
    made.close()


class FileLimit:
    """Stands in for a full disk: no file of the server may grow beyond a size."""

    kind = "RLIMIT_FSIZE: mounts are not allowed here"

    def __init__(self, server):
        self.pid = server.pid
        self.unlimited = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)

    def fill(self):
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (FILE_LIMIT, self.unlimited[1]))

    def relieve(self):
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, self.unlimited)


def ignore_size_signal():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def scan_until_full(venue, tokens):
    """Scans until one is answered 503; returns what was acknowledged and that answer."""
    acknowledged = {}
    for number, token in enumerate(tokens):
        nonce = f"n-{token}"
        answer = venue.client.post(f"{venue.path}/checkins", {
            "token": token, "gate": "g1", "nonce": nonce})
        if answer.status != 200:
            return acknowledged, answer, tokens[number:]
        acknowledged[nonce] = (token, answer.json)
    raise AssertionError(f"the disk is full and {len(tokens)} scans were still acknowledged")


def check_full(venue, acknowledged, answer, tokens):
    assert answer.status == 503
    assert answer.code in ("no_space", "io_error", "store_unavailable", "commit_unknown")
    assert int(answer.headers["Retry-After"]) >= 1
    ready = rig.eventually(lambda: venue.client.get("/readyz"), lambda now: now.status == 503)
    assert b"no_space" in ready.body or b"disk" in ready.body or b"space" in ready.body, ready
    assert venue.client.get("/livez").status == 200
    # Reads go on.
    records = {record["record_id"] for record in venue.attendance()}
    assert {reply["record_id"] for _, reply in acknowledged.values()} <= records
    assert venue.one(tokens[0])["token"] == tokens[0]
    assert venue.stats()["scans"] == len(records)
    # It stays so: every further scan is refused and none is half done.
    for token in tokens[:20]:
        again = venue.try_scan(token, nonce=f"full-{token}")
        assert again.status == 503, again
    batch = venue.try_batch([{"token": token, "gate": "g1"} for token in tokens[:5]])
    if batch.status == 200:
        assert all("error" in line for line in batch.lines)
    else:
        assert batch.status == 503


def check_recovered(venue, acknowledged, tokens):
    rig.eventually(lambda: venue.client.get("/readyz").status, lambda status: status == 200, 30)
    rig.eventually(lambda: venue.try_scan(tokens[0], nonce=f"n-{tokens[0]}").status,
                   lambda status: status == 200, 30)
    for nonce, (token, reply) in acknowledged.items():
        again = venue.scan(token, nonce=nonce)
        assert again["replayed"] is True and again["record_id"] == reply["record_id"]
    for token in tokens[1:200]:
        assert venue.scan(token, nonce=f"n-{token}")["verdict"] == "admitted"
    records = venue.attendance()
    people = [record["participant"] for record in records if record["verdict"] == "admitted"]
    assert len(people) == len(set(people)), "in twice"
    venue.stats_become(inside=len(people), scans=len(records))


def test_a_full_disk_stops_writes_not_reads_and_mends_itself(make_server, tmp_path, disk):
    if disk.kind is None:
        server = make_server(before_exec=ignore_size_signal)
        disk_or_limit = FileLimit(server)
    else:
        server = make_server(store=disk.mount / "turnout.db")
        disk_or_limit = disk
    print(disk_or_limit.kind)
    try:
        with server.client() as client:
            venue = Venue(client)
            tokens = venue.crowd(20000)
            for round_number in range(2):
                mine = tokens[round_number * 10000:(round_number + 1) * 10000]
                disk_or_limit.fill()
                acknowledged, answer, rest = scan_until_full(venue, mine)
                check_full(venue, acknowledged, answer, rest)
                disk_or_limit.relieve()
                check_recovered(venue, acknowledged, rest)
        server.restart()
        with server.client() as client:
            venue.client = client
            assert ok(client.get(venue.path + "/stats"))["scans"] == len(venue.attendance())
    finally:
        server.stop()


def test_a_full_disk_at_the_start_is_said_and_nothing_is_ready(tmp_path, disk):
    if disk.kind is None:
        print("no mount allowed: the start on a full disk is not shown here")
        return
    disk.fill()
    server = rig.Server(tmp_path, store=disk.mount / "turnout.db")
    with pytest.raises(AssertionError) as failure:
        server.start()
    assert "before it was ready" in str(failure.value)
    assert server.log_path.read_text().strip(), "no word about why"
    disk.relieve()
    server.process = None
    server.start()
    server.stop()
