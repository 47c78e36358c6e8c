# SPDX-License-Identifier: Apache-2.0
"""A crowd at the doors of several nodes while the store has trouble.

Each scanner sends scans with nonces and, as a scanner does, asks again with the same nonce, at the
next node, until it has an answer. Every person is scanned by two scanners, so that admitting twice
is tried all the time. What was answered is then compared with what is stored.
"""

import collections
import http.client
import threading
import time

import rig

SCANNERS = 6
PATIENCE_S = 120  # for the last scans: only a store that does not come back needs so long
PAUSE_S = 0.02  # between two tries of one scan that was not decided


class Crowd:
    def __init__(self, nodes, people=6000):
        self.nodes = nodes
        with nodes[0].client() as client:
            self.venue = rig.Venue(client, gates=("g1",), reentry="none")
            self.tokens = self.venue.crowd(people)
        self.lock = threading.Lock()
        self.acknowledged = {}                # nonce: (record id, verdict)
        self.by_node = collections.Counter()  # decided scans
        self.statuses = collections.Counter()
        self.wrong = []
        self.over = threading.Event()
        self.over_at = None
        self.threads = [threading.Thread(target=self._scan, args=(number,))
                        for number in range(SCANNERS)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over_at = time.monotonic()
        self.over.set()
        for thread in self.threads:
            thread.join()

    def _scan(self, number):
        try:
            # Scanners n and n + half meet the same people, in the same order.
            half = SCANNERS // 2
            for place, token in enumerate(self.tokens[number % half::half]):
                if self.over.is_set():
                    return
                self._decide({"token": token, "gate": "g1", "nonce": f"{number}-{place}"},
                             number + place)
            self._note("the people ran out: this crowd needs more")
        except Exception as error:
            self._note(f"scanner {number}: {error!r}")

    def _note(self, text):
        with self.lock:
            self.wrong.append(text)

    def _decide(self, scan, turn):
        """Until it is decided, also when the crowd is over meanwhile."""
        while self.over_at is None or time.monotonic() - self.over_at < PATIENCE_S:
            node = turn % len(self.nodes)
            answer = self._ask(node, scan)
            if answer is not None and answer.status == 200:
                seen = (answer.json["record_id"], answer.json["verdict"])
                with self.lock:
                    self.acknowledged[scan["nonce"]] = seen
                    self.by_node[node] += 1
                return
            turn += 1
            time.sleep(PAUSE_S)
        self._note(f"{scan} has no answer {PATIENCE_S} s behind the end")

    def _ask(self, node, scan):
        client = self.nodes[node].client(timeout=20)
        try:
            answer = client.post(f"{self.venue.path}/checkins", scan)
        except (OSError, http.client.HTTPException) as error:
            with self.lock:
                self.statuses[type(error).__name__] += 1
            return None
        finally:
            client.close()
        with self.lock:
            self.statuses[answer.status] += 1
        if answer.status != 200 and (answer.status != 503 or "retry-after" not in answer.headers):
            self._note(f"{answer.status} {answer.body[:200]!r}")
        return answer

    def count(self, node=None):
        with self.lock:
            return len(self.acknowledged) if node is None else self.by_node[node]

    def wait_more(self, count, seconds=60, nodes=None):
        """Until each of these nodes has decided `count` more scans."""
        which = range(len(self.nodes)) if nodes is None else nodes
        before = {node: self.count(node) for node in which}
        rig.eventually(lambda: {node: self.count(node) - before[node] for node in which},
                       lambda now: min(now.values()) >= count or self.wrong, seconds)
        assert not self.wrong, self.wrong[:5]

    def check(self, server, database):
        """Behind the end: `server` has every answer that was given, and nobody in twice."""
        assert not self.wrong, self.wrong[:5]
        assert set(self.statuses) <= {200, 503}, self.statuses
        rows = server.sql(
            "SELECT nonce, r.id, verdict, participant_id FROM attendance_records r JOIN events e"
            f" ON e.id = r.event_id WHERE e.code = '{self.venue.code}'", database).splitlines()
        stored, admitted = {}, collections.Counter()
        for row in rows:
            nonce, record, verdict, person = row.split("|")
            assert nonce not in stored, f"{nonce} has two records"
            stored[nonce] = (record, verdict)
            admitted[person] += verdict == "admitted"
        lost = {nonce: seen for nonce, seen in self.acknowledged.items()
                if stored.get(nonce) != seen}
        assert not lost, f"{len(lost)} acknowledged scans are not there: {list(lost.items())[:3]}"
        assert set(stored) == set(self.acknowledged)  # every scan was asked for until its answer
        assert max(admitted.values()) == 1
        with self.nodes[0].client() as client:
            stats = rig.ok(client.get(f"{self.venue.path}/stats"))
        assert stats["scans"] == len(stored)
        assert stats["admitted"] == stats["inside"] == sum(admitted.values())
