# SPDX-License-Identifier: Apache-2.0
"""The cache of running nodes: what is written is seen, by whomever and wherever; what is asked of
the cache is done; and without Redis, or when it dies, nothing fails."""
import contextlib
import json
import os
import pathlib
import re
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import rig
from postgres import turnout

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import tcp_proxy  # noqa: E402

DONE, FAILED, USAGE = 0, 1, 2
EVENT = "/v1/events/expo"


def make_event(client):
    assert client.post("/v1/events", {"code": "expo", "name": "Expo",
                                      "timezone": "UTC"}).status == 201
    assert client.post(f"{EVENT}/gates", {"code": "g1", "name": "North"}).status == 201
    made = client.post(f"{EVENT}/participants", {"token": "t1", "name": "Ann Lee"})
    assert made.status == 201
    return made.json["id"]


def name_of(client, token="t1"):
    found = client.get(f"{EVENT}/participants?token={token}").json["items"]
    return found[0]["name"] if found else None


@pytest.fixture
def node(tmp_path):
    server = rig.Server(tmp_path, env={"TURNOUT_CACHE_WARM": "none"}).start()
    with server.client() as client:
        server.person = make_event(client)
        yield server
    server.kill()


def reads(client):
    return client.get("/v1/cache").json["reads"]


def levels_of(client):
    """Hits and misses of all that stands in front of the store, of both levels and by cause."""
    cache = client.get("/v1/cache").json
    return ([cache["reads"][name] for name in ("hits", "misses")],
            [cache["l1"][name] for name in ("hits", "misses", "misses_by_cause")],
            [[one[name] for name in ("l2_hits", "l2_misses", "l2_down")]
             for one in cache["classes"]])


def class_samples(client):
    """{(name, class, level, cause): value} of the families of the cache by class."""
    found = {}
    for line in client.get("/metrics").body.decode().splitlines():
        if line.startswith("turnout_cache_class_"):
            name, labels, value = re.fullmatch(r"(\w+)_total\{(.*)\} (\d+)", line).groups()
            by = dict(re.findall(r'(\w+)="(\w+)"', labels))
            found[name.split("_")[-1], by["class"], by["level"], by.get("cause")] = int(value)
    return found


# One node ------------------------------------------------------------------------------------


def test_a_second_read_costs_the_store_nothing(node):
    with node.client() as client:
        before = reads(client)
        for path in ("", "/gates", "/gates/g1", "/participants?token=t1",
                     f"/participants/{node.person}"):
            answers = [client.get(EVENT + path) for _ in range(3)]
            assert [one.status for one in answers] == [200] * 3
            assert answers[0].json == answers[1].json == answers[2].json
            assert "Age" not in answers[2].headers and "Warning" not in answers[2].headers
        after = reads(client)
        assert after["misses"] - before["misses"] == 5
        assert after["hits"] - before["hits"] == 10


def test_a_write_is_seen_by_the_next_read(node):
    with node.client() as client:
        for turn in range(20):
            assert client.patch(f"{EVENT}/participants/{node.person}",
                                {"name": f"Ann {turn}"}).status == 200
            assert name_of(client) == f"Ann {turn}"
            assert client.patch(f"{EVENT}/gates/g1", {"name": f"North {turn}"}).status == 200
            assert client.get(f"{EVENT}/gates/g1").json["name"] == f"North {turn}"
            assert client.get(f"{EVENT}/gates").json["items"][0]["name"] == f"North {turn}"
            assert client.patch(EVENT, {"capacity": turn}).status == 200
            assert client.get(EVENT).json["capacity"] == turn


def test_somebody_erased_is_found_by_nothing(node):
    with node.client() as client:
        person = f"{EVENT}/participants/{node.person}"
        for _ in range(2):
            assert name_of(client) == "Ann Lee" == client.get(person).json["name"]
            assert len(client.get(f"{EVENT}/participants?q=ann").json["items"]) == 1
        assert client.delete(person).status == 204
        assert name_of(client) is None
        assert client.get(person).status == 404
        assert client.get(f"{EVENT}/participants?q=ann").json["items"] == []
        assert client.get(f"{EVENT}/stats").json["participants"] == 0


def test_what_a_command_writes_beside_the_node_is_seen(node):
    with node.client() as client:
        assert name_of(client) == "Ann Lee" and name_of(client, "t2") is None
        people = node.folder / "people.csv"
        people.write_text("token,name\nt1,Anna Lee\nt2,Bob\n")
        done = rig.run("import", "participants", "--event", "expo", "--store", node.store_url,
                       str(people))
        assert done.returncode == DONE, done.stderr
        rig.eventually(lambda: name_of(client), lambda name: name == "Anna Lee")
        rig.eventually(lambda: name_of(client, "t2"), lambda name: name == "Bob")


