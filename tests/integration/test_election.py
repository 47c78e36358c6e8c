# SPDX-License-Identifier: Apache-2.0
"""Of several controllers one leads, and only that one acts; whatever happens to it, another one
follows. Leaders are killed, frozen, stopped and cut off from the database."""

import contextlib
import os
import pathlib
import signal
import sys

import pytest

import rig
from rig import eventually

sys.path.insert(0, str(rig.ROOT / "tests" / "support"))
from postgres_pair import DATABASE  # noqa: E402
from tcp_proxy import Proxy  # noqa: E402

WAIT_S = 30
# Each look with a rule that fires at once, on every node that asks the store for anything.
ALWAYS = """[recovery]
verify = 0s
[alert.always]
metric = connections_total
threshold = -1
action = OPTIMIZE_QUERIES
cooldown = 15s
"""


class Group:
    """Nodes on one database, which one of them leads."""

    def __init__(self, pair, folder):
        self.pair = pair
        self.folder = folder
        self.nodes = []

    def add(self, *arguments, store=None, **settings):
        folder = pathlib.Path(self.folder, f"node{len(self.nodes)}")
        folder.mkdir()
        node = rig.Server(folder, *arguments, store=store or self.pair.url(),
                          env={**self.pair.environment(), **settings})
        self.nodes.append(node)
        return node.start()

    def word_of(self, node):
        with node.client() as client:
            answer = client.get("/v1/nodes")
            return answer.json["controller"] if answer.status == 200 else None

    def leader(self, *among, unlike=None):
        """The node that leads, once all of these agree; not `unlike`."""
        def look():
            words = [self.word_of(node) for node in among]
            leading = [node for node, word in zip(among, words) if word and word["leads"]]
            agree = len(leading) == 1 and all(
                word["leader"] == id_of(leading[0]) and word["url"] == leading[0].url
                for word in words)
            return leading[0] if agree else None
        return eventually(look, lambda node: node is not None and node is not unlike, WAIT_S)

    def sql(self, text):
        return self.pair.primary.sql(text, DATABASE)


def id_of(node):
    return f"{os.uname().nodename}:{node.port}"


@pytest.fixture
def group(pair, tmp_path):
    made = Group(pair, tmp_path)
    made.sql("DELETE FROM action_journal; DELETE FROM leases")
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: [node.kill() for node in made.nodes])
        yield made
        for node in made.nodes:
            node.stop()


def two(group, **settings):
    a, b = group.add(**settings), group.add(**settings)
    leader = group.leader(a, b)
    return leader, b if leader is a else a


def test_one_leads_and_all_know_it(group):
    leader, other = two(group)
    third = group.add()
    assert group.leader(leader, other, third) is leader
    shown = rig.run("nodes", "--url", other.url)
    assert f"leads: {id_of(leader)} (term " in shown.stdout
    assert group.sql("SELECT count(*) FROM leases") == "1"


def test_a_standby_follows_a_leader_that_was_killed(group):
    leader, other = two(group)
    term = group.word_of(other)["term"]
    leader.kill()
    assert group.leader(other) is other
    assert group.word_of(other)["term"] == term + 1


def test_a_standby_follows_a_leader_that_stopped_at_once(group):
    # Its lease would last for the length of this test.
    leader, other = two(group, TURNOUT_CONTROL_LEASE="1m")
    leader.stop()
    assert group.leader(other) is other


def test_a_leader_that_was_frozen_follows_when_it_wakes(group):
    leader, other = two(group)
    os.kill(leader.pid, signal.SIGSTOP)
    try:
        assert group.leader(other) is other
    finally:
        os.kill(leader.pid, signal.SIGCONT)
    assert group.leader(leader, other) is other


def test_a_leader_without_the_database_stops_leading(group):
    proxy = Proxy(("127.0.0.1", group.pair.primary.port))
    with contextlib.closing(proxy):
        cut = group.add(store=f"postgres://turnout@127.0.0.1:{proxy.port}/{DATABASE}")
        assert group.leader(cut) is cut
        other = group.add()
        assert group.leader(cut, other) is cut
        proxy.become("refuse")
        assert group.leader(other) is other
        eventually(lambda: group.word_of(cut), lambda word: word and not word["leads"], WAIT_S)
        proxy.become("pass")
        assert group.leader(cut, other) is other


