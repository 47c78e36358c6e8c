# SPDX-License-Identifier: Apache-2.0
"""A steady mixed load over several nodes, and a witness of what it was told.

Every acknowledged write is noted with its time, on one clock: that of this process. A read is then
judged by when it began, so a slow machine can make a stale answer look fresh but never the other
way round:

  * nothing failed: every answer has the status that its question deserves, however long it took;
  * nothing stale: a read that began more than a second after a write was acknowledged shows that
    write or a later one, through whichever node it went;
  * nothing from nowhere: a read shows a value that somebody had begun to write;
  * nobody is admitted twice, and a refusal is not wrong for longer than that second.

Writers write in bursts and then rest, so that a stale answer has the time to be one. Nothing here
knows that there is a cache: it holds for any number of nodes of any kind.
"""

import collections
import random
import threading
import time

import rig

BOUND_S = 1.0       # what the product promises
PAUSE_S = 0.004     # of each thread between two requests: a steady load, not the most there can be
BURST = 3           # writes of one value close together, which races what is read in between;
REST_S = 2 * BOUND_S  # then none for so long: what is stale then would stay so
TIMEOUT_S = 20      # a request without an answer for so long has failed


class Register:
    """One value that one writer changes again and again: version 0 first, then 1, 2, …"""

    def __init__(self, name):
        self.name = name
        self.lock = threading.Lock()
        self.begun = [float("-inf")]
        self.acknowledged = [float("-inf")]

    @property
    def version(self):
        return len(self.acknowledged) - 1

    def begin(self, now):
        """The version to write. One at a time: `acknowledge` ends it."""
        with self.lock:
            assert len(self.begun) == len(self.acknowledged)
            self.begun.append(now)
            return len(self.begun) - 1

    def acknowledge(self, now):
        with self.lock:
            self.acknowledged.append(now)

    def judge(self, seen, begun, bound=BOUND_S):
        """What is wrong with a read that began then and, by now, has shown version `seen`."""
        with self.lock:
            if not 0 <= seen < len(self.begun):
                return f"{self.name}: version {seen} was never written"
            if seen + 1 < len(self.acknowledged):
                age = begun - self.acknowledged[seen + 1]
                if age > bound:
                    return (f"{self.name}: version {seen} shown {age:.3f} s after "
                            f"{seen + 1} of {self.version} was acknowledged")
        return None

    def age(self, seen, begun):
        """How long ago `seen` was overwritten when the read began; 0 when it was not."""
        with self.lock:
            if 0 <= seen and seen + 1 < len(self.acknowledged):
                return max(0.0, begun - self.acknowledged[seen + 1])
        return 0.0


class Count:
    """Something that only grows, written by many."""

    def __init__(self, name):
        self.name = name
        self.lock = threading.Lock()
        self.begun = 0
        self.acknowledged = []  # times, rising

    def begin(self):
        with self.lock:
            self.begun += 1

    def acknowledge(self):
        with self.lock:
            self.acknowledged.append(time.monotonic())

    def judge(self, seen, begun, bound=BOUND_S):
        with self.lock:
            if seen > self.begun:
                return f"{self.name}: {seen} shown, {self.begun} were begun"
            if seen < len(self.acknowledged):
                age = begun - self.acknowledged[seen]
                if age > bound:
                    return (f"{self.name}: {seen} shown {age:.3f} s after number {seen + 1} of "
                            f"{len(self.acknowledged)} was acknowledged")
        return None


class Found:
    """What the threads noticed since the last mark."""

    def __init__(self):
        self.lock = threading.Lock()
        self.failed, self.stale, self.wrong = [], [], []
        self.done = collections.Counter()
        self.age_max = 0.0
        self.slowest = 0.0

    def note(self, kind, text):
        with self.lock:
            getattr(self, kind).append(text)