def test_a_scan_at_an_unknown_gate_is_refused_until_there_is_one(node):
    scan = {"token": "t1", "gate": "late"}
    with node.client() as client:
        for _ in range(20):
            refused = client.post(f"{EVENT}/checkins", scan)
            assert (refused.status, refused.code) == (404, "unknown_gate")
        assert client.post(f"{EVENT}/gates", {"code": "late", "name": "Late"}).status == 201
        assert client.post(f"{EVENT}/checkins", scan).json["verdict"] == "admitted"
        history = client.get(f"{EVENT}/attendance").json["items"]
        assert [record["gate"] for record in history] == ["late"]


def test_figures_are_told_per_class(node):
    with node.client() as client:
        client.get(EVENT)
        client.get(EVENT)
        figures = client.get("/v1/cache").json
        classes = {one["prefix"]: one for one in figures["classes"]}
        assert classes["event_config"]["l1_hits"] >= 1
        assert classes["event_config"]["loads"] >= 1
        assert figures["l1"]["capacity"] == 1000 and figures["l1"]["policy"] == "s3fifo"
        assert figures["l2"]["state"] == "off"
        assert figures["channel"]["state"] in ("none", "heard")


def test_the_metrics_tell_each_class_by_level_and_cause(node):
    with node.client() as client:
        for _ in range(2):
            assert name_of(client) == "Ann Lee"
            assert client.get(f"{EVENT}/gates/g1").status == 200
        rename(client, node.person, "Ann")
        assert name_of(client) == "Ann"
        figures = client.get("/v1/cache").json["classes"]
        told = class_samples(client)
        for one in figures:
            misses = {cause: count for (what, name, level, cause), count in told.items()
                      if (what, name, level) == ("misses", one["prefix"], "l1")}
            assert told.get(("hits", one["prefix"], "l1", None), 0) == one["l1_hits"]
            assert sum(misses.values()) == one["l1_misses"]
            assert misses.get("invalidated", 0) == one["l1_invalidated"]
        assert told["misses", "participant", "l1", "invalidated"] == 1
        assert told["hits", "gate", "l1", None] == 1
        assert not [key for key in told if key[2] == "l2"]


# What is asked of it -------------------------------------------------------------------------


def cache(node, *args, want=DONE):
    done = rig.run("cache", *args, "--url", node.url)
    assert done.returncode == want, (args, done.stdout, done.stderr)
    return done


def warming_of(client):
    return client.get("/v1/cache").json["warming"]


def await_warm(client):
    return rig.eventually(lambda: warming_of(client), lambda one: one["state"] == "idle",
                          timeout_s=60)


def test_preloading_reads_the_critical_keys(node):
    with node.client() as client:
        begun = json.loads(cache(node, "preload", "--json").stdout)
        assert begun["scope"] == "critical"
        ended = await_warm(client)
        assert (ended["events"], ended["keys"], ended["failed"]) == (1, 3, 0)
        before = reads(client)
        assert client.get(EVENT).status == client.get(f"{EVENT}/gates").status == 200
        after = reads(client)
        assert (after["hits"] - before["hits"], after["misses"]) == (2, before["misses"])


def test_warming_reads_gates_and_people_and_only_one_runs(node):
    with node.client() as client:
        people = "token,name\n" + "".join(f"w{n},Person {n}\n" for n in range(300))
        assert client.post(f"{EVENT}/participants:import", people, rig.CSV).status == 200
        assert "warming running (all)" in cache(node, "warm").stdout
        busy = cache(node, "warm", want=FAILED)
        assert "409 conflict" in busy.stderr
        asked = levels_of(client)
        ended = await_warm(client)
        assert (ended["scope"], ended["failed"], ended["participants"]) == ("all", 0, 301)
        assert ended["keys"] == 3 + 1 + 301
        assert levels_of(client) == asked  # nobody asked for them: neither hits nor misses
        before = reads(client)
        assert name_of(client, "w299") == "Person 299"
        assert reads(client)["misses"] == before["misses"]


def test_invalidating_drops_what_matches_and_nothing_else(node):
    with node.client() as client:
        name_of(client)
        client.get(EVENT)
        gone = json.loads(cache(node, "invalidate", "participant:*", "--json").stdout)
        assert gone == {"pattern": "participant:*", "l1_entries": 1, "l2_keys": 0}
        before = reads(client)
        client.get(EVENT)
        name_of(client)
        after = reads(client)
        assert (after["hits"] - before["hits"], after["misses"] - before["misses"]) == (1, 1)
        assert "entries of the node" in cache(node, "invalidate", "*").stdout
        wrong = client.post("/v1/cache:invalidate", {"pattern": ""})
        assert (wrong.status, wrong.field) == (400, "pattern")
        assert client.post("/v1/cache:invalidate", {}).status == 400


