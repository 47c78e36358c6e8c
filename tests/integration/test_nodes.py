# SPDX-License-Identifier: Apache-2.0
"""Several nodes on one PostgreSQL: each finds the others, tells how they are and why, and chooses
none that is not healthy. Nodes are killed, frozen, slow and lying."""

import contextlib
import http.client
import itertools
import os
import re
import signal
import sys

import pytest

import rig
from rig import eventually

sys.path.insert(0, str(rig.ROOT / "tests" / "support"))
from fake_node import FakeNode, make_ask, seal  # noqa: E402
from postgres_pair import DATABASE  # noqa: E402

WAIT_S = 30
_numbers = itertools.count(1)
SECRET = "the-secret-of-these-tests"
SETTINGS = {"TURNOUT_CLUSTER_SECRET": SECRET, "TURNOUT_CLUSTER_LIFE": "4s"}


@contextlib.contextmanager
def served(pair, folder, *names, **settings):
    """Nodes that know each other, one for each name."""
    made = []
    try:
        for name in names:
            (folder / name).mkdir()
            made.append(rig.Server(folder / name, store=pair.url(),
                                   env={**pair.environment(), **SETTINGS, **settings}))
            made[-1].start()
        yield made
        for node in made:
            node.stop()
    finally:
        for node in made:
            node.kill()


@contextlib.contextmanager
def two_healthy(pair, folder):
    with served(pair, folder, "a", "b") as made:
        for node in made:
            see(node, lambda seen: are_healthy(seen, made))
        yield made


