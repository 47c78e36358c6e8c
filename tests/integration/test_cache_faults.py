# SPDX-License-Identifier: Apache-2.0
"""Three nodes, one PostgreSQL, a Redis Cluster of six that goes wrong in every way, under load.

The load and its judge are witness.py: in every test nothing may fail and nothing may be stale for
longer than a second, through whichever node. It runs through the whole module; each test begins a
new account, breaks something, mends it, and looks at the account. At the end the counters are
compared with the database.
"""

import contextlib
import os
import pathlib
import signal
import struct
import sys
import threading

import pytest

import rig
import witness
from postgres import Postgres

sys.path.insert(0, str(rig.ROOT / "tests" / "support"))
import redis_cluster  # noqa: E402

NODES = 3
# The product promises that the breaker opens within 1 s and closes within 5 s of Redis' return.
# These waits bound a failure on a busy machine; they measure nothing.
OPENS_WAIT_S, CLOSES_WAIT_S = 10, 30
BROKEN_S = 3  # how long most things stay broken: more than the bound, and than a failover takes
PREFIX = "turnout:"


class Site:
    """All there is, and the load on it."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.ending = contextlib.ExitStack()
        self.redis = redis_cluster.Cluster()
        self.ending.callback(self.redis.stop)
        self.redis.start()
        self.postgres = Postgres()
        self.ending.callback(self.postgres.close)
        self.database = self.postgres.create()
        self.url = self.postgres.url(self.database)
        assert rig.run("db", "migrate", "--store", self.url).returncode == 0
        self.nodes = [self.node(f"node{n}", self.redis.seeds) for n in range(NODES)]
        self.load = witness.Load(self.nodes).start(readers_per_node=2, doors=2)
        self.ending.callback(self.load.stop)

    def node(self, name, seeds):
        folder = self.folder / name
        folder.mkdir()
        made = rig.Server(folder, "--redis", seeds, store=self.url)
        self.ending.callback(made.kill)
        return made.start()

    def sql(self, text):
        return self.postgres.sql(text, self.database)

    def await_calm(self):
        self.redis.await_whole()
        for node in self.nodes:
            await_cache(node, is_calm, CLOSES_WAIT_S)

    def close(self):
        self.ending.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    made = None
    try:
        made = Site(tmp_path_factory.mktemp("cache"))
        yield made
    finally:
        if made is not None:
            made.close()


@pytest.fixture
def calm(site):
    """The site when all is well, with a new account; judged once more when the test is through."""
    site.await_calm()
    site.load.mark()
    yield site
    site.await_calm()
    site.load.settle(5)
    found = site.load.check()
    print(f"{sum(found.done.values())} answers, slowest {found.slowest:.3f} s, "
          f"oldest {found.age_max:.3f} s")


# What a node tells of its cache.

def cache_of(node):
    with node.client() as client:
        return rig.ok(client.get("/v1/cache"))


def is_calm(cache):
    return cache["l2"]["nodes_open"] == 0 and cache["channel"]["state"] == "heard" \
        and cache["channel"]["pending"] == 0 and cache["mark"]["state"] == "settled"


def await_cache(node, want, seconds):
    return rig.eventually(lambda: cache_of(node), want, seconds)


def total(nodes, *path):
    """A counter of GET /v1/cache, summed over the nodes."""
    found = 0
    for node in nodes:
        value = cache_of(node)
        for name in path:
            value = value[name]
        found += value
    return found


def opens_and_closes(site, broken):
    """While `broken` is entered the breaker of every node opens; after it, all close again."""
    with broken:
        for node in site.nodes:
            await_cache(node, lambda cache: cache["l2"]["nodes_open"] > 0, OPENS_WAIT_S)
        site.load.look(BROKEN_S)
    for node in site.nodes:
        await_cache(node, lambda cache: cache["l2"]["nodes_open"] == 0, CLOSES_WAIT_S)


@contextlib.contextmanager
def stopped(nodes):
    """Half-open connections: the kernel still takes bytes, nobody reads them."""
    for node in nodes:
        node.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for node in nodes:
            node.signal(signal.SIGCONT)


@contextlib.contextmanager
def killed(nodes):
    """Gone, and then back with nothing."""
    for node in nodes:
        node.kill()
    try:
        yield
    finally:
        for node in nodes:
            node.start()


# Health first: what follows means little when nothing is cached.

def test_both_levels_serve_and_writes_show_everywhere(calm):
    before = [total(calm.nodes, level, "hits") for level in ("l1", "l2")]
    calm.load.settle()
    after = [total(calm.nodes, level, "hits") for level in ("l1", "l2")]
    assert after[0] > before[0] and after[1] > before[1]


def test_while_all_is_well_nothing_is_dropped_for_the_mark_in_the_database(calm):
    before = total(calm.nodes, "mark", "drops")
    calm.load.settle()
    assert total(calm.nodes, "mark", "drops") == before


def test_flushing_every_primary_again_and_again(calm):
    for _ in range(3):
        for primary in calm.redis.primaries():
            primary.cli("FLUSHALL")
            calm.load.look(0.3)
    calm.load.settle()


@pytest.mark.parametrize("seconds", [0.3, 2])
def test_a_primary_that_sleeps(calm, seconds):
    primary = calm.redis.owner(0)
    sleep = threading.Thread(target=primary.cli, args=("DEBUG", "SLEEP", seconds))
    sleep.start()
    calm.load.look(seconds + witness.BOUND_S)
    sleep.join()


def test_a_primary_that_hangs_opens_the_breaker_and_closes_it_when_it_is_back(calm):
    opens_and_closes(calm, stopped([calm.redis.owner(0)]))


def test_a_primary_that_is_killed_is_replaced(calm):
    victim = calm.redis.owner(0)
    with killed([victim]):
        redis_cluster.until(lambda: calm.redis.owner(0) is not victim)
        calm.load.settle()


def test_a_minority_that_is_killed_comes_back_with_nothing(calm):
    primary = calm.redis.owner(0)
    other = next(each for each in calm.redis.primaries() if each is not primary)
    opens_and_closes(calm, killed([primary, calm.redis.replica_of(other)]))


def test_all_that_hang_cost_nothing_but_the_second_level(calm):
    opens_and_closes(calm, stopped(calm.redis.nodes))


def test_all_that_are_killed_come_back_with_nothing(calm):
    opens_and_closes(calm, killed(calm.redis.nodes))


def test_slots_move_under_load(calm):
    moved = 0
    for primary in calm.redis.primaries():
        keys = [key for key in primary.cli("--scan").splitlines() if key.startswith(PREFIX + "k:")]
        target = next(each for each in calm.redis.primaries() if each is not primary)
        for key in keys[:2]:
            slot = primary.cli("CLUSTER", "KEYSLOT", key)
            if calm.redis.owner(int(slot)) is primary:
                calm.redis.move_slot(int(slot), target, lambda: calm.load.look(0.1))
                moved += 1
    assert moved > 0
    calm.load.settle()


# What lies in Redis is not believed.

def mix(total_, word):
    total_ = (total_ ^ word) * 0x9e3779b97f4a7c15 & (1 << 64) - 1
    return total_ ^ total_ >> 32


def envelope(key, payload, version=1 << 40):
    """What the client of Redis would take for its own; docs/cache.md has the format."""
    head = struct.pack(">3scQQ", b"tc1", b"v", 0x1234567890abcdef, version)
    sum_ = 0
    for part in (key, head, payload):
        sum_ = mix(sum_, len(part))
        whole = len(part) // 8 * 8
        for at in range(0, whole, 8):
            sum_ = mix(sum_, int.from_bytes(part[at:at + 8], "big"))
        sum_ = mix(sum_, int.from_bytes(part[whole:], "big"))
    return head + struct.pack(">Q", sum_) + payload


GARBAGE = {
    "noise": lambda key, old, other: os.urandom(200),
    "cut short": lambda key, old, other: old[:len(old) // 2],
    "a bit flipped": lambda key, old, other: old[:-1] + bytes([old[-1] ^ 1]),
    "another key's": lambda key, old, other: other,
    "nothing": lambda key, old, other: b"",
    "oversized": lambda key, old, other: b"x" * (2 << 20),
    "intact around noise": lambda key, old, other: envelope(key, os.urandom(64)),
    "intact around nothing": lambda key, old, other: envelope(key, b""),
}


REPLACE = """if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', 5000) return 1"""


