# SPDX-License-Identifier: Apache-2.0
"""What must hold when many gates scan at the same moment."""

import collections

from rig import Venue, at, in_threads, ok

THREADS = 64


def at_once(server, venue, count, body):
    """Sends body(n) for each n < count on a connection of its own, all at the same moment."""
    def work(index):
        with server.client() as client:
            return ok(client.post(f"{venue.path}/checkins", body(index)))
    return in_threads(count, work)


def verdicts(replies):
    return collections.Counter((reply["verdict"], reply["reason"]) for reply in replies)


def test_one_token_at_64_gates_is_admitted_once(server, make_venue):
    venue = make_venue(gates=[f"g{n}" for n in range(THREADS)])
    for round_number in range(5):
        token = f"t{round_number}"
        venue.person(token)
        replies = at_once(server, venue, THREADS, lambda n: {"token": token, "gate": f"g{n}"})
        assert verdicts(replies) == {("admitted", None): 1,
                        ("refused", "already_used"): THREADS - 1}
        winner = next(reply for reply in replies if reply["verdict"] == "admitted")
        gate = {record["record_id"]: record["gate"] for record in venue.attendance()}
        for reply in replies:
            if reply["verdict"] == "refused":
                assert reply["first"]["gate"] == gate[winner["record_id"]]
    venue.stats_become(admitted=5, inside=5, scans=5 * THREADS, refused=5 * (THREADS - 1))


def test_never_one_too_many_is_let_into_a_full_house(server, make_venue):
    venue = make_venue(capacity=37)
    tokens = venue.crowd(THREADS * 2)
    replies = at_once(server, venue, THREADS, lambda n: {"token": tokens[n], "gate": "g1"})
    replies += at_once(server, venue, THREADS,
                       lambda n: {"token": tokens[THREADS + n], "gate": "g2"})
    assert verdicts(replies) == {("admitted", None): 37,
                                 ("refused", "capacity_full"): 2 * THREADS - 37}
    assert max(reply["inside"] for reply in replies) == 37
    venue.stats_become(inside=37, admitted=37)


def test_a_house_that_people_leave_and_enter_at_once_is_never_overfull(server, make_venue):
    venue = make_venue(capacity=8)
    tokens = venue.crowd(THREADS)

    def work(index):
        seen = []
        with server.client() as client:
            for turn in range(20):
                direction = "exit" if turn % 2 else "entry"
                seen.append(ok(client.post(f"{venue.path}/checkins", {
                    "token": tokens[index], "gate": "g1", "direction": direction}))["inside"])
        return seen

    for seen in in_threads(THREADS, work):
        assert all(0 <= inside <= 8 for inside in seen)
    venue.stats_become(inside=0, scans=THREADS * 20)


def test_one_nonce_at_the_same_moment_makes_one_record(server, venue):
    venue.person("t")
    replies = at_once(server, venue, THREADS,
                      lambda n: {"token": "t", "gate": "g1", "nonce": "same"})
    assert {reply["verdict"] for reply in replies} == {"admitted"}
    assert len({reply["record_id"] for reply in replies}) == 1
    assert sorted(reply["replayed"] for reply in replies) == [False] + [True] * (THREADS - 1)
    venue.stats_become(scans=1, inside=1)


def test_a_refusal_by_one_nonce_at_the_same_moment_makes_one_record(server, venue):
    replies = at_once(server, venue, 16,
                      lambda n: {"token": "nobody", "gate": "g1", "nonce": "same"})
    assert verdicts(replies) == {("refused", "unknown_token"): 16}
    assert len({reply["record_id"] for reply in replies}) == 1
    venue.stats_become(scans=1, refused=1)


def test_entries_and_exits_of_one_person_alternate(server, venue):
    venue.person("t")
    at_once(server, venue, THREADS, lambda n: {
        "token": "t", "gate": "g1", "direction": "exit" if n % 3 == 0 else "entry"})
    standing = [record for record in venue.attendance() if record["verdict"] != "refused"]
    # A record is the last by the server's clock when it is decided, so the
    # order is that of the ids.
    standing.sort(key=lambda record: int(record["record_id"]))
    entries = [n for n, record in enumerate(standing) if record["verdict"] == "admitted"]
    for one, next_one in zip(entries, entries[1:]):
        between = standing[one + 1:next_one]
        assert any(record["verdict"] == "exited" for record in between)


def test_two_events_at_once_do_not_mix(server, client):
    venues = [Venue(client, capacity=5) for _ in range(2)]
    tokens = [venue.crowd(20, prefix="same") for venue in venues]

    def work(index):
        venue = venues[index % 2]
        with server.client() as link:
            body = {"token": tokens[index % 2][index // 2], "gate": "g1"}
            return ok(link.post(f"{venue.path}/checkins", body))

    in_threads(40, work)
    for venue in venues:
        venue.stats_become(inside=5, scans=20)


def test_a_patch_of_the_capacity_under_load_is_kept_from_then_on(server, make_venue):
    venue = make_venue()
    tokens = venue.crowd(THREADS * 2)
    at_once(server, venue, 10, lambda n: {"token": tokens[n], "gate": "g1"})
    venue.patch(capacity=20)
    replies = at_once(server, venue, THREADS, lambda n: {"token": tokens[10 + n], "gate": "g1"})
    assert verdicts(replies)[("admitted", None)] == 10


def test_a_batch_and_single_scans_at_once_admit_each_person_once(server, venue):
    tokens = venue.crowd(400)

    def work(index):
        with server.client() as link:
            own = Venue.__new__(Venue)
            own.client, own.path = link, venue.path
            if index < 4:
                lines = [{"token": token, "gate": "g1", "scanned_at": at(n)}
                         for n, token in enumerate(tokens)]
                return [line["verdict"] for line in own.batch(lines)]
            return [own.scan(token, "g2")["verdict"]
                             for token in tokens[index * 20:index * 20 + 20]]

    admitted = sum(part.count("admitted") for part in in_threads(16, work))
    assert admitted == 400
    venue.stats_become(admitted=400, inside=400)