@pytest.fixture
def nodes(pair, tmp_path):
    """Two that a test may end."""
    with two_healthy(pair, tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def steady(shared_pair, tmp_path_factory):
    """Two that are left as they are. What tests before these killed may still be registered."""
    shared_pair.primary.sql("DELETE FROM nodes", DATABASE)
    with two_healthy(shared_pair, tmp_path_factory.mktemp("steady")) as made:
        yield made


class Database:
    """One of the test's own on the pair."""

    def __init__(self, pair, name):
        self.name = name
        self.url = lambda: pair.url(name)
        self.environment = pair.environment


@pytest.fixture
def own_database(pair):
    name = f"own_{os.getpid()}_{next(_numbers)}"
    pair.create(name)
    done = rig.run("db", "migrate", "--store", pair.url(name), env=pair.environment())
    assert done.returncode == 0, done.stderr
    yield Database(pair, name)
    pair.primary.sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def fake(pair):
    """Registers nodes of the test's own making."""
    made = []

    def make(**members):
        one = FakeNode(lambda text: pair.primary.sql(text, DATABASE), f"fake:{next(_numbers)}",
                       SECRET)
        for member, value in members.items():
            setattr(one, member, value)
        made.append(one)
        return one.register()

    yield make
    for one in made:
        one.close()


def are_healthy(seen, nodes):
    return all(seen.get(id_of(node), {}).get("state") == "healthy" for node in nodes)


def see(server, want):
    """/v1/nodes as {id: node}, once `want` holds for it."""
    def look():
        with server.client() as client:
            answer = client.get("/v1/nodes")
            return {one["id"]: one for one in answer.json["items"]} \
                if answer.status == 200 else {}
    return eventually(look, want, WAIT_S)


def id_of(node):
    return f"{os.uname().nodename}:{node.port}"


def state_becomes(server, name, state, why=""):
    seen = see(server, lambda seen: name in seen and seen[name]["state"] == state and
               why in seen[name]["why"])
    return seen[name]


def chosen(server, count=25):
    """The ids that are chosen, whatever is asked for."""
    with server.client() as client:
        return {rig.ok(client.get(f"/v1/nodes/optimal?type={kind}"))["node"]["id"]
                for _ in range(count) for kind in ("general", "analytics", "database", "cache")}


# Finding each other ------------------------------------------------------------------------------

def test_each_node_tells_of_all(steady):
    for node in steady:
        seen = see(node, lambda seen: are_healthy(seen, steady) and
                   all(seen[id_of(one)]["cpu"] is not None for one in steady))
        for one in steady:
            told = seen[id_of(one)]
            assert told["url"] == one.url and told["healthy"] and not told["stale"]
            assert 0 <= told["cpu"] <= 100 and 0 < told["memory"] <= 100
            assert abs(told["clock_ahead_s"]) < 1 and told["started_at"]
            eventually(lambda: see(node, bool)[id_of(one)]["capabilities"],
                       lambda able: able.get("cpus", 0) > 0, WAIT_S)
    table = rig.run("nodes", "--url", steady[0].url)
    assert table.returncode == 0, table.stderr
    assert all(any(id_of(one) in line and "healthy" in line for line in table.stdout.splitlines())
               for one in steady)


# Keeps what each node said of itself when it first came.
FIRST_WORDS = """
CREATE TABLE first_words (node_id text PRIMARY KEY, said jsonb);
CREATE FUNCTION keep_first_words() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO first_words VALUES (NEW.id, NEW.capabilities) ON CONFLICT DO NOTHING;
    RETURN NEW;
END $$;
CREATE TRIGGER first_words AFTER INSERT ON nodes FOR EACH ROW EXECUTE FUNCTION keep_first_words()
"""


def test_haproxy_can_be_told_of_the_agent_from_the_first_registration_on(pair, own_database,
                                                                         tmp_path):
    def first_words(node):
        return pair.primary.sql("SELECT said ->> 'agent_port', said ->> 'connections_max'"
                                f" FROM first_words WHERE node_id = '{id_of(node)}'",
                                own_database.name)
    pair.primary.sql(FIRST_WORDS, own_database.name)
    with served(own_database, tmp_path, "a", TURNOUT_SERVER_AGENT="127.0.0.1:0") as [node]:
        [port] = re.findall(r"event=agent port=(\d+)", node.log_path.read_text())
        agent, _, connections = eventually(lambda: first_words(node), bool, WAIT_S).partition("|")
        assert agent == port and int(connections) > 0
        # and what is measured follows as soon as it is there, not with the next renewal
        eventually(lambda: see(node, bool)[id_of(node)]["capabilities"],
                   lambda able: able.get("cpus", 0) > 0 and able["agent_port"] == int(port), WAIT_S)


def test_a_node_that_stops_is_gone_at_once(nodes):
    gone = id_of(nodes[1])
    nodes[1].stop()
    state_becomes(nodes[0], gone, "gone", "it left")
    assert gone not in chosen(nodes[0])
    table = rig.run("nodes", "--url", nodes[0].url)
    assert table.returncode == 0 and "it left" in table.stdout  # nothing is wrong


def test_a_killed_node_is_suspect_and_gone_when_its_registration_ends(nodes):
    dead = id_of(nodes[1])
    nodes[1].kill()
    state_becomes(nodes[0], dead, "suspect", "missed: ")
    assert dead not in chosen(nodes[0])
    state_becomes(nodes[0], dead, "gone", "its registration ended")


def test_a_frozen_node_is_not_chosen_until_it_answers_again(nodes):
    frozen = id_of(nodes[1])
    os.kill(nodes[1].pid, signal.SIGSTOP)
    try:
        state_becomes(nodes[0], frozen, "suspect", "missed: ")
        assert frozen not in chosen(nodes[0])
        table = rig.run("nodes", "--url", nodes[0].url)
        assert table.returncode == 1 and "missed: " in table.stdout
    finally:
        os.kill(nodes[1].pid, signal.SIGCONT)
    state_becomes(nodes[0], frozen, "healthy")


def test_a_restarted_node_is_found_again_under_its_name(pair, tmp_path, nodes):
    port = nodes[1].port
    nodes[1].kill()
    again = rig.Server(tmp_path, store=pair.url(), listen=f"127.0.0.1:{port}",
                       env={**pair.environment(), **SETTINGS})
    with contextlib.ExitStack() as stack:
        stack.callback(again.kill)
        before = see(nodes[0], bool)[id_of(again.start())]["started_at"]
        assert again.port == port
        seen = see(nodes[0], lambda seen: are_healthy(seen, [nodes[0], again]) and
                   seen[id_of(again)]["started_at"] >= before)
        assert [name for name in seen if name.endswith(f":{port}")] == [id_of(again)]
        again.stop()


def test_the_registry_outlives_its_nodes_and_the_server(pair, tmp_path):
    with served(pair, tmp_path, "a") as [node]:
        state_becomes(node, id_of(node), "healthy")
        pair.primary.restart()
        state_becomes(node, id_of(node), "healthy")
        renewed = f"SELECT count(*) FROM nodes WHERE until > now() AND id = '{id_of(node)}'"
        eventually(lambda: pair.primary.sql(renewed, DATABASE), lambda count: count == "1", WAIT_S)
    assert pair.primary.sql(f"SELECT count(*) FROM nodes WHERE id = '{id_of(node)}'",
                            DATABASE) == "0"


# Not as they should be ---------------------------------------------------------------------------

def test_a_slow_node_is_suspect(steady, fake):
    slow = fake(delay_s=0.6)
    state_becomes(steady[0], slow.name, "suspect", "slow: it took ")
    slow.delay_s = 0
    state_becomes(steady[0], slow.name, "healthy")
    assert slow.name in chosen(steady[0])  # it says that it has nothing to do


@pytest.mark.parametrize("lie, why", [
    ({"secret": "some other secret"}, "not sealed"),
    ({"spoil": lambda text: ""}, "not sealed"),
    ({"edit": lambda document: {**document, "cpu": -5}}, "cpu: expected 0 to 100"),
    ({"edit": lambda document: {**document, "hit_rate": 1e9}}, "hit_rate: expected 0 to 1"),
    ({"edit": lambda document: {**document, "id": "another:1"}}, "it says that it is another:1"),
    ({"edit": lambda document: {**document, "incarnation": "x"}}, "another run"),
    ({"edit": lambda document: [document]}, "lies"),
])
def test_a_lying_node_is_suspect_and_never_chosen(steady, fake, lie, why):
    liar = fake()
    state_becomes(steady[0], liar.name, "healthy")
    for member, value in lie.items():
        setattr(liar, member, value)
    state_becomes(steady[0], liar.name, "suspect", why)
    assert liar.name not in chosen(steady[0])
    asks = liar.asks
    eventually(lambda: liar.asks, lambda now: now > asks + 4, WAIT_S)
    told = see(steady[0], bool)[liar.name]
    assert told["state"] == "suspect" and why in told["why"]


def test_an_answer_that_was_recorded_is_not_believed(steady, fake):
    recorded = []

    def replay(text):
        recorded.append(text)
        return recorded[0]

    liar = fake()
    state_becomes(steady[0], liar.name, "healthy")
    document = liar.document()
    liar.edit = lambda _: document
    liar.spoil = replay
    state_becomes(steady[0], liar.name, "suspect", "answers another question")


def test_a_node_with_another_secret_is_refused(pair, tmp_path, steady):
    with served(pair, tmp_path, "stranger",
                TURNOUT_CLUSTER_SECRET="not-the-secret-of-the-others") as [stranger]:
        told = state_becomes(steady[0], id_of(stranger), "suspect", "cluster.secret")
        assert not told["healthy"]
        state_becomes(stranger, id_of(steady[0]), "suspect", "cluster.secret")


def test_a_clock_that_is_off_is_told(steady, fake):
    late = fake(clock_ahead_ms=-300_500)
    told = state_becomes(steady[0], late.name, "healthy")
    assert -301 < told["clock_ahead_s"] < -300
    assert f"event=node_clock node={late.name} ahead_ms=-300" in steady[0].log_path.read_text()
    table = rig.run("nodes", "--url", steady[0].url)
    assert "its clock is behind by 300." in table.stdout


def test_without_healthy_nodes_there_is_no_best_one(own_database, tmp_path):
    # it cannot reach itself at the address that it gives the others
    with served(own_database, tmp_path, "lost", TURNOUT_CLUSTER_URL="http://127.0.0.1:1") as [node]:
        told = state_becomes(node, id_of(node), "suspect")
        assert told["url"] == "http://127.0.0.1:1"
        with node.client() as client:
            for kind in "analytics", "database", "cache", "general":
                answer = client.get(f"/v1/nodes/optimal?type={kind}")
                assert (answer.status, answer.code) == (503, "no_healthy_nodes")
                assert answer.json["detail"] == "No healthy nodes available"
                assert answer.headers["retry-after"]


# The status itself -------------------------------------------------------------------------------

def ask_status(node, ask):
    link = http.client.HTTPConnection(node.host, node.port, timeout=30)
    with contextlib.closing(link):
        link.request("GET", "/v1/status", headers={} if ask is None else {"turnout-ask": ask})
        reply = link.getresponse()
        return reply.status, reply.headers.get("turnout-seal"), reply.read().decode()


def test_a_status_is_for_who_has_the_secret_and_once(steady):
    node = steady[0]
    ask = make_ask(SECRET, id_of(node))
    status, sealed, body = ask_status(node, ask)
    assert status == 200 and sealed == seal(SECRET, "turnout status", ask, body)
    assert f'"id":"{id_of(node)}"' in body and '"ready":true' in body
    refused = [ask, None, "", "x" * 5000, make_ask(SECRET, id_of(steady[1])),
               make_ask("another secret", id_of(node)),
               make_ask(SECRET, id_of(node), at_ms=0), ask[:-1] + "0", ask.upper()]
    for one in refused:
        status, sealed, body = ask_status(node, one)
        assert status == 401 and sealed is None and "cpu" not in body, one
    assert ask_status(node, make_ask(SECRET, id_of(node)))[0] == 200


def test_an_older_ask_of_the_same_asker_is_refused(steady):
    newer, older = (make_ask(SECRET, id_of(steady[0]), "0123456789abcdef", at) for at in
                    (int(rig.now_s() * 1000), int(rig.now_s() * 1000) - 1))
    assert ask_status(steady[0], newer)[0] == 200
    assert ask_status(steady[0], older)[0] == 401


def test_a_file_has_no_cluster(make_server):
    server = make_server(env={"TURNOUT_CLUSTER_SECRET": SECRET})
    assert ask_status(server, make_ask(SECRET, id_of(server)))[0] == 401
    told = state_becomes(server, id_of(server), "healthy")
    assert told["why"] == "its store reads and writes"


def test_without_a_secret_the_database_has_one(pair, tmp_path):
    with served(pair, tmp_path, "a", "b", TURNOUT_CLUSTER_SECRET="") as made:
        for node in made:
            see(node, lambda seen: are_healthy(seen, made))


def test_the_secret_comes_from_a_file_and_goes_nowhere(pair, tmp_path):
    path = tmp_path / "secret"
    path.write_text(SECRET + "\n")
    with served(pair, tmp_path, "a", TURNOUT_CLUSTER_SECRET="",
                TURNOUT_CLUSTER_SECRET_FILE=str(path), TURNOUT_LOG_LEVEL="debug") as [node]:
        assert ask_status(node, make_ask(SECRET, id_of(node)))[0] == 200
        state_becomes(node, id_of(node), "healthy")
    assert SECRET not in node.log_path.read_text()


@pytest.mark.parametrize("settings, said", [
    ({"TURNOUT_CLUSTER_SECRET": "short"}, "shorter than 16"),
    ({"TURNOUT_CLUSTER_SECRET_FILE": "/nowhere"}, "cluster.secret_file"),
    ({"TURNOUT_CLUSTER_URL": "10.0.0.1:8080"}, "cluster.url"),
])
def test_settings_that_cannot_be_are_refused(pair, settings, said):
    done = rig.run("serve", "--listen", "127.0.0.1:0", "--auth", "off", "--store", pair.url(),
                   env={**pair.environment(), **settings})
    assert done.returncode == 78 and said in done.stderr and "short\n" not in done.stderr
