# SPDX-License-Identifier: Apache-2.0
"""Causes that are really there, from end to end: queries that are slow since an index is gone, and
memory that leaks. The alert fires, a receiver hears of it, what is done about it helps, and the
journal says so. (More load than two nodes are to have is in test_production.py.)"""

import json
import subprocess
import sys
import threading

import pytest

import rig
from rig import eventually
from takeovers import Crowd, Node

sys.path.insert(0, str(rig.ROOT / "tests" / "support"))
from memory_group import MemoryGroup, Unavailable  # noqa: E402
from receivers import Hook  # noqa: E402

WAIT_S = 60
NOTIFY = """[notify.team]
type = webhook
url = {url}
group_wait = 0s
group_interval = 1s
"""


def config(folder, text):
    path = folder / "turnout.ini"
    path.write_text(text)
    return "--config", str(path)


def journal(server):
    with server.client() as client:  # a connection that waits is closed after ten seconds
        answer = client.get("/v1/actions?limit=1000")
        assert answer.status == 200, answer
        return answer.json["items"]


def row_is_judged(server, action):
    def look():
        return [row for row in journal(server) if row["action"] == action]
    return eventually(look, lambda rows: rows and rows[-1]["outcome"] not in ("begun", "done"),
                      WAIT_S)[-1]


def told(hook, rule, state):
    """The first alert of that rule in that state that the receiver got."""
    def look():
        return [alert for one in hook.kept.all() for alert in json.loads(one["body"])["alerts"]
                if alert["rule"] == rule and alert["state"] == state]
    return eventually(look, bool, WAIT_S)[0]


# Slow queries ------------------------------------------------------------------------------------

RECORDS, PEOPLE, READERS = 200_000, 2_000, 8
INDEX = "idx_attendance_participant_timestamp"
# The window of the figure is five minutes: how many come in a second is known sooner.
SLOW = """[database]
interval = 0s
[recovery]
verify = 3s
[alert.database_slow_query]
rate_over = 3s
threshold = 0.5
"""


# Who made the statistics saw empty tables, and autovacuum does not mend it first. A person has as
# many records as a page.
FILL = f"""SET synchronous_commit = off;
DROP INDEX {INDEX};
SELECT format('ALTER TABLE %s SET (autovacuum_enabled = off)', inhrelid::regclass)
    FROM pg_inherits WHERE inhparent = 'attendance_records'::regclass \\gexec
ANALYZE attendance_records;
INSERT INTO events (code, name, timezone, reentry, created_at)
    VALUES ('demo', 'Demo', 'UTC', 'after_exit', now());
INSERT INTO gates (event_id, code, name, status) SELECT id, 'g', 'Gate', 'open' FROM events;
INSERT INTO participants (event_id, token, name, email, status, gates, created_at)
    SELECT e.id, 'p' || n, 'N', '', 'active', '', now()
    FROM events AS e, generate_series(1, {PEOPLE}) AS n;
INSERT INTO attendance_records (id, event_id, participant_id, gate_id, method, direction, verdict,
        "timestamp", recorded_at)
    SELECT n, e.id, p.first + n * 7919 % {PEOPLE}, g.id, 'qr', 'entry', 'admitted', now(), now()
    FROM generate_series(1, {RECORDS}) AS n, events AS e, gates AS g,
        (SELECT min(id) AS first FROM participants) AS p;
"""


@pytest.fixture(name="slow")
def _slow(pair, tmp_path):
    """A node on a database whose records have every index but one, and statistics of no rows."""
    name = "provoked"
    primary = pair.primary
    pair.create(name)
    server = None
    try:
        done = rig.run("db", "migrate", "--store", pair.url(name), env=pair.environment())
        assert done.returncode == 0, done.stderr
        primary.sql(FILL, name, "turnout", 120)
        with Hook() as hook:
            server = rig.Server(tmp_path, *config(tmp_path, SLOW + NOTIFY.format(url=hook.url)),
                                store=pair.url(name), env=pair.environment())
            people = primary.sql("SELECT id FROM participants ORDER BY id LIMIT 500", name,
                                 "turnout").split()
            yield server.start(), hook, people
            server.stop()
            server = None
    finally:
        if server is not None:
            server.kill()
        primary.sql(f"DROP DATABASE {name} WITH (FORCE)")