class Link:
    """One keep-alive connection to one node; whatever is not answered as expected is noted."""

    def __init__(self, load, node):
        self.load, self.node = load, node
        self.client = None

    def ask(self, method, path, body=None, want=(200,)):
        """(the answer or None, when it was asked)."""
        begun = time.monotonic()
        found = self.load.found
        try:
            if self.client is None:
                self.client = self.node.client(timeout=TIMEOUT_S)
            content_type = rig.MERGE_PATCH if method == "PATCH" else None
            answer = self.client.request(method, path, body, content_type)
        except Exception as error:  # whatever it was, the request failed
            self.close()
            found.note("failed", f"{method} {path}: {error!r}")
            return None, begun
        took = time.monotonic() - begun
        with found.lock:
            found.slowest = max(found.slowest, took)
        if answer.status not in want:
            found.note("failed", f"{method} {path} after {took:.3f} s: {answer!r}")
            return None, begun
        return answer, begun

    def close(self):
        if self.client is not None:
            self.client.close()
            self.client = None


def version_of(text):
    """The number of "v17"; -1 for anything else."""
    return int(text[1:]) if text and text[:1] == "v" and text[1:].isdigit() else -1


class Load:
    """Writers, readers and doors over `nodes` (anything with client()); one event of its own.

    Each person, the event and each gate carry a version in a text field; readers look at every way
    to read it through every node. Doors scan, change what a scan is judged by, and scan again.
    """

    PEOPLE, GATES = 24, 3
    HOT = 0.5  # of the reads are of what is being written

    def __init__(self, nodes, seed=None):
        self.nodes = list(nodes)
        self.seed = seed if seed is not None else random.randrange(1 << 32)
        self.found = Found()
        self.ending = threading.Event()
        self.threads = []
        self.scans, self.refused = Count("scans"), Count("refused")
        self.records = {}  # record_id: verdict, of every acknowledged scan
        self._lock = threading.Lock()
        self._tokens = 0
        self._hot = 0  # who is being written, for readers to look at
        self._make()

    def _make(self):
        with self.nodes[0].client() as client:
            self.venue = rig.Venue(client, gates=(), name="v0")
            for n in range(self.GATES):
                self.venue.gate(f"g{n}", name="v0")
            self.people = [self.venue.person(f"person-{n}", name=f"Witness Person{n}",
                                             attention="v0") for n in range(self.PEOPLE)]
        self.path = self.venue.path
        self.event = Register("event")
        self.gates = [Register(f"gate g{n}") for n in range(self.GATES)]
        self.persons = [Register(f"person {n}") for n in range(self.PEOPLE)]

    # Life

    def start(self, readers_per_node=2, doors=2):
        works = [("write people", self._write_people), ("write the rest", self._write_rest)]
        works += [(f"read {n}.{k}", lambda chance, n=n: self._read(chance, n))
                  for n in range(len(self.nodes)) for k in range(readers_per_node)]
        works += [(f"door {n}", self._door) for n in range(doors)]
        for number, (name, work) in enumerate(works):
            chance = random.Random(f"{self.seed}-{number}")
            thread = threading.Thread(target=self._run, args=(name, work, chance), name=name)
            self.threads.append(thread)
            thread.start()
        return self

    def _run(self, name, work, chance):
        try:
            work(chance)
        except BaseException as error:  # a thread that is gone judges nothing
            self.found.note("wrong", f"thread {name!r} ended: {error!r}")

    def stop(self):
        self.ending.set()
        for thread in self.threads:
            thread.join()
        self.threads = []

    def mark(self):
        """Begins a new account."""
        self.found = Found()

    def check(self):
        """The account since the mark: nothing wrong, and everything was looked at everywhere."""
        found = self.found
        with found.lock:
            for kind in ("failed", "wrong", "stale"):
                seen = getattr(found, kind)
                assert not seen, (f"{len(seen)} {kind} of {sum(found.done.values())} "
                                  f"(seed {self.seed}): " + "; ".join(seen[:5]))
            missing = self._missing(found)
            assert not missing, f"never happened: {missing}"
        return found

    def _missing(self, found):
        wanted = [("read", n, what) for n in range(len(self.nodes)) for what in self.LOOKS]
        wanted += [("write", what) for what in ("person", "event", "gate")]
        wanted += [("scan", "admitted"), ("scan", "refused")]
        return [each for each in wanted if found.done[each] == 0]

    def look(self, seconds):
        """Lets the load run on for a while, which is no wait for anything."""
        self.ending.wait(seconds)

    def settle(self, more=20):
        """Lets it run until each way to read was gone at least `more` times through every node,
        and all that an account must have has happened since the mark."""
        found = self.found
        begun = found.done.copy()

        def all_seen():
            return not self._missing(found) and all(
                found.done[("read", n, what)] - begun[("read", n, what)] >= more
                for n in range(len(self.nodes)) for what in self.LOOKS)
        rig.eventually(all_seen, lambda seen: seen, timeout_s=60)

    def _did(self, *what):
        with self.found.lock:
            self.found.done[what] += 1

    def _links(self):
        return [Link(self, node) for node in self.nodes]

    def _turns(self):
        while not self.ending.wait(PAUSE_S):
            yield

    # Writers: each register has one writer, and one write at a time.

    def _write(self, link, register, what, method_path, field):
        version = register.begin(time.monotonic())
        answer, _ = link.ask("PATCH", method_path, {field: f"v{version}"})
        # One that failed may or may not have happened; the failure is what will be told.
        register.acknowledge(time.monotonic() if answer is not None else float("inf"))
        self._did("write", what)

    def _bursts(self, chance, registers):
        """Which of the registers to write next, for ever: bursts, and rests between them."""
        free_at = [0.0] * registers
        for _ in self._turns():
            now = time.monotonic()
            free = [n for n in range(registers) if free_at[n] <= now]
            if free:
                n = chance.choice(free)
                for _ in range(BURST):
                    yield n
                free_at[n] = time.monotonic() + REST_S

    def _write_people(self, chance):
        links = self._links()
        for n in self._bursts(chance, self.PEOPLE):
            self._hot = n
            path = f"{self.path}/participants/{self.people[n]['id']}"
            self._write(chance.choice(links), self.persons[n], "person", path, "attention")

    def _write_rest(self, chance):
        links = self._links()
        for n in self._bursts(chance, self.GATES + 1):
            if n == self.GATES:
                self._write(chance.choice(links), self.event, "event", self.path, "name")
            else:
                self._write(chance.choice(links), self.gates[n], "gate",
                            f"{self.path}/gates/g{n}", "name")

    # Readers.

    def _read(self, chance, node):
        link = Link(self, self.nodes[node])
        for _ in self._turns():
            what = chance.choice(self.LOOKS)
            n = self._hot if chance.random() < self.HOT else chance.randrange(self.PEOPLE)
            answer, begun = link.ask("GET", READS[what][0](self, n))
            if answer is not None:
                try:
                    pairs = READS[what][1](self, n, answer.json)
                except (KeyError, IndexError, TypeError, ValueError) as error:
                    self.found.note("wrong", f"{what} through node {node}: {error!r} in {answer!r}")
                    continue
                for register, seen in pairs:
                    self._judge(register, seen, begun, f"{what} through node {node}")
                self._did("read", node, what)

    def _judge(self, register, seen, begun, how):
        problem = register.judge(seen, begun)
        if problem is not None:
            never = "never" in problem or "begun" in problem
            self.found.note("wrong" if never else "stale", f"{how}: {problem}")
        if isinstance(register, Register):
            age = register.age(seen, begun)
            with self.found.lock:
                self.found.age_max = max(self.found.age_max, age)

    # Doors.

    def _scan(self, link, token, gate, direction="entry"):
        """(the reply or None, when it was asked)"""
        self.scans.begin()
        self.refused.begin()  # it may be
        answer, begun = link.ask("POST", f"{self.path}/checkins",
                                 {"token": token, "gate": gate, "direction": direction})
        if answer is None:
            return None, begun
        self._record(answer.json)
        return answer.json, begun

    def _record(self, reply):
        with self._lock:
            if reply["record_id"] in self.records:
                self.found.note("wrong", f"record {reply['record_id']} twice")
            self.records[reply["record_id"]] = reply["verdict"]
        self.scans.acknowledge()
        if reply["verdict"] == "refused":
            self.refused.acknowledge()
        self._did("scan", reply["verdict"])

    def _let_in(self, link, token, gate, lifted, reason):
        """Scans until admitted; refused for `reason` only within the bound after `lifted`."""
        while not self.ending.is_set():
            reply, begun = self._scan(link, token, gate)
            if reply is None or reply["verdict"] == "admitted":
                return reply is not None
            if reply["reason"] != reason:
                self.found.note("wrong", f"{token}: refused as {reply['reason']}, not {reason}")
                return False
            if begun - lifted > BOUND_S:
                self.found.note("stale", f"{token}: refused as {reason} {begun - lifted:.3f} s "
                                         "after that was lifted")
                return False
            self.ending.wait(0.05)
        return False

    def _refuse(self, link, token, gate, reason):
        """Scans once what must be refused: admission is the store's, so there is no bound."""
        reply, _ = self._scan(link, token, gate)
        if reply is not None and (reply["verdict"], reply["reason"]) != ("refused", reason):
            self.found.note("wrong", f"{token}: {reply['verdict']} {reply['reason']}, "
                                     f"not refused as {reason}")

    def _try_gate(self, link, gate):
        """(whether the gate is known, when it was asked); a scan of nobody, on record if it is."""
        self.scans.begin()
        self.refused.begin()
        answer, begun = link.ask("POST", f"{self.path}/checkins",
                                 {"token": "nobody", "gate": gate}, want=(200, 404))
        if answer is None:
            return None, begun
        if answer.status == 404:  # no record
            return False, begun
        self._record(answer.json)
        return True, begun

    def _new_gate(self, writer, links, gate):
        for each in links:
            known, _ = self._try_gate(each, gate)
            if known:
                self.found.note("wrong", f"gate {gate} is known before it is there")
        made, _ = writer.ask("POST", f"{self.path}/gates", {"code": gate, "name": gate},
                             want=(201,))
        added = time.monotonic()
        for each in links if made is not None else ():
            known, begun = self._try_gate(each, gate)
            while known is False and begun - added <= BOUND_S and not self.ending.wait(0.05):
                known, begun = self._try_gate(each, gate)
            if known is False and not self.ending.is_set():
                self.found.note("stale", f"gate {gate}: unknown {begun - added:.3f} s after it was "
                                         "added")

    def _door(self, chance):
        links = self._links()

        def link():
            return chance.choice(links)
        for _ in self._turns():
            with self._lock:
                self._tokens += 1
                token = f"late-{self._tokens}"
            if chance.random() < 0.1:
                self._new_gate(link(), links, f"new-{token}")
            gate = f"g{chance.randrange(self.GATES)}"
            for each in links:  # so that every node has heard of "no such token"
                self._refuse(each, token, gate, "unknown_token")
            made, _ = link().ask("POST", f"{self.path}/participants",
                                   {"token": token, "name": "Late Comer"}, want=(201,))
            if made is None or not self._let_in(link(), token, gate, time.monotonic(),
                                                "unknown_token"):
                continue
            self._refuse(link(), token, gate, "already_used")
            self._scan(link(), token, gate, "exit")
            path = f"{self.path}/participants/{made.json['id']}"
            blocked, _ = link().ask("PATCH", path, {"status": "blocked"})
            if blocked is not None:
                self._refuse(link(), token, gate, "blocked")
                self._refuse(link(), token, gate, "blocked")
            lifted, _ = link().ask("PATCH", path, {"status": "active"})
            if lifted is not None:
                self._let_in(link(), token, gate, time.monotonic(), "blocked")


# Every way to read a version: its path, and [(register, version seen)] of an answer.
def _one(load, n, item):
    return [(load.persons[n], version_of(item["attention"]))]


READS = {
    "person": (lambda load, n: f"{load.path}/participants/{load.people[n]['id']}",
               lambda load, n, body: _one(load, n, body)),
    "token": (lambda load, n: f"{load.path}/participants?token=person-{n}",
              lambda load, n, body: _one(load, n, body["items"][0])),
    "search": (lambda load, n: f"{load.path}/participants?q=witness%20person{n}",
               lambda load, n, body: _one(load, n, next(
                   item for item in body["items"] if item["token"] == f"person-{n}"))),
    "event": (lambda load, n: load.path,
              lambda load, n, body: [(load.event, version_of(body["name"]))]),
    "gates": (lambda load, n: f"{load.path}/gates",
              lambda load, n, body: [
                  (load.gates[int(item["code"][1:])], version_of(item["name"]))
                  for item in body["items"] if item["code"].startswith("g")]),
    "stats": (lambda load, n: f"{load.path}/stats",
              lambda load, n, body: [(load.scans, body["scans"])]),
}
Load.LOOKS = sorted(READS)