def test_stats_shows_both_levels(node):
    with node.client() as client:
        client.get(EVENT)
        text = cache(node, "stats").stdout
        assert "L1" in text and "event_config" in text and "policy s3fifo" in text
        document = json.loads(cache(node, "stats", "--json").stdout)
        assert document.keys() == client.get("/v1/cache").json.keys()


def test_a_cache_that_is_too_small_acts_by_a_hundredth_and_tells_its_effect(tmp_path):
    server = rig.Server(tmp_path, env={"TURNOUT_CACHE_WARM": "none", "TURNOUT_CACHE_ENTRIES": "100",
                                       "TURNOUT_CACHE_POLICY": "lru"}).start()
    try:
        with server.client() as client:
            make_event(client)

            def ask_for_more_than_fits():
                for n in range(1100):
                    assert client.get(f"{EVENT}/participants?token=n{n % 150}").status == 200
                return client.get("/v1/cache").json["management"]

            seen = rig.eventually(ask_for_more_than_fits,
                                  lambda one: one["acts"]
                                  and one["acts"][-1]["hit_rate_after"] is not None, timeout_s=60)
            act = seen["acts"][-1]
            assert (act["act"], act["entries"]) == ("trim", 1)
            assert act["hit_rate_before"] < 0.7 and seen["trim"] >= 1
        assert "event=cache_act act=trim entries=1" in server.log_tail()
    finally:
        server.kill()


def test_commands_say_what_is_wrong(node):
    assert rig.run("cache", "invalidate").returncode == USAGE
    assert rig.run("cache", "stats", "extra").returncode == USAGE
    away = rig.run("cache", "stats", "--url", "http://127.0.0.1:1")
    assert away.returncode == FAILED and "nobody answers" in away.stderr
    for form in ("stats", "preload", "warm", "invalidate"):
        assert rig.run("cache", form, "--help").returncode == DONE


def test_reading_is_for_analysts_and_changing_for_admins(secured):
    keys = {scope: rig.create_key(secured, scope) for scope in ("scanner", "analyst", "admin")}
    expected = {"scanner": (403, 403), "analyst": (200, 403), "admin": (200, 200)}
    for scope, statuses in expected.items():
        with secured.client(keys[scope]) as client:
            seen = (client.get("/v1/cache").status,
                    client.post("/v1/cache:invalidate", {"pattern": "none:*"}).status)
            assert seen == statuses, scope


def test_a_node_without_a_cache_says_so(tmp_path):
    server = rig.Server(tmp_path, env={"TURNOUT_CACHE_POLICY": "off"}).start()
    try:
        with server.client() as client:
            make_event(client)
            assert name_of(client) == "Ann Lee"
            answer = client.get("/v1/cache")
            assert (answer.status, answer.code) == (503, "store_unavailable")
            assert "cache.policy" in answer.json["detail"]
    finally:
        server.kill()


def test_hot_keys_survive_a_restart_and_those_of_the_erased_do_not(tmp_path):
    roster = tmp_path / "hot.keys"
    env = {"TURNOUT_CACHE_ROSTER": str(roster), "TURNOUT_CACHE_WARM": "none"}
    server = rig.Server(tmp_path, env=env).start()
    try:
        with server.client() as client:
            make_event(client)
            erased = client.post(f"{EVENT}/participants", {"token": "gone", "name": "Zoe"}).json
            for _ in range(64):
                assert name_of(client) == "Ann Lee" and name_of(client, "gone") == "Zoe"
            assert client.delete(f"{EVENT}/participants/{erased['id']}").status == 204
        server.stop()
        keys = roster.read_text().splitlines()
        assert keys[0] == "turnout-roster 1" and "participant:expo:token=t1" in keys[1:]
        assert not [key for key in keys if "gone" in key]
        assert stat.S_IMODE(os.stat(roster).st_mode) == 0o600
        roster.write_text(roster.read_text() + "\nno such key\nparticipant:expo:id=x\n")
        server.start()
        with server.client() as client:
            await_warm(client)
            before = reads(client)
            assert name_of(client) == "Ann Lee"
            assert reads(client)["misses"] == before["misses"]
    finally:
        server.kill()


# Two nodes -----------------------------------------------------------------------------------


