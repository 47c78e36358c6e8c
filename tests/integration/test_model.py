# SPDX-License-Identifier: Apache-2.0
"""Random days at the door, compared with the reference model record by record and count by count.

TURNOUT_SEED repeats a day; the seed is printed.
"""

import os
import random

import pytest

import rig
from model import Model
from rig import at, rfc3339

GATES = ("g1", "g2", "g3")
GATE_COUNTS = ("gate", "admitted", "exited", "refused")
METHODS = ("qr", "nfc", "ble", "manual")
STEPS = 250


def ms(seconds):
    return round((rig.BASE_S + seconds) * 1000)


def seed_of(number):
    return int(os.environ.get("TURNOUT_SEED", number))


class Day:
    """One random day, told to the server and to the model alike."""

    def __init__(self, client, seed, reentry):
        print(f"seed {seed} reentry {reentry}")
        self.random = random.Random(f"{seed} {reentry}")
        capacity = self.random.choice((None, 0, 3, 6))
        self.venue = rig.Venue(client, gates=GATES, reentry=reentry, capacity=capacity)
        self.model = Model(reentry, capacity)
        self.model.gates = {gate: "open" for gate in GATES}
        self.tokens = [f"t{n}" for n in range(12)] + ["stranger"]
        self.people = {}
        self.ids = []          # the server's record id of each of the model's records
        self.nonces = []       # (nonce, body, number of the record)
        for token in self.tokens[:-1]:
            self.make(token)

    def make(self, token):
        fields = {
            "status": self.random.choices(("active", "cancelled", "blocked"), (10, 1, 1))[0],
            "gates": self.random.choice(([], [], [], ["g1"], ["g2", "g3"])),
            "valid_from": self.random.choice((None, None, None, 100)),
            "valid_until": self.random.choice((None, None, None, 500)),
        }
        sent = dict(fields)
        for name in ("valid_from", "valid_until"):
            if fields[name] is not None:
                sent[name] = at(fields[name])
                fields[name] = ms(fields[name])
        self.people[token] = self.venue.person(token, **sent)
        self.model.person(token, **fields)

    def body(self):
        return {"token": self.random.choice(self.tokens), "gate": self.random.choice(GATES),
                "method": self.random.choice(METHODS),
                "direction": self.random.choices(("entry", "exit"), (3, 2))[0],
                "force": self.random.random() < 0.1,
                "scanned_at": at(self.random.randrange(0, 600, 5))}

    def judge(self, body):
        at_ms = round(rig.parse_time(body["scanned_at"]) * 1000)
        token = body["token"]
        way = self.model.in_the_way(token) if token in self.model.people else None
        record = self.model.scan(token, body["gate"], at_ms, body["direction"], body["method"],
                                 body["force"])
        return record, way

    def compare(self, reply, record, way):
        assert (reply["verdict"], reply["reason"]) == (record.verdict, record.reason)
        assert reply["forced"] == record.forced
        assert reply["replayed"] is False
        if record.reason == "already_used":
            assert reply["first"] == {"at": rfc3339(way.at_ms / 1000), "gate": way.gate}
        else:
            assert reply["first"] is None
        self.ids.append(reply["record_id"])

    def single(self):
        body = self.body()
        if self.random.random() < 0.3:
            body["nonce"] = f"n{len(self.nonces)}"
        reply = self.venue.scan(**body)
        record, way = self.judge(body)
        self.compare(reply, record, way)
        assert reply["inside"] == self.model.inside()
        if "nonce" in body:
            self.nonces.append((body, record.number))

    def batch(self):
        lines = [self.body() for _ in range(self.random.randrange(1, 12))]
        replies = self.venue.batch(lines)
        order = sorted(range(len(lines)), key=lambda n: (lines[n]["scanned_at"], n))
        for number in order:
            self.compare(replies[number], *self.judge(lines[number]))

    def replay(self):
        if not self.nonces:
            return
        body, number = self.random.choice(self.nonces)
        reply = self.venue.scan(**body)
        record = self.model.records[number]
        assert reply["replayed"] is True
        assert reply["record_id"] == self.ids[number]
        assert (reply["verdict"], reply["reason"]) == (record.verdict, record.reason)
        assert reply.get("annulled", False) == record.annulled
        assert reply["inside"] == self.model.inside()

    def annul(self):
        if not self.model.records:
            return
        record = self.random.choice(self.model.records)
        answer = self.venue.try_annul(self.ids[record.number])
        if not record.stands:
            assert answer.status == 409, answer
            return
        assert answer.status == 200, answer
        record.annulled = True

    def move_a_gate(self):
        gate = self.random.choice(GATES)
        status = self.random.choice(("open", "open", "closed"))
        self.venue.patch_gate(gate, status=status)
        self.model.gates[gate] = status

    def move_the_capacity(self):
        self.model.capacity = self.random.choice((None, 0, 2, 5))
        self.venue.patch(capacity=self.model.capacity)

    def change_a_person(self):
        token = self.random.choice(self.tokens[:-1])
        status = self.random.choice(("active", "active", "blocked", "cancelled"))
        self.venue.patch_person(self.people[token], status=status)
        self.model.people[token]["status"] = status

    def step(self):
        kinds = (self.single, self.batch, self.replay, self.annul, self.move_a_gate,
                 self.move_the_capacity, self.change_a_person)
        self.random.choices(kinds, (20, 3, 4, 4, 1, 1, 2))[0]()

    def compare_counts(self):
        wanted = self.model.stats()

        def now():
            stats = self.venue.stats()
            gates = [{name: gate[name] for name in GATE_COUNTS} for gate in stats["gates"]]
            stats["gates"] = sorted(gates, key=lambda gate: gate["gate"])
            return {name: stats[name] for name in wanted}

        rig.eventually(now, lambda stats: stats == wanted)

    def compare_timeline(self):
        for since, until, step in ((0, 600, 60), (0, 600, 10), (120, 300, 30)):
            wanted = self.model.timeline(ms(since), ms(until), step)
            answer = self.venue.timeline(at(since), at(until), step)
            assert answer["step"] == step
            found = {}
            for item in answer["items"]:
                counts = (item["admitted"], item["exited"], item["refused"])
                if any(counts):
                    found[round(rig.parse_time(item["at"]) * 1000), item["gate"]] = counts
            assert found == {key: counts for key, counts in wanted.items() if any(counts)}

    def compare_history(self):
        records = self.venue.attendance(limit=97)
        number = {record_id: index for index, record_id in enumerate(self.ids)}
        assert len(records) == len(self.model.records)
        newest_first = sorted(self.model.records, key=lambda r: r.at_ms, reverse=True)
        assert [rig.parse_time(r["scanned_at"]) for r in records] == [
                               r.at_ms / 1000 for r in newest_first]
        for shown in records:
            record = self.model.records[number[shown["record_id"]]]
            assert (shown["verdict"], shown["reason"], shown["gate"], shown["method"],
                    shown["direction"], shown["forced"], shown["annulled_at"] is not None) == (
                        record.verdict, record.reason, record.gate, record.method,
                        record.direction, record.forced, record.annulled)


@pytest.mark.parametrize("reentry", ["after_exit", "none", "always"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_random_day_is_as_the_model_says(client, seed, reentry):
    day = Day(client, seed_of(seed), reentry)
    for _ in range(STEPS):
        day.step()
    day.compare_counts()
    day.compare_timeline()
    day.compare_history()
