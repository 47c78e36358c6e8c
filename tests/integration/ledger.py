# SPDX-License-Identifier: Apache-2.0
"""What was sent at the doors, what was acknowledged, and what must stand afterwards."""

import threading


class Ledger:
    """What was sent, and what was acknowledged."""

    def __init__(self):
        self.lock = threading.Lock()
        self.bodies = {}
        self.replies = {}

    def sent(self, body):
        with self.lock:
            self.bodies[body["nonce"]] = body

    def acknowledged(self, body, reply):
        with self.lock:
            known = self.replies.setdefault(body["nonce"], reply)
        assert known["record_id"] == reply["record_id"]


def check(venue, ledger, chooser, people, capacity):
    """Everything acknowledged is there once, nobody is in twice, the counts are the history's."""
    history = venue.attendance()
    records = {record["record_id"]: record for record in history}
    assert len(records) == len(history), "a record twice"

    for nonce, reply in ledger.replies.items():
        record = records.get(reply["record_id"])
        assert record is not None, f"acknowledged and lost: {nonce} {reply}"
        assert (record["verdict"], record["reason"]) == (reply["verdict"], reply["reason"])
    assert len(history) <= len(ledger.bodies), "more records than scans were sent"

    check_alternation(history, capacity)
    check_counts(venue, history, people)
    check_replays(venue, ledger, records, chooser)


def check_alternation(history, capacity):
    """Nobody is admitted twice without an exit between, and it is never too full."""
    inside = set()
    for record in sorted(history, key=lambda record: int(record["record_id"])):
        person = record["participant"]
        if record["verdict"] == "admitted":
            assert person not in inside, f"in twice: {record}"
            inside.add(person)
            assert len(inside) <= capacity, "one too many"
        elif record["verdict"] == "exited":
            inside.discard(person)
        elif record["reason"] == "already_used":
            assert person in inside, f"refused for nothing: {record}"
    return inside


def check_counts(venue, history, people):
    """The counts are what the history adds up to, each person's last record by scanned_at."""
    last, admitted, refused = {}, set(), 0
    by_time = sorted(history, key=lambda record: (record["scanned_at"], int(record["record_id"])))
    for record in by_time:
        if record["verdict"] == "refused":
            refused += 1
        else:
            last[record["participant"]] = record["verdict"]
        if record["verdict"] == "admitted":
            admitted.add(record["participant"])
    wanted = {"participants": people, "scans": len(history), "refused": refused,
              "admitted": len(admitted),
              "inside": sum(verdict == "admitted" for verdict in last.values())}
    venue.stats_become(**wanted)


def check_replays(venue, ledger, records, chooser):
    """A sample of what was acknowledged, and everything that was sent and never answered."""
    known = chooser.sample(sorted(ledger.replies), min(200, len(ledger.replies)))
    for nonce in known:
        again = venue.scan(**ledger.bodies[nonce])
        first = ledger.replies[nonce]
        assert again["replayed"] is True, f"acknowledged and forgotten: {nonce}"
        for name in ("record_id", "verdict", "reason", "first", "scanned_at"):
            assert again[name] == first[name], name
    for nonce in sorted(set(ledger.bodies) - set(ledger.replies)):
        reply = venue.scan(**ledger.bodies[nonce])
        if reply["replayed"]:
            assert reply["record_id"] in records
        ledger.acknowledged(ledger.bodies[nonce], reply)
        again = venue.scan(**ledger.bodies[nonce])
        assert again["replayed"] is True and again["record_id"] == reply["record_id"]
