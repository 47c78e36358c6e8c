# SPDX-License-Identifier: Apache-2.0
"""The rules of admission once more, as plainly as possible, to compare the server with.

It keeps every record in a list and counts anew each time: slow, and short enough to be seen right.
"""

import collections

REASONS = ("cancelled", "blocked")


class Record:
    def __init__(self, number, token, gate, direction, at_ms, method):
        self.number = number
        self.token = token
        self.gate = gate
        self.direction = direction
        self.at_ms = at_ms
        self.method = method
        self.verdict = None
        self.reason = None
        self.forced = False
        self.annulled = False

    @property
    def stands(self):
        return self.verdict != "refused" and not self.annulled


class Model:
    def __init__(self, reentry="after_exit", capacity=None):
        self.reentry = reentry
        self.capacity = capacity
        self.people = {}       # token -> dict(status, valid_from, valid_until, gates)
        self.gates = {}        # code -> status
        self.records = []

    def person(self, token, status="active", valid_from=None, valid_until=None, gates=()):
        self.people[token] = {"status": status, "valid_from": valid_from,
                              "valid_until": valid_until, "gates": set(gates)}

    def history(self, token):
        """What stands of one person, in the order of scanned_at."""
        mine = [record for record in self.records if record.token == token and record.stands]
        return sorted(mine, key=lambda record: (record.at_ms, record.number))

    def is_inside(self, token):
        history = self.history(token)
        return bool(history) and history[-1].verdict == "admitted"

    def inside(self):
        return sum(self.is_inside(token) for token in self.people)

    def in_the_way(self, token):
        admissions = [record for record in self.history(token) if record.verdict == "admitted"]
        if self.reentry == "none" and admissions:
            return admissions[0]
        if self.reentry == "after_exit" and self.is_inside(token):
            return self.history(token)[-1]
        return None

    def would_come_in(self, token, at_ms):
        history = self.history(token)
        is_last = not history or at_ms >= history[-1].at_ms
        return is_last and not self.is_inside(token)

    def reason(self, token, gate, at_ms):
        person = self.people[token]
        if person["status"] in REASONS:
            return person["status"]
        if person["valid_from"] is not None and at_ms < person["valid_from"]:
            return "not_yet_valid"
        if person["valid_until"] is not None and at_ms >= person["valid_until"]:
            return "expired"
        if person["gates"] and gate not in person["gates"]:
            return "wrong_gate"
        if self.gates[gate] == "closed":
            return "gate_closed"
        if self.in_the_way(token) is not None:
            return "already_used"
        if (self.capacity is not None and self.inside() >= self.capacity
                and self.would_come_in(token, at_ms)):
            return "capacity_full"
        return None

    def scan(self, token, gate, at_ms, direction="entry", method="qr", force=False):
        record = Record(len(self.records), token, gate, direction, at_ms, method)
        if token not in self.people:
            record.verdict, record.reason = "refused", "unknown_token"
        elif direction == "exit":
            record.verdict = "exited"
        else:
            reason = self.reason(token, gate, at_ms)
            record.forced = force and reason is not None
            record.verdict = "refused" if reason and not force else "admitted"
            record.reason = None if record.verdict == "admitted" else reason
        self.records.append(record)
        return record

    def stats(self):
        standing = [record for record in self.records if record.stands]
        gates = []
        for code in sorted(self.gates):
            here = [record for record in standing if record.gate == code]
            gates.append({
                "gate": code,
                "admitted": sum(record.verdict == "admitted" for record in here),
                "exited": sum(record.verdict == "exited" for record in here),
                "refused": sum(record.gate == code and record.verdict == "refused"
                               for record in self.records)})
        methods = collections.Counter(record.method for record in self.records)
        return {
            "participants": len(self.people),
            "admitted": len({record.token for record in standing if record.verdict == "admitted"}),
            "inside": self.inside(),
            "scans": len(self.records),
            "refused": sum(record.verdict == "refused" for record in self.records),
            "gates": gates,
            "methods": {name: methods.get(name, 0) for name in ("qr", "nfc", "ble", "manual")},
        }

    def timeline(self, since_ms, until_ms, step_s):
        step_ms = step_s * 1000
        points = collections.defaultdict(collections.Counter)
        for record in self.records:
            if since_ms <= record.at_ms < until_ms and not record.annulled:
                bucket = record.at_ms // step_ms * step_ms
                points[bucket, record.gate][record.verdict] += 1
        return {(bucket, gate): (counts["admitted"], counts["exited"], counts["refused"])
                for (bucket, gate), counts in points.items()}