class Readers:
    """The records of people, until the end of the block."""

    def __init__(self, server, people):
        self.server, self.people = server, people
        self.ends = threading.Event()
        self.broken = []
        self.threads = [threading.Thread(target=self._read, args=(number,))
                        for number in range(READERS)]

    def _read(self, number):
        try:
            with self.server.client() as client:
                while not self.ends.is_set():
                    for person in self.people[number::READERS]:
                        if self.ends.wait(0.02):
                            break
                        answer = client.get(f"/v1/events/demo/attendance?participant={person}")
                        assert answer.status == 200, answer
        except Exception as error:
            self.broken.append(error)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ends.set()
        for thread in self.threads:
            thread.join()


def test_an_index_that_is_gone_is_built_again_since_queries_are_slow(slow):
    server, hook, people = slow
    with Readers(server, people) as readers:
        alert = told(hook, "database_slow_query", "firing")
        assert alert["action"] == "OPTIMIZE_QUERIES" and alert["value"] > 0.5
        # On a busy machine queries may be slow for other reasons: the effect is judged, as it is.
        row_is_judged(server, "OPTIMIZE_QUERIES")
        steps = {(one["action"], one["target"]): one["outcome"]
                 for one in journal(server) if one["system"] == "database"}
        assert steps.pop(("build index", INDEX)) == "better"
        assert set(steps) == {("maintain tables", "tables")}  # the statistics
    assert readers.broken == []


# Memory ------------------------------------------------------------------------------------------

LIMIT, LEAK = 384 << 20, 256 << 10
LEAKS = f"""#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
static void *volatile kept;
int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags) {{
    int (*real)(int, struct sockaddr *, socklen_t *, int) = dlsym(RTLD_NEXT, "accept4");
    int got = real(fd, address, len, flags);
    if (got >= 0) {{
        kept = memset(malloc({LEAK}), 1, {LEAK});
    }}
    return got;
}}
"""


@pytest.fixture(name="leaking")
def _leaking(tmp_path):
    """(a node that never gives back 256 KB of each connection, its limit, its receiver)"""
    source, library = tmp_path / "leak.c", tmp_path / "leak.so"
    source.write_text(LEAKS)
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    try:
        group = MemoryGroup("leaking", LIMIT)
    except Unavailable as error:
        pytest.skip(str(error))
    with Hook() as hook:
        text = "[recovery]\nverify = 2s\nrestart_after = 0s\n" + NOTIFY.format(url=hook.url)
        node = Node(tmp_path, *config(tmp_path, text), env={"LD_PRELOAD": str(library)})
        try:
            node.start()
            group.add(node.pid)
            yield node, group, hook
        finally:
            node.kill_all()
            group.remove()


def test_memory_that_leaks_is_given_back_by_a_restart_that_loses_no_request(leaking):
    node, group, hook = leaking
    since = node.mark()
    with Crowd(node, 9) as crowd:  # every scanner checks every answer
        while group.percent() <= 90:
            with node.client() as client:
                assert client.get("/livez").status == 200
        alert = told(hook, "memory_usage_high", "firing")
        assert alert["action"] == "RESTART_SERVICE" and alert["value"] > 90
        node.finish(since)
        crowd.wait_for(50)
        row = row_is_judged(node, "RESTART_SERVICE")
    assert row["outcome"] == "better", row
    told(hook, "memory_usage_high", "resolved")
    assert group.percent() < 50 and group.pids() == [node.pid]
    crowd.check()
    node.stop()
