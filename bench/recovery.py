# SPDX-License-Identifier: Apache-2.0
"""The three built-in repairs, each provoked for real on the whole of production on this machine
(tests/support/production.py): an index that is gone and statistics that are stale, more load than
two nodes are to have, and memory that leaks. From the moment when the figure crosses its threshold
to firing, to the first notice, to the action begun, until the figure is back, and until the journal
says that it helped. What is not repaired is no measurement."""

import datetime
import http.client
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import machine
from machine import Failed, ask, drive
from scale import CALM, EVENT, GATES, Load, PEOPLE, port_of, until
from table import LESS

ROOT = pathlib.Path(__file__).resolve().parent.parent
BENCH = ROOT / "bench"
sys.path.insert(0, str(ROOT / "tests" / "support"))
import production  # noqa: E402
from memory_group import MemoryGroup, Unavailable  # noqa: E402
from postgres_pair import DATABASE  # noqa: E402
from receivers import Hook  # noqa: E402

LOOK_S, WAIT_LOOK_S = 0.02, 0.5  # the second once nothing is left but to wait for a window's end
CROSS_S, REPAIR_S = 120, 480  # bounds, far from what it takes
# What is repaired before it was told is never told: nobody waits for company here.
NOTIFY = {"type": "webhook", "group_wait": "0s", "group_interval": "1s"}
COOLDOWN_S = 5  # so that a round need not wait long for the one before
COOLDOWN = f"{COOLDOWN_S}s"
JUDGED = {"better"}
NEVER_JUDGED = {"failed", "held", "advised", "interrupted", "no effect", "worse", "expired"}

SLOW_MS = 100  # what counts as a slow query
INDEX = "idx_attendance_participant_timestamp"
READERS, READ_PAUSE_S = 4, 0.02

CROWD_CONNECTIONS, CROWD_THRESHOLD = 128, 45  # of a node, on the average
CROWD = {"metric": "connections_total", "per": "healthy_nodes", "op": ">",
         "threshold": CROWD_THRESHOLD, "for": "0s", "severity": "warning", "action": "AUTO_SCALE",
         "cooldown": COOLDOWN}

LIMIT = 512 << 20  # of a node's memory
LEAK = 4096 + 16   # of a request, with what malloc adds
NEARLY, FULL = 89.4, 90
LEAK_PAUSE_S = 0.1


class Sizes:
    def __init__(self, quick):
        self.records = 300_000 if quick else 500_000
        self.rounds = 1 if quick else 3
        self.crowds = 1 if quick else 2
        self.read_on_s = 3 if quick else 10  # once mended
        # A quick run waits for no judgement, and for the end only where nodes are started anew.
        self.begun = Story.STEPS[:3] if quick else Story.STEPS
        self.ended = Story.STEPS[:4] if quick else Story.STEPS


def home_of(bench):
    home = pathlib.Path(tempfile.mkdtemp(prefix="turnout-recovery-", dir="/var/tmp"))
    home.chmod(0o755)
    bench.at_end(lambda: shutil.rmtree(home, ignore_errors=True))
    return home


def start_site(bench, binary, settings):
    """(production, the receiver of its notices)"""
    with bench.times.preparing():
        return start_site_of(bench, binary, settings)


def start_site_of(bench, binary, settings):
    hook = Hook()
    bench.at_end(hook.close)
    os.environ["TURNOUT_BIN"] = str(binary)
    site = production.Production(home_of(bench) / "site", settings={
        **CALM, "database": {"interval": "0s"}, "notify.bench": NOTIFY | {"url": hook.url},
        **settings})
    bench.at_end(site.stop)
    site.start()
    return site, hook


