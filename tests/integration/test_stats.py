# SPDX-License-Identifier: Apache-2.0
"""Counts and time series; test_model.py compares them with the model over random days."""

import pytest

import rig
from rig import at, query


def test_an_event_without_scans_counts_nothing(venue):
    stats = venue.stats()
    for name in ("participants", "admitted", "inside", "scans", "refused"):
        assert stats[name] == 0, name
    assert [gate["gate"] for gate in stats["gates"]] == ["g1", "g2"]
    assert all(count == 0 for count in stats["methods"].values())


def test_admitted_counts_people_and_scans_count_records(make_venue):
    venue = make_venue(reentry="always")
    venue.person("t")
    for _ in range(3):
        venue.admitted("t")
    venue.refused("unknown_token", "x")
    venue.stats_become(participants=1, admitted=1, inside=1, scans=4, refused=1)


def test_methods_count_all_scans_refused_ones_too(venue):
    venue.person("t")
    venue.scan("t", method="nfc")
    venue.scan("t", method="nfc")
    venue.scan("x", method="manual")
    methods = venue.stats_become(scans=3)["methods"]
    assert (methods["nfc"], methods["manual"]) == (2, 1)
    assert methods.get("qr", 0) == 0 and methods.get("ble", 0) == 0


def test_last_minute_counts_admissions_by_when_they_were_recorded(venue):
    venue.people("a", "b")
    venue.admitted("a", "g1", scanned_at=at(0))  # an hour old, recorded now
    venue.admitted("b", "g1")
    venue.refused("unknown_token", "x", "g1")
    venue.gate_stats_become("g1", last_minute=2, admitted=2, refused=1)
    assert venue.gate_stats("g2")["last_minute"] == 0


def test_as_of_is_when_the_counts_were_true(venue):
    assert abs(rig.parse_time(venue.stats()["as_of"]) - rig.now_s()) < 60


def test_a_new_gate_is_in_the_counts_at_once(venue):
    venue.gate("g3")
    rig.eventually(lambda: [gate["gate"] for gate in venue.stats()["gates"]],
                   lambda gates: gates == ["g1", "g2", "g3"])


def test_the_counts_of_an_unknown_event_are_404(client):
    assert client.get("/v1/events/nobody-made-this/stats").code == "unknown_event"
    assert client.get("/v1/events/nobody-made-this/stats/timeline" + query(
        since=at(0), until=at(60), step=60)).code == "unknown_event"


def test_the_timeline_has_a_series_for_every_gate(venue):
    venue.people("a", "b", "c")
    venue.batch([{"token": "a", "gate": "g1", "scanned_at": at(0)},
                 {"token": "b", "gate": "g1", "scanned_at": at(59.999)},
                 {"token": "c", "gate": "g2", "scanned_at": at(60)},
                 {"token": "a", "gate": "g2", "scanned_at": at(119), "direction": "exit"},
                 {"token": "x", "gate": "g1", "scanned_at": at(125)}])
    wanted = [(at(0), "g1", 2, 0, 0), (at(60), "g2", 1, 1, 0), (at(120), "g1", 0, 0, 1)]

    def points():
        return [(item["at"], item["gate"], item["admitted"], item["exited"], item["refused"])
                for item in venue.timeline(at(0), at(180), 60)["items"]
                if item["admitted"] or item["exited"] or item["refused"]]

    rig.eventually(points, lambda now: now == wanted)


def test_until_is_exclusive_in_the_timeline(venue):
    venue.people("a", "b")
    venue.admitted("a", scanned_at=at(59))
    venue.admitted("b", scanned_at=at(60))
    venue.stats_become(scans=2)
    items = rig.eventually(lambda: venue.timeline(at(0), at(60), 60)["items"], bool)
    assert sum(item["admitted"] for item in items) == 1


@pytest.mark.parametrize("since, until, step, field", [
    (at(0), at(60), "0", "step"), (at(0), at(60), "-60", "step"), (at(0), at(60), "x", "step"),
    ("x", at(60), "60", "since"), (at(0), "x", "60", "until"),
])
def test_a_bad_range_is_400_and_named(client, venue, since, until, step, field):
    answer = client.get(f"{venue.path}/stats/timeline" + query(since=since, until=until, step=step))
    assert (answer.status, answer.code, answer.field) == (400, "invalid_field", field)


def test_a_range_that_ends_before_it_begins_is_400(client, venue):
    answer = client.get(f"{venue.path}/stats/timeline" + query(since=at(60), until=at(0), step=60))
    assert (answer.status, answer.code) == (400, "invalid_field")


def test_more_than_10000_points_are_400(client, venue):
    answer = client.get(f"{venue.path}/stats/timeline" + query(
        since="2020-01-01T00:00:00Z", until="2026-01-01T00:00:00Z", step=60))
    assert (answer.status, answer.code) == (400, "invalid_field")


def test_a_long_day_by_the_minute_is_within_the_limit(venue):
    venue.person("t")
    venue.admitted("t", scanned_at=at(0))
    since, until = rig.rfc3339(rig.BASE_S - 86400), rig.rfc3339(rig.BASE_S + 3600)
    items = rig.eventually(lambda: venue.timeline(since, until, 60)["items"], bool)
    assert sum(item["admitted"] for item in items) == 1
