# SPDX-License-Identifier: Apache-2.0
"""kill -9 under load, over and over, on one file.

Clients scan with nonces; the server is killed at a random moment and started again. Afterwards
every acknowledged scan is there, each nonce has the verdict it was given, nobody is in twice, and
`inside` is what the history adds up to. TURNOUT_KILLS sets how often (10), TURNOUT_SEED repeats
a run.
"""

import http.client
import os
import random
import threading
import time

import rig
from ledger import Ledger, check
from rig import Venue, ok

KILLS = int(os.environ.get("TURNOUT_KILLS", "10"))
CLIENTS = 8
CAPACITY = 150
PEOPLE = 400


class Scanner(threading.Thread):
    """Entries and exits with nonces until the server is gone. The ledger outlives the thread."""

    def __init__(self, server, venue, ledger, seed):
        super().__init__()
        self.server, self.path, self.ledger = server, venue.path, ledger
        self.random = random.Random(seed)
        self.prefix = f"{seed:x}"
        self.broken = None

    def run(self):
        try:
            with self.server.client() as client:
                for number in range(10**9):
                    self.step(client, number)
        except (http.client.HTTPException, OSError):
            pass  # the server is gone
        except Exception as error:
            self.broken = error

    def step(self, client, number):
        if self.random.random() < 0.1:
            return self.batch(client, number)
        body = self.body(f"{self.prefix}-{number}")
        self.ledger.sent(body)
        answer = client.post(f"{self.path}/checkins", body)
        if answer.status != 503:
            self.ledger.acknowledged(body, ok(answer))

    def batch(self, client, number):
        bodies = [self.body(f"{self.prefix}-{number}-{line}") for line in range(20)]
        for body in bodies:
            self.ledger.sent(body)
        text = "".join(rig.json.dumps(body) + "\n" for body in bodies)
        answer = client.post(f"{self.path}/checkins:batch", text, rig.NDJSON)
        if answer.status == 503:
            return
        assert answer.status == 200, answer
        for body, reply in zip(bodies, answer.lines):
            if "verdict" in reply:
                self.ledger.acknowledged(body, reply)

    def body(self, nonce):
        return {"token": f"p{self.random.randrange(PEOPLE):06d}",
                "gate": self.random.choice(("g1", "g2")),
                "direction": self.random.choice(("entry", "entry", "exit")), "nonce": nonce}


def run_and_kill(server, venue, ledger, chooser):
    scanners = [Scanner(server, venue, ledger, chooser.randrange(1 << 40)) for _ in range(CLIENTS)]
    for scanner in scanners:
        scanner.start()
    time.sleep(chooser.uniform(0.01, 0.4))  # the random moment is the point of it
    server.kill()
    for scanner in scanners:
        scanner.join()
        if scanner.broken is not None:
            raise scanner.broken


def test_nothing_acknowledged_is_lost_and_nobody_is_in_twice_through_kills(make_server):
    seed = int(os.environ.get("TURNOUT_SEED", random.randrange(1 << 32)))
    print(f"TURNOUT_SEED={seed} TURNOUT_KILLS={KILLS}")
    chooser = random.Random(seed)
    server, ledger = make_server(), Ledger()
    with server.client() as client:
        venue = Venue(client, capacity=CAPACITY)
        venue.crowd(PEOPLE)
    for kill in range(KILLS):
        run_and_kill(server, venue, ledger, chooser)
        server.start()
        with server.client() as client:
            venue.client = client
            check(venue, ledger, chooser, PEOPLE, CAPACITY)
        print(f"kill {kill + 1}: {len(ledger.bodies)} sent, {len(ledger.replies)} acknowledged")
    assert len(ledger.replies) > 20 * KILLS, "too few scans to show anything"


def test_an_import_that_is_killed_leaves_whole_people(make_server, tmp_path):
    seed = int(os.environ.get("TURNOUT_SEED", random.randrange(1 << 32)))
    print(f"TURNOUT_SEED={seed}")
    chooser = random.Random(seed)
    server = make_server()
    with server.client() as client:
        venue = Venue(client)
    rows = "token,name,email\n" + \
        "".join(f"t{n:06d},Name {n},m{n}@example.org\n" for n in range(60000))

    def upload():
        try:
            with server.client() as client:
                client.post(f"{venue.path}/participants:import", rows, rig.CSV)
        except (http.client.HTTPException, OSError):
            pass

    for _ in range(max(2, KILLS // 5)):
        thread = threading.Thread(target=upload)
        thread.start()
        time.sleep(chooser.uniform(0.02, 0.5))
        server.kill()
        thread.join()
        server.start()
        with server.client() as client:
            venue.client = client
            stats = venue.stats()
            people = client.pages(f"{venue.path}/participants", 1000)
            assert stats["participants"] == len(people)
            for person in people:
                number = int(person["token"][1:])
                assert (
    person["name"],
    person["email"]) == (
        f"Name {number}",
         f"m{number}@example.org")
    with server.client() as client:
        venue.client = client
        body = ok(venue.import_csv(rows))
        assert body["created"] + body["updated"] == 60000
        assert venue.stats_become(participants=60000)
        assert len(venue.find(q="name 59999")) == 1