def make_event(bench, site):
    ask(site.front.port, "POST", "/v1/events", {"code": "demo", "name": "D", "reentry": "always"})
    for gate in range(1, GATES + 1):
        ask(site.front.port, "POST", f"{EVENT}/gates", {"code": f"g{gate:02d}"})
    drive(bench.drive, "import", site.front.port, connections=1, requests=PEOPLE // 1000)


# What happened when ------------------------------------------------------------------------------

def seconds_of(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def look(site, path):
    for controller in site.controllers:
        seen = site.get(controller.url, path)
        if seen is not None:
            return seen
    return None


def firing_since(site, rule):
    for item in (look(site, "/v1/alerts") or {"items": []})["items"]:
        if item["rule"] == rule and item["state"] == "firing":
            return seconds_of(item["since"])
    return None


def rows_since(site, mark, **wanted):
    """Of the journal, the oldest first."""
    items = (look(site, "/v1/actions?limit=200") or {"items": []})["items"]
    return [item for item in reversed(items)
            if int(item["id"]) > mark and wanted.items() <= item.items()]


def mark_of(site):
    items = look(site, "/v1/actions?limit=1")["items"]
    return int(items[0]["id"]) if items else 0


def notice_of(hook, rule, since):
    for one in hook.kept.all():
        alerts = json.loads(one["body"])["alerts"]
        if one["at"] >= since and any(alert["rule"] == rule and alert["state"] == "firing"
                                      for alert in alerts):
            return one["at"]
    return None


class Story:
    """Of one alert: seconds from its crossing on."""

    STEPS = ("firing", "noticed", "begun", "back", "judged")

    def __init__(self, site, hook, rule, action):
        self.site, self.hook, self.rule, self.action = site, hook, rule, action
        self.mark = mark_of(site)
        self.look_s = LOOK_S
        self.crossed = None
        self.at = {}
        self.row = None

    def follow(self, is_across, steps=STEPS):
        """`is_across()`: the figure is beyond its threshold, as it is at this very moment."""
        self._await(is_across, CROSS_S, "the figure never crossed its threshold")
        crossed = self.crossed = time.time()
        end = crossed + REPAIR_S
        while not self.at.keys() >= set(steps):
            if time.time() > end:
                raise Failed(f"{self.rule} was not repaired: {self.at} {self.row}")
            self._look(crossed, is_across)
            time.sleep(self.look_s)
        return {step: self.at[step] - crossed for step in steps}

    @staticmethod
    def _await(what, seconds, problem):
        end = time.time() + seconds
        while not what():
            if time.time() > end:
                raise Failed(problem)
            time.sleep(LOOK_S)

    def _note(self, step, when):
        if when is not None:
            self.at.setdefault(step, when)

    def _look(self, crossed, is_across):
        if "firing" not in self.at:
            self._note("firing", firing_since(self.site, self.rule))
        if "noticed" not in self.at:
            self._note("noticed", notice_of(self.hook, self.rule, crossed))
        rows = [row for row in rows_since(self.site, self.mark, action=self.action)
                if row["evidence"].get("rule") == self.rule]
        if not rows:
            return
        self.row = rows[0]
        if self.row["outcome"] in NEVER_JUDGED:
            raise Failed(f"{self.rule} was not repaired: {self.row}")
        self._note("begun", seconds_of(self.row["at"]))
        if is_across():
            self.at.pop("back", None)  # not for good
        else:
            self._note("back", time.time())
        if self.row["outcome"] in JUDGED:
            self._note("judged", time.time())


WORDS = {"firing": "to firing", "noticed": "to the first notice at the receiver",
         "begun": "to {action} begun", "back": "until the figure is below for good",
         "judged": "until the journal says better"}


class InBackground(threading.Thread):
    """What goes on beside the scenarios that follow."""

    def __init__(self, act):
        super().__init__(daemon=True)
        self.act, self.result, self.failure = act, None, None
        self.start()

    def run(self):
        try:
            self.result = self.act()
        except BaseException as failure:  # told to who waits
            self.failure = failure

    def check(self):
        if self.failure is not None:
            raise self.failure

    def finish(self):
        self.join()
        self.check()
        return self.result


def add_rows(table, what, action, stories):
    for step in stories[0]:
        table.add_values(f"{what}: {WORDS[step].format(action=action)}", "s",
                         [story[step] for story in stories])


def add_sheet(table, what, told, rows):
    """How the rule stood, and what the journal says of each round."""
    table.add_sheet(f"{what}: {told}", ["round", "outcome", "what was done"],
                    [[number, row["outcome"], row["detail"]]
                     for number, row in enumerate(rows, 1)])


# Slow queries ------------------------------------------------------------------------------------

class Readers:
    """The records of one person after the other, until the end of the block."""

    def __init__(self, site, people):
        self.port, self.people = site.front.port, people
        self.ending = threading.Event()
        self.failed, self.took = [], []
        self.threads = [threading.Thread(target=self._read, args=(number,))
                        for number in range(READERS)]

    def _read(self, number):
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        while not self.ending.is_set():
            for person in self.people[number::READERS]:
                if self.ending.wait(READ_PAUSE_S):
                    break
                begun = time.time()
                link.request("GET", f"{EVENT}/attendance?participant={person}&limit=20")
                answer = link.getresponse()
                text = answer.read()
                now = time.time()
                self.took.append((now, now - begun))
                if answer.status != 200:
                    self.failed.append(f"{answer.status} {text[:200]!r}")
        link.close()

    def median_ms(self, since, until):
        took = sorted(took for at, took in self.took if since <= at <= until)
        if not took:
            raise Failed("nobody read anything")
        return 1000 * took[len(took) // 2]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join()


def slow_count(site):
    """Of all nodes, since they started."""
    return sum(int(count) for node in site.started() for count in
               re.findall(r"^turnout_store_slow_operations_total\{[^}]*\} (\d+)",
                          ask(port_of(node), "GET", "/metrics"), re.M))


def sql(site, text, **variables):
    sets = "".join(f"\\set {name} {value}\n" for name, value in variables.items())
    return site.postgres.primary.sql(sets + text, DATABASE, "turnout", seconds=900)


LEAVES = "SELECT inhrelid::regclass FROM pg_inherits" \
         " WHERE inhparent = 'attendance_records'::regclass"
# Who made the statistics saw empty tables, and autovacuum does not mend it first.
STALE = f"""SELECT format('ALTER TABLE %s SET (autovacuum_enabled = off)', leaf)
FROM ({LEAVES}) AS l(leaf)
\\gexec
ANALYZE attendance_records;
"""


def fill(site, records):
    """Records of eight quarters under every declared index but one, and stale statistics."""
    sizes = {"records": records, "people": PEOPLE, "gates": GATES, "hours": 1}
    sql(site, (BENCH / "fill_records.sql").read_text(), **sizes)
    sql(site, STALE)
    for part in (0, 1):
        sql(site, (BENCH / "fill_part.sql").read_text(), part=part, **sizes)
    site.turnout("db", "indexes")
    sql(site, f"DROP INDEX {INDEX}")
    return sql(site, "SELECT id FROM participants ORDER BY id LIMIT 400").split()


class Slow:
    """More than ten slow queries within five minutes, by the nodes' own counters."""

    WINDOW_S = 300

    def __init__(self, site, before):
        self.site, self.seen = site, [(time.time(), before)]

    def __call__(self):
        now = time.time()
        if now - self.seen[-1][0] >= 5 * LOOK_S:
            self.seen.append((now, slow_count(self.site)))
        old = [count for at, count in self.seen if at <= now - self.WINDOW_S]
        return self.seen[-1][1] - (old[-1] if old else self.seen[0][1]) > 10


class SlowQueries:
    """A dropped index and stale statistics. When they are mended nothing reads any more, and the
    window of five minutes runs off beside the scenarios that follow."""

    def __init__(self, bench):
        self.bench = bench
        self.site, hook = start_site(bench, bench.turnout, {
            "alert.database_slow_query": {"disabled": "no", "cooldown": COOLDOWN}})
        with bench.times.preparing():
            self.people = fill(self.site, Sizes(bench.quick).records)
        self.story = Story(self.site, hook, "database_slow_query", "OPTIMIZE_QUERIES")
        self.is_across = Slow(self.site, slow_count(self.site))
        self.readers = Readers(self.site, self.people)

    def _is_mended(self):
        self.told.check()
        steps = {(row["action"], row["target"], row["outcome"])
                 for row in rows_since(self.site, self.story.mark, system="database")}
        return ("build index", INDEX, "better") in steps and \
            any(action == "maintain tables" for action, _, _ in steps)

    def provoke(self):
        """Until it is mended, and a while longer."""
        begun, read_on_s = time.time(), Sizes(self.bench.quick).read_on_s
        self.told = InBackground(lambda: self.story.follow(self.is_across))
        with self.readers as readers:
            end = begun + REPAIR_S
            while not self._is_mended():
                if time.time() > end:
                    raise Failed("the optimizer did not mend what was broken")
                time.sleep(0.2)
            time.sleep(read_on_s)
        if readers.failed:
            raise Failed(f"reads failed: {readers.failed[:3]}")
        if "firing" not in self.story.at:
            raise Failed(f"mended without an alert: {self.story.at}")
        self.story.look_s = WAIT_LOOK_S
        self.medians = (readers.median_ms(begun, self.story.at["firing"]),
                        readers.median_ms(time.time() - read_on_s, time.time()))
        self.fast_s = max(at for at, took in readers.took if 1000 * took > SLOW_MS) \
            - self.story.crossed

    def finish(self):
        """When the window has run off and the journal has judged, or at once in a quick run."""
        if self.bench.quick:
            seen = {step: self.story.at[step] - self.story.crossed
                    for step in Sizes(True).begun}
        else:
            seen = self.told.finish()
        self.site.stop()
        what, table = "slow queries", self.bench.table
        add_rows(table, what, "OPTIMIZE_QUERIES", [seen])
        table.add_values(f"{what}: until the last one that took over {SLOW_MS} ms", "s",
                         [self.fast_s])
        before, after = self.medians
        table.add_pairs(f"{what}: a person's records once mended, p50", "ms", [(after, before)],
                        "without the index")
        add_sheet(table, what, "database_slow_query, slow_query_count > 10 within 300 s, for 0s,"
                  f" cooldown {COOLDOWN}, group_wait 0s; judged when it is calm", [self.story.row])


def slow_queries(bench):
    """A dropped index and stale statistics."""
    provoked = SlowQueries(bench)
    provoked.provoke()
    bench.loose_ends.append(provoked.finish)


# Load --------------------------------------------------------------------------------------------

def scale_out(bench, site, hook):
    site.want(2, 4, **{"alert.crowd": CROWD, "recovery": {"budget": 64, "verify": "10s"}})
    site.reaches(2)
    time.sleep(COOLDOWN_S)  # the action was run when the nodes began
    story = Story(site, hook, "crowd", "AUTO_SCALE")

    def is_crowded():
        nodes = site.started()
        return sum(connections_of(node) for node in nodes) > CROWD_THRESHOLD * len(nodes)

    def has_grown():
        return len(site.front.serving()) >= 3
    crowd = machine.Process([bench.drive, "scan", "--port", site.front.port, "--connections",
                             CROWD_CONNECTIONS, "--seconds", 3600, "--people", PEOPLE - 1000,
                             "--tag", f"{time.time_ns():x}"], bench.path("drive.log"))
    try:
        seen = story.follow(is_crowded, Sizes(bench.quick).begun)
        if crowd.process.poll() is not None:
            raise Failed(f"the crowd ended: {crowd.tail()}")
        until(has_grown)
    finally:
        crowd.kill()
    return seen, story.row


def connections_of(node):
    found = re.search(r"^turnout_http_connections (\d+)", ask(port_of(node), "GET", "/metrics"),
                      re.M)
    return int(found[1]) if found else 0


def more_load(bench):
    """More connections than two nodes are to have. Each round has a production of its own: a
    controller remembers for long how an action went before."""
    told = []
    for _ in range(Sizes(bench.quick).crowds):
        site, hook = start_site(bench, bench.turnout, {})
        try:
            make_event(bench, site)
            told.append(scale_out(bench, site, hook))
        finally:
            site.stop()
    stories, rows = zip(*told)
    add_rows(bench.table, "load beyond two nodes", "AUTO_SCALE", stories)
    add_sheet(bench.table, "load beyond two nodes", f"a rule crowd, connections_total /"
              f" healthy_nodes > {CROWD_THRESHOLD}, for 0s, cooldown {COOLDOWN}, verify 10s,"
              f" group_wait 0s; {CROWD_CONNECTIONS} scanners in a closed loop", rows)


# Memory ------------------------------------------------------------------------------------------

def leaking(bench):
    """A build whose every request keeps 4 KB."""
    with bench.times.preparing():
        done = subprocess.run([ROOT / "tools" / "build", "plant-leak", "turnout"], check=False,
                              capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"no build with the leak: {done.stderr[-2000:]}")
    return ROOT / "build-plant-leak" / "turnout"


def leak_until(bench, node, group, percent):
    while (lack := percent - group.percent()) > 0.05:
        requests = max(50, int(lack / 100 * LIMIT / LEAK))
        drive(bench.drive, "get", port_of(node), connections=16, requests=requests, path=EVENT)


def restart_nodes(bench, site, hook, groups):
    """Each node has its group by the name of its slot; who takes over from it is in it as well."""
    nodes = site.reaches(2)
    for node in nodes:
        leak_until(bench, node, groups[node.name], NEARLY)
    story = Story(site, hook, "memory_usage_high", "RESTART_SERVICE")
    with Load(site.front.port, LEAK_PAUSE_S) as load:
        seen = story.follow(lambda: any(group.percent() > FULL for group in groups.values()),
                            Sizes(bench.quick).ended)
        load.goes_on(50)
    after = site.reaches(2)
    anew = sum(now.pid != then.pid for now, then in zip(after, nodes))
    if anew == 0:
        raise Failed("no node was started anew")
    return seen, len(load.failed), anew, max(groups[node.name].percent() for node in after), \
        story.row


def leak_round(bench, binary):
    settings = {"alert.memory_usage_high": {"cooldown": COOLDOWN},
                "recovery": {"budget": 64, "verify": "10s", "restart_after": "5s"}}
    site, hook = start_site(bench, binary, settings)
    groups = {}
    try:
        make_event(bench, site)
        for node in site.reaches(2):
            groups[node.name] = MemoryGroup(node.name, LIMIT)
            groups[node.name].add(node.pid)
        return restart_nodes(bench, site, hook, groups)
    except Unavailable as error:
        raise Failed(f"no limit of memory can be set: {error}") from None
    finally:
        site.stop()
        for group in groups.values():
            group.remove()


def memory(bench):
    """A leak, under a limit of memory that each node has for itself."""
    binary = leaking(bench)
    told = [leak_round(bench, binary) for _ in range(Sizes(bench.quick).rounds)]
    stories, failed, anew, left, rows = zip(*told)
    what = "a memory leak"
    add_rows(bench.table, what, "RESTART_SERVICE", stories)
    bench.table.add_values(f"{what}: nodes started anew, one after the other", "", anew)
    bench.table.add_values(f"{what}: memory of the fuller node afterwards", "%", left)
    bench.table.add_values(f"{what}: requests failed, of all rounds", "", [sum(failed)], (LESS, 0))
    add_sheet(bench.table, what, f"memory_usage_high, memory_usage > {FULL}, for 0s, cooldown"
              f" {COOLDOWN}, verify 10s, group_wait 0s; each node with a limit of"
              f" {LIMIT >> 20} MiB, 4 KB leak with each request", rows)


SCENARIOS = {"recovery_queries": slow_queries, "recovery_load": more_load,
             "recovery_memory": memory}