class Pair:
    """Two nodes on one database, with or without one Redis, each by a port of its own."""

    def __init__(self, postgres, folder, redis=None, way_of_a=None):
        self.database = postgres.create()
        self.url = postgres.url(self.database)
        turnout("db", "migrate", "--store", self.url)
        self.nodes = []
        for name, way in (("a", way_of_a or redis), ("b", redis)):
            (folder / name).mkdir()
            args = [] if way is None else ["--redis", f"127.0.0.1:{way.port}"]
            self.nodes.append(rig.Server(folder / name, *args, store=self.url,
                                         env={"TURNOUT_CACHE_WARM": "none"}))

    def __enter__(self):
        self.clients = []
        try:
            for node in self.nodes:
                self.clients.append(node.start().client())
        except BaseException:
            self.__exit__()
            raise
        return self.clients

    def __exit__(self, *_):
        for client in self.clients:
            client.close()
        for node in self.nodes:
            node.kill()


def l2_hits(client):
    return sum(one["l2_hits"] for one in client.get("/v1/cache").json["classes"])


def write_here_and_read_there(a, b, person, turns):
    for turn in range(turns):
        writer, reader = (a, b) if turn % 2 == 0 else (b, a)
        name = f"Ann {turn}"
        name_of(reader)
        assert writer.patch(f"{EVENT}/participants/{person}", {"name": name}).status == 200
        assert name_of(writer) == name
        rig.eventually(lambda: name_of(reader), lambda seen: seen == name)


def test_without_redis_another_node_sees_a_write(postgres, tmp_path):
    with Pair(postgres, tmp_path) as (a, b):
        write_here_and_read_there(a, b, make_event(a), 6)
        assert a.get("/v1/cache").json["l2"]["state"] == "off"


