# SPDX-License-Identifier: Apache-2.0
"""Balancing and scaling: the whole of production on this machine (tests/support/production.py), a
node killed and frozen under load, two nodes that become four and two again, where keys are kept,
and what more nodes and a hop through HAProxy are worth."""

import contextlib
import http.client
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import sys
import tempfile
import threading
import time

import machine
from machine import Failed, ask, drive
from table import LESS

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))
import processes  # noqa: E402
import production  # noqa: E402

EVENT = "/v1/events/demo"
PEOPLE, GATES = 20_000, 40
STREAMS, PAUSE_S = 8, 0.01  # of the load that counts failures: it is no race
WAIT_S = 120
# How many nodes there are is decided by `scaler.min` and `scaler.max`, or by the rule `crowd`:
# the CPU is the machine's, which the load and the database use as well.
CALM = {
    "auth": {"mode": "off"},
    "cluster": {"life": "4s"},
    "haproxy": {"drain": "10s"},
    "recovery": {"budget": 64},
    "scaler": {"up_cpu": 100, "up_memory": 100, "down_cpu": 0, "down_memory": 0, "up_factor": 2},
    "alert.high_response_time": {"disabled": "yes"},
    "alert.database_slow_query": {"disabled": "yes"},
    "alert.memory_usage_high": {"disabled": "yes"},
}
CROWD_CONNECTIONS = 20  # of a node, above which the rule asks for more nodes
CROWD = {"alert.crowd": {"metric": "node_connections", "op": ">", "threshold": CROWD_CONNECTIONS,
                         "for": "0s", "severity": "info", "action": "AUTO_SCALE",
                         "cooldown": "1s"}}  # the journal remembers the round before


class Sizes:
    def __init__(self, quick):
        self.rounds = 1 if quick else 3
        self.counts = 1 if quick else 2
        self.pairs = 1 if quick else 2
        self.hops = 1 if quick else 5
        self.hop_s = 1
        self.seconds = 1 if quick else 2
        self.keys = 3000  # three times what one L1 holds, less than four of them do