def plant(cluster, spoil):
    """Puts garbage under every key that holds a value; how many."""
    planted = 0
    for primary in cluster.primaries():
        with primary.binary() as redis:
            values = {}
            for key in redis.command("KEYS", PREFIX + "k:*"):
                value = redis.command("GET", key)
                if isinstance(value, bytes) and value[3:4] == b"v":
                    values[key] = value
            others = list(values.values())
            for number, (key, value) in enumerate(values.items()):
                bad = spoil(key, value, others[number - 1])
                if bad != value:  # and only over that: a tombstone has to stay
                    planted += redis.command("EVAL", REPLACE, 1, key, value, bad)
    return planted


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_under_a_real_key_is_dropped_counted_and_never_served(calm, garbage):
    def dropped():
        seen = [cache_of(node) for node in calm.nodes]
        return sum(one["l2"]["corrupt"] + one["l2"]["oversized"] + one["reads"]["damaged"]
                   + sum(each["l2_damaged"] + each["l2_outdated"] for each in one["classes"])
                   for one in seen)
    before = dropped()

    def planted_and_met():
        plant(calm.redis, GARBAGE[garbage])
        return dropped() - before
    rig.eventually(planted_and_met, lambda count: count > 0, 60)
    calm.load.settle(5)


def test_a_key_of_another_type_harms_nobody(calm):
    for primary in calm.redis.primaries():
        with primary.binary() as redis:
            for key in redis.command("KEYS", PREFIX + "k:*"):
                redis.command("EVAL", "redis.call('DEL',KEYS[1]) redis.call('RPUSH',KEYS[1],'x')",
                              1, key)
    calm.load.settle()
    for primary in calm.redis.primaries():
        primary.cli("FLUSHALL")