@contextlib.contextmanager
def table_held(postgres, database, table):
    """Nobody reads or writes the table meanwhile."""
    holder = subprocess.Popen(["psql", "-XAtq", f"{postgres.settings} dbname={database}"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        holder.stdin.write(f"BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE; SELECT 'held';\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == "held\n"
        yield
    finally:
        holder.stdin.close()
        holder.wait(30)
        holder.stdout.close()


def read_once(node, path):
    with node.client() as client:
        return client.get(path).status


def slow_count(client, route):
    """Requests of the route that took over a second, those that still wait among them."""
    found = [one["slow_count"] for one in client.get("/v1/performance").json["api"]["endpoints"]
             if one["route"] == route]
    return found[0] if found else 0


def test_a_slow_request_tells_the_store_and_the_wait_for_anothers_read_apart(postgres, tmp_path):
    pair = Pair(postgres, tmp_path)
    with pair as (a, _), ThreadPoolExecutor(2) as pool:
        make_event(a)
        with table_held(postgres, pair.database, "gates"):
            asked = [pool.submit(read_once, pair.nodes[0], f"{EVENT}/gates/g1") for _ in range(2)]
            rig.eventually(lambda: slow_count(a, "GET /v1/events/{event}/gates/{gate}"),
                           lambda count: count == 2, timeout_s=30)
        assert [one.result() for one in asked] == [200, 200]
        lines = [line for line in pair.nodes[0].log_path.read_text().splitlines()
                 if " event=slow_request " in line]
        phases = [{name: float(ms) for name, ms in re.findall(r"(\w+)_ms=([\d.]+)", line)}
                  for line in lines]
        asker, joined = sorted(phases, key=lambda one: one["cache"])
        # what is no wait for the store or the cache is far less than the second that both took
        assert asker["cache"] == 0 and asker["queue"] + asker["store"] > asker["took"] / 2
        assert joined["queue"] == joined["store"] == 0 and joined["cache"] > joined["took"] / 2


def test_with_redis_another_node_sees_a_write_and_reads_what_the_first_loaded(postgres, redis,
                                                                              tmp_path):
    with Pair(postgres, tmp_path, redis) as (a, b):
        person = make_event(a)
        write_here_and_read_there(a, b, person, 10)
        fresh = iter(range(10000))

        def read_on_both():
            token = f"nobody{next(fresh)}"
            assert name_of(a, token) is None is name_of(b, token)
            return l2_hits(b)

        rig.eventually(read_on_both, lambda hits: hits > 0, timeout_s=30)
        told = class_samples(a)
        assert told["hits", "participant", "l2", None] + told["misses", "participant", "l2",
                                                             "cold"] > 0
        checked = subprocess.run(["promtool", "check", "metrics"], input=a.get("/metrics").body,
                                 capture_output=True, timeout=60)
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")
        gone = a.post("/v1/cache:invalidate", {"pattern": "*"})
        assert gone.status == 200 and gone.json["l2_keys"] > 0


# What nobody tells through Redis is told by a mark in the database.

BOUND_S = 1  # a read that begins so long after a write was acknowledged shows it


def keeps(client):
    """Whether an answer that is older than the bound still comes out of L1."""
    name_of(client)
    begun, misses = time.monotonic(), reads(client)["misses"]
    while time.monotonic() < begun + BOUND_S:
        name_of(client)
    return reads(client)["misses"] == misses


def await_kept(*clients):
    for client in clients:
        rig.eventually(lambda: keeps(client), lambda kept: kept, timeout_s=30)


def judge(client, name, acknowledged):
    """Reads until one began later than the bound, which must show `name`."""
    begun = acknowledged
    while begun <= acknowledged + BOUND_S:
        begun, seen = time.monotonic(), name_of(client)
    assert seen == name


def mark_of(client):
    return client.get("/v1/cache").json["mark"]


def rename(client, person, name):
    """When it was acknowledged."""
    assert client.patch(f"{EVENT}/participants/{person}", {"name": name}).status == 200
    return time.monotonic()


def test_what_a_command_imports_beside_nodes_with_redis_shows_on_each(postgres, redis, tmp_path):
    pair = Pair(postgres, tmp_path, redis)
    people = tmp_path / "people.csv"
    with pair as (a, b):
        make_event(a)
        for name in ("Anna Lee", "Hannah Lee"):
            await_kept(a, b)
            people.write_text(f"token,name\nt1,{name}\n")
            done = rig.run("import", "participants", "--event", "expo", "--store", pair.url,
                           str(people))
            acknowledged = time.monotonic()
            assert done.returncode == DONE, done.stderr
            for client in (a, b):
                judge(client, name, acknowledged)
        await_kept(a, b)  # what is in L2 since then is from since then
        for client in (a, b):
            assert name_of(client) == "Hannah Lee"
            assert mark_of(client)["drops"] >= 2 and mark_of(client)["turns"] == 0


def test_what_a_node_writes_whose_link_to_redis_is_cut_shows_on_the_other(postgres, redis,
                                                                          tmp_path):
    link = tcp_proxy.Proxy(("127.0.0.1", redis.port))
    try:
        with Pair(postgres, tmp_path, redis, way_of_a=link) as (a, b):
            person = make_event(a)
            await_kept(a, b)
            link.become("refuse")
            for turn in range(3):
                await_kept(b)
                judge(b, f"cut {turn}", rename(a, person, f"cut {turn}"))
                judge(a, f"other {turn}", rename(b, person, f"other {turn}"))
            assert mark_of(a)["turns"] >= 3 and mark_of(b)["turns"] == 0
            assert mark_of(b)["drops"] >= 2
            link.become("pass")
            await_kept(a, b)
            drops = mark_of(b)["drops"]
            judge(b, "whole again", rename(a, person, "whole again"))
            await_kept(b)
            assert (name_of(b), mark_of(b)["drops"]) == ("whole again", drops)
    finally:
        link.close()


def test_what_a_node_without_redis_writes_shows_on_those_with_it(postgres, redis, tmp_path):
    pair = Pair(postgres, tmp_path, redis)
    (tmp_path / "c").mkdir()
    plain = rig.Server(tmp_path / "c", store=pair.url, env={"TURNOUT_CACHE_WARM": "none"}).start()
    try:
        with pair as (a, b), plain.client() as c:
            person = make_event(a)
            await_kept(a, b)
            acknowledged = rename(c, person, "Anna")
            for client in (a, b):
                judge(client, "Anna", acknowledged)
            assert mark_of(c)["state"] == "off"
    finally:
        plain.kill()


def test_a_node_that_is_stopped_right_after_a_write_has_told_of_it(postgres, redis, tmp_path):
    link = tcp_proxy.Proxy(("127.0.0.1", redis.port))
    pair = Pair(postgres, tmp_path, redis, way_of_a=link)
    try:
        with pair as (a, b):
            person = make_event(a)
            await_kept(a, b)
            link.become("refuse")
            acknowledged = rename(a, person, "last words")
            pair.nodes[0].stop()
            judge(b, "last words", acknowledged)
    finally:
        link.close()


def test_when_redis_dies_nothing_fails_and_writes_are_still_seen(postgres, redis, tmp_path):
    with Pair(postgres, tmp_path, redis) as (a, b):
        person = make_event(a)
        write_here_and_read_there(a, b, person, 4)
        redis.kill()
        for _ in range(50):
            for client in (a, b):
                assert client.get(EVENT).status == 200
                assert name_of(client) is not None
        write_here_and_read_there(a, b, person, 6)