def test_a_failover_of_the_database_leaves_one_leader(group):
    leader, other = two(group)
    group.pair.primary.kill()
    eventually(lambda: group.word_of(leader), lambda word: word and not word["leads"], WAIT_S)
    group.pair.promote()
    group.leader(leader, other)
    group.pair.rejoin()


def test_only_the_leader_acts(group, tmp_path):
    path = tmp_path / "turnout.ini"
    path.write_text(ALWAYS)
    a, b = group.add("--config", str(path)), group.add("--config", str(path))
    leader = group.leader(a, b)
    for node in a, b:  # all see it
        with node.client() as client:
            eventually(lambda: [rule["state"] for rule in client.get("/v1/alerts").json["items"]
                                if rule["rule"] == "always"], lambda states: states == ["firing"],
                       WAIT_S)
    rows = "FROM action_journal WHERE system = 'recovery' AND action = 'OPTIMIZE_QUERIES'" \
           " AND outcome {} 'held'"
    held, rows = rows.format("="), rows.format("<>")
    actors = f"SELECT DISTINCT actor {rows}"
    eventually(lambda: group.sql(actors), bool, WAIT_S)
    assert group.sql(actors) == id_of(leader)
    other = b if leader is a else a
    leader.kill()
    group.leader(other)
    eventually(lambda: set(group.sql(actors).split()),
               lambda found: found == {id_of(leader), id_of(other)}, WAIT_S)
    # It knows when this was done: it neither did it at once nor held it back once more.
    apart = f"SELECT at - lag(at) OVER (ORDER BY id) apart {rows}"
    assert group.sql(f"SELECT min(apart) > '14 s' FROM ({apart}) each_time") == "t"
    assert group.sql(f"SELECT count(*) {held} AND actor = '{id_of(other)}'") == "0"


def test_the_next_leader_ends_what_the_last_one_had_begun(group):
    leader, other = two(group)
    for outcome in "begun", "waiting":
        group.sql("INSERT INTO action_journal (system, actor, action, target, outcome)"
                  f" VALUES ('recovery', '{id_of(leader)}', 'ONE', 'store', '{outcome}')")
    leader.kill()
    rows = "SELECT string_agg(outcome, ' ' ORDER BY id) FROM action_journal WHERE action = 'ONE'"
    eventually(lambda: group.sql(rows), lambda found: found == "interrupted expired", WAIT_S)


def test_who_is_no_candidate_never_leads(group):
    watcher = group.add(TURNOUT_CONTROL_CANDIDATE="no")
    nobody = {"leads": False, "leader": None, "url": None, "term": 0}
    eventually(lambda: group.word_of(watcher), lambda word: word and word | nobody == word, WAIT_S)
    assert "leads: nobody" in rig.run("nodes", "--url", watcher.url).stdout
    leader = group.add()
    assert group.leader(watcher, leader) is leader
    with watcher.client() as client:
        for verdict in "approve", "refuse":
            elsewhere = client.post(f"/v1/actions/1:{verdict}")
            assert elsewhere.status == 409 and elsewhere.json["detail"].endswith(leader.url)
            done = rig.run("control", verdict, "1", "--url", watcher.url)
            assert done.returncode == 1 and leader.url in done.stderr
    leader.kill()
    eventually(lambda: group.word_of(watcher), lambda word: word and word["leader"] is None,
               WAIT_S)
    with watcher.client() as client:
        nobody = client.post("/v1/actions/1:refuse")
        assert nobody.status == 409 and "nobody leads" in nobody.json["detail"]


def test_a_node_on_a_file_leads_alone(make_server):
    server = make_server()
    with server.client() as client:
        word = eventually(lambda: client.get("/v1/nodes"), lambda answer: answer.status == 200,
                          WAIT_S).json["controller"]
    alone = {"leads": True, "leader": None, "url": None, "term": 0}
    assert word | alone == word
    assert "leads:" not in rig.run("nodes", "--url", server.url).stdout