class Load:
    """Scans with nonces and reads through HAProxy, until the end of the block; who fails is kept.
    Everybody on a stream comes and goes in turn."""

    runs = itertools.count(1)

    def __init__(self, port, pause_s=PAUSE_S):
        self.port, self.run, self.pause_s = port, next(self.runs), pause_s
        self.failed, self.answered, self.longest_s = [], 0, 0.0
        self.ending = threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._stream, args=(number,))
                        for number in range(STREAMS)]

    def _stream(self, number):
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        for turn in itertools.count():
            if self.ending.is_set() and turn % 2 == 0:
                break
            token = f"demo-{PEOPLE - number:06d}"
            scan = {"token": token, "gate": "g01", "direction": ("entry", "exit")[turn % 2],
                    "nonce": f"{self.run}-{number}-{turn}"}
            self._ask(link, "POST", f"{EVENT}/checkins", scan)
            self._ask(link, "GET", f"{EVENT}/participants?token={token}")
            self._ask(link, "GET", f"{EVENT}/stats")
            time.sleep(self.pause_s)
        link.close()

    def _ask(self, link, method, path, body=None):
        begun = time.monotonic()
        try:
            link.request(method, path, body and json.dumps(body),
                         {"Content-Type": "application/json"} if body else {})
            answer = link.getresponse()
            text = answer.read()
            problem = None if answer.status == 200 else f"{answer.status} {text[:200]!r}"
        except (OSError, http.client.HTTPException) as error:
            problem = repr(error)
            link.close()
        took_s = time.monotonic() - begun
        with self.lock:
            self.answered += 1
            self.longest_s = max(self.longest_s, took_s)
            if problem is not None:
                self.failed.append(f"{method} {path}: {problem}")

    def goes_on(self, count=500):
        wanted, end = self.answered + count, time.monotonic() + WAIT_S
        while self.answered < wanted:
            if time.monotonic() > end:
                raise Failed(f"the load stands still: {self.failed[:3]}")
            time.sleep(0.01)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.goes_on()
        return self

    def __exit__(self, kind, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join()
        for failure in self.failed[:5]:
            print(f"    failed: {failure}", file=sys.stderr, flush=True)


def make_site(bench):
    """Production with the demo event, shared by the set; its disk is a real one."""
    if getattr(bench, "production", None) is None:
        home = pathlib.Path(tempfile.mkdtemp(prefix="turnout-scale-", dir="/var/tmp"))
        home.chmod(0o755)
        bench.at_end(lambda: shutil.rmtree(home))
        os.environ["TURNOUT_BIN"] = str(bench.turnout)
        site = production.Production(home / "site", settings=CALM)
        bench.at_end(site.stop)
        site.start()
        # Each run finds people where the one before left them: whoever comes is let in.
        ask(site.front.port, "POST", "/v1/events",
            {"code": "demo", "name": "Demo", "reentry": "always"})
        for gate in range(1, GATES + 1):
            ask(site.front.port, "POST", f"{EVENT}/gates", {"code": f"g{gate:02d}"})
        drive(bench.drive, "import", site.front.port, connections=1, requests=PEOPLE // 1000)
        bench.production = site
    return bench.production


def site_of(bench):
    with bench.times.preparing():
        return make_site(bench)


def until(what, seconds=WAIT_S, pause=0.005):
    """When `what()` held, on the monotonic clock."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise Failed(f"not within {seconds} s: {what.__name__}")
        time.sleep(pause)
    return time.monotonic()


def bring(site, count, **settings):
    try:
        site.want(count, **settings)
        return site.reaches(count)
    except AssertionError as failure:
        raise Failed(str(failure)) from None


# A node that dies --------------------------------------------------------------------------------

def lose(bench, how):
    """(requests that failed, seconds until it got no traffic, the longest wait) of one node."""
    site = site_of(bench)
    victim = bring(site, 2)[0]
    site.want(2, 4)

    def is_out():
        backends = site.front.servers().get(victim.server, {})
        return not any(status.startswith("UP") for status in backends.values())
    with Load(site.front.port) as load:
        begun = time.monotonic()
        os.kill(victim.pid, how)
        out_s = until(is_out) - begun
        load.goes_on()
        try:
            until(lambda: len(site.front.serving() - {victim.server}) == 2)
        except Failed as failure:
            raise Failed(f"{failure}: {site.front.servers()}") from None
    if how == signal.SIGSTOP:
        os.kill(victim.pid, signal.SIGKILL)
    return len(load.failed), out_s, load.longest_s


def node_lost(bench):
    """A node killed, and one frozen, under scans with nonces and reads."""
    for word, how in (("killed", signal.SIGKILL), ("frozen", signal.SIGSTOP)):
        seen = [lose(bench, how) for _ in range(Sizes(bench.quick).rounds)]
        failed, out_s, longest_s = zip(*seen)
        bench.table.add_values(f"node {word} under load: requests failed, of all rounds", "",
                               [sum(failed)], (LESS, 0))
        bench.table.add_values(f"node {word}: until it gets no traffic", "s", out_s, (LESS, 3))
        bench.table.add_values(f"node {word}: the longest that a request took", "s", longest_s)


# The number of nodes -----------------------------------------------------------------------------

def grow(bench):
    """(seconds from the threshold to four that serve, requests failed, those while two go)."""
    site = site_of(bench)
    bring(site, 2)
    site.want(2, 4, **CROWD)

    def is_answered():
        return site.get(site.controllers[0].url, "/v1/alerts") is not None

    def is_crowded():
        return most_connections(site) > CROWD_CONNECTIONS

    def are_four():
        return len(site.front.serving()) == 4
    until(is_answered)
    crowd = machine.Process([bench.drive, "scan", "--port", site.front.port, "--connections", 128,
                             "--seconds", 3600, "--people", PEOPLE - 1000,
                             "--tag", f"{time.time_ns():x}"],
                            bench.path("drive.log"))
    try:
        with Load(site.front.port) as out:
            begun = until(is_crowded)
            serving_s = until(are_four) - begun
            out.goes_on()
        if crowd.process.poll() is not None:
            raise Failed(f"the crowd ended: {crowd.tail()}")
    finally:
        crowd.kill()
    with Load(site.front.port) as down:
        bring(site, 2)
        down.goes_on()
    return serving_s, len(out.failed), len(down.failed)


def most_connections(site):
    """What the nodes themselves say, asked faster than the controller does."""
    found = [re.search(r"^turnout_http_connections (\d+)", ask(port_of(node), "GET", "/metrics"),
                       re.M) for node in site.started()]
    return max((int(one[1]) for one in found if one), default=0)


def port_of(node):
    return int(node.url.rpartition(":")[2])


def node_count(bench):
    """From two nodes to four when their connections pass a threshold, and back."""
    serving_s, out, down = zip(*[grow(bench) for _ in range(Sizes(bench.quick).counts)])
    table = bench.table
    table.add_values("2 nodes become 4: from the threshold to serving", "s", serving_s, (LESS, 10))
    table.add_values("2 nodes become 4: requests failed, of all rounds", "", [sum(out)], (LESS, 0))
    table.add_values("4 nodes become 2: requests failed, of all rounds", "", [sum(down)],
                     (LESS, 0))


# Where keys are kept -----------------------------------------------------------------------------

LOOK_UPS = """
math.randomseed(1)
request = function()
    local token = string.format("demo-%06d", math.random(1, {keys}))
    return wrk.format("GET", "{event}/participants?token=" .. token)
end
"""
HASHING = re.compile(r"    balance hash var\(txn\.key\)\n.*?hash-balance-factor \d+\n", re.S)


COUNTS = re.compile(r'^turnout_cache_class_(hits|misses)_total\{([^}]*)\} (\d+)', re.M)


def l1_counts(site):
    """Hits and misses in L1 of look-ups of people, at all nodes."""
    counts = {"hits": 0, "misses": 0}
    for node in site.started():
        for word, labels, count in COUNTS.findall(ask(port_of(node), "GET", "/metrics")):
            if 'class="participant"' in labels and 'level="l1"' in labels:
                counts[word] += int(count)
    return counts["hits"], counts["misses"]


def look_up(bench, site, config):
    """Hits of L1 for each hundred look-ups of people, with HAProxy configured like that."""
    sizes = Sizes(bench.quick)
    site.front.stop()
    site.front.write(config)
    site.front.start()
    site.reaches(4)
    script = bench.path("look_ups.lua")
    script.write_text(LOOK_UPS.format(keys=sizes.keys, event=EVENT))
    words = ["wrk", "-t1", "-c32", "-s", script, site.front.url]
    machine.run([*words[:-1], f"-d{sizes.seconds}s", words[-1]])  # fills what there is to fill
    before = l1_counts(site)
    output = machine.run([*words[:-1], f"-d{sizes.seconds}s", words[-1]])
    hits, misses = (now - then for now, then in zip(l1_counts(site), before))
    if "Non-2xx" in output or "Socket errors" in output or hits + misses < 1000:
        raise Failed(f"{hits} hits and {misses} misses: {output}")
    return 100 * hits / (hits + misses)


def locality(bench):
    """Look-ups of three times as many people as one L1 holds, through four nodes."""
    site = site_of(bench)
    bring(site, 4)
    ours = (site.front.folder / "haproxy.cfg").read_text()
    theirs, count = HASHING.subn("    balance roundrobin\n", ours)
    if count != 1:
        raise Failed("the written haproxy.cfg has no hashing to take out")
    pairs = bench.rounds(lambda: (look_up(bench, site, ours), look_up(bench, site, theirs)),
                         Sizes(bench.quick).pairs)
    site.front.stop()
    site.front.write(ours)
    site.front.start()
    bench.table.add_pairs("L1 hits of look-ups at 4 nodes, consistent hashing", "%", pairs,
                          "round robin")


# What more nodes and a hop are worth -------------------------------------------------------------

def cpu_s(pids):
    """{pid: user and system time of all its threads until now} of those that still run: PostgreSQL
    has workers that come and go."""
    found = {}
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            found[pid] = (int(fields[11]) + int(fields[12])) / machine.TICKS
    return found


def parts_of(site):
    """{name: pids} of what a request goes through."""
    servers = [pid for server in site.postgres.servers
               for pid in (server.process.pid, *processes.children(server.process.pid))]
    return {"nodes": [node.pid for node in site.started()],
            "HAProxy": [site.front.process.pid], "PostgreSQL": servers,
            "Redis": [node.process.pid for node in site.redis.nodes]}


def scan_rate(bench, site):
    """(check-ins a second through HAProxy, {part: cores it used})."""
    parts = parts_of(site)
    before = {name: cpu_s(pids) for name, pids in parts.items()}
    begun = time.monotonic()
    seen = drive(bench.drive, "scan", site.front.port, connections=64, people=PEOPLE, gates=GATES,
                 seconds=Sizes(bench.quick).seconds, tag=f"{time.time_ns():x}")
    took_s = time.monotonic() - begun
    after = {name: cpu_s(before[name]) for name in parts}
    return seen["items_per_s"], {name: sum(now - before[name][pid]
                                           for pid, now in after[name].items()) / took_s
                                 for name in parts}


def read_rate(bench, port, connections, seconds):
    return drive(bench.drive, "get", port, connections=connections, path=EVENT, seconds=seconds)


def throughput(bench):
    """Check-ins and reads of 1, 2 and 4 nodes, and who used the cores."""
    site, sizes, counts = site_of(bench), Sizes(bench.quick), (1, 2, 4)
    scans, reads, cores = ({count: [] for count in counts} for _ in range(3))
    for number in range(sizes.pairs):
        # Back and forth, so that few nodes come and go.
        for count in counts[::1 if number % 2 else -1]:
            bring(site, count)
            rate, used = scan_rate(bench, site)
            scans[count].append(rate)
            cores[count].append(used)
            reads[count].append(
                read_rate(bench, site.front.port, 64, sizes.seconds)["items_per_s"])
    for name, rates in (("check-ins", scans), ("reads of an event", reads)):
        bench.table.add_values(f"{name} through HAProxy, 1 node", "1/s", rates[1])
        for count in counts[1:]:
            bench.table.add_pairs(f"{name} through HAProxy, {count} nodes", "1/s",
                                  list(zip(rates[count], rates[1])), "1 node")
    rows = [[f"{count}", *(round(sum(each[part] for each in cores[count]) / len(cores[count]), 2)
                           for part in cores[count][0])] for count in counts]
    bench.table.add_sheet("Cores used during check-ins; the load generator has the rest",
                          ["nodes", *cores[1][0]], rows)


def hop(bench):
    """The same request through HAProxy and straight to the node."""
    site, sizes = site_of(bench), Sizes(bench.quick)
    [node] = bring(site, 1)
    for connections in (1, 64):
        pairs = bench.rounds(
            lambda: tuple(read_rate(bench, port, connections, sizes.hop_s)["p50_us"]
                          for port in (site.front.port, port_of(node))),
            sizes.hops)
        bench.table.add_pairs(f"a read through HAProxy, {connections} connections, p50", "µs",
                              pairs, "straight to the node")


# In an order in which few nodes come and go. They are killed last: the provider lets one that died
# again and again rest before it starts anew.
SCENARIOS = {"scale_count": node_count, "scale_locality": locality,
             "scale_throughput": throughput, "scale_hop": hop, "scale_lost": node_lost}