# A node that cannot reach what the others share.

@pytest.mark.parametrize("where", ["nobody there", "not Redis", "one right among wrong ones"])
def test_a_node_with_wrong_addresses_serves_and_harms_nobody(calm, where):
    nobody = f"127.0.0.1:{redis_cluster.free_ports(1)[0]}"
    seeds = {"nobody there": nobody, "not Redis": f"127.0.0.1:{calm.nodes[0].port}",
             "one right among wrong ones": f"{nobody},{calm.redis.seeds.split(',')[0]}"}[where]
    lost = calm.node("lost " + where, seeds)
    load = witness.Load([*calm.nodes[:2], lost]).start(readers_per_node=1, doors=1)
    try:
        load.settle(10)
        load.look(2 * witness.BOUND_S)
    finally:
        load.stop()
    load.check()
    compare(calm, load, [*calm.nodes, lost])
    if where != "one right among wrong ones":  # the others learned of its writes by the database
        assert cache_of(lost)["mark"]["turns"] > 0
        for node in calm.nodes:
            await_cache(node, lambda cache: cache["mark"]["drops"] > 0, CLOSES_WAIT_S)
    lost.stop()


# The truth is where it always was.

def compare(site, load, nodes):
    """After the load has ended: the answers, the nodes' counters and the database agree."""
    where = f"event_id = (SELECT id FROM events WHERE code = '{load.venue.code}')"
    rows = site.sql(f"SELECT id, verdict FROM attendance_records WHERE {where}").splitlines()
    records = dict(row.split("|") for row in rows)
    acknowledged = {str(record): verdict for record, verdict in load.records.items()}
    assert records == acknowledged
    inside = int(site.sql("SELECT count(*) FROM ledger JOIN participants ON id = participant_id"
                          f" WHERE inside AND {where}"))
    verdicts = list(records.values())
    for node in nodes:
        with node.client() as client:
            rig.eventually(lambda: rig.ok(client.get(f"{load.path}/stats")), lambda stats: (
                stats["scans"], stats["refused"], stats["inside"]) == (
                len(verdicts), verdicts.count("refused"), inside))


def test_at_the_end_the_counters_equal_the_database(site):
    site.load.stop()
    site.load.check()
    assert site.load.records
    compare(site, site.load, site.nodes)
