# SPDX-License-Identifier: Apache-2.0
"""The attendance history: filters, pages, export."""

import csv
import io
import itertools

import pytest

import rig
from rig import at, ok, query

FIELDS = {"record_id", "participant", "gate", "method", "direction", "verdict", "reason", "forced",
          "annulled_at", "scanned_at", "recorded_at"}


@pytest.fixture(scope="module")
def history(server):
    """Sixty records over two gates, four methods, three verdicts and ten minutes."""
    with server.client() as client:
        venue = rig.Venue(client)
        people = {token: venue.person(token) for token in ("a", "b", "c")}
        lines = []
        for n in range(60):
            lines.append({"token": ("a", "b", "c", "nobody")[n % 4],
                          "gate": ("g1", "g2")[n % 3 == 0],
                          "method": ("qr", "nfc", "ble", "manual")[n // 4 % 4],
                          "direction": "exit" if n % 5 == 4 else "entry",
                          "scanned_at": at(n * 10)})
        venue.batch(lines)
        venue.people_by_token = people
        venue.everything = rig.eventually(venue.attendance, lambda items: len(items) == 60)
        yield venue


def test_a_record_shows_all_its_fields(history):
    assert all(FIELDS <= set(record) for record in history.everything)
    assert all(isinstance(record["record_id"], str) for record in history.everything)


def test_the_newest_comes_first(history):
    times = [record["scanned_at"] for record in history.everything]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize("name, value", [
    ("gate", "g1"), ("gate", "g2"), ("method", "qr"), ("method", "nfc"), ("method", "ble"),
    ("method", "manual"), ("verdict", "admitted"), ("verdict", "exited"), ("verdict", "refused"),
])
def test_a_filter_keeps_what_matches_and_nothing_else(history, name, value):
    wanted = [record for record in history.everything if record[name] == value]
    assert wanted
    assert history.attendance(**{name: value}) == wanted


def test_the_participant_filter_takes_an_id(history):
    for person in history.people_by_token.values():
        wanted = [record for record in history.everything if record["participant"] == person["id"]]
        assert wanted
        assert history.attendance(participant=person["id"]) == wanted


def test_since_is_inclusive_and_until_exclusive(history):
    found = history.attendance(since=at(100), until=at(200))
    assert [record["scanned_at"] for record in found] == [at(n) for n in range(190, 90, -10)]


def test_filters_add_up(history):
    def matches(record):
        return (record["gate"], record["verdict"]) == (
            "g1", "refused") and record["scanned_at"] < at(400)
    wanted = [record for record in history.everything if matches(record)]
    assert wanted
    assert history.attendance(gate="g1", verdict="refused", until=at(400)) == wanted


def test_recorded_since_is_for_those_who_synchronise(history):
    moment = history.everything[0]["recorded_at"]
    assert len(history.attendance(recorded_since=moment)) >= 1
    later = rig.rfc3339(rig.parse_time(max(r["recorded_at"] for r in history.everything)) + 0.001)
    assert history.attendance(recorded_since=later) == []


@pytest.mark.parametrize("limit", [1, 7, 59, 60, 61, 1000])
def test_pages_of_any_size_make_up_the_whole(history, limit):
    assert history.attendance(limit=limit) == history.everything


def test_filtered_pages_make_up_the_whole(history):
    wanted = [record for record in history.everything if record["gate"] == "g1"]
    assert history.attendance(limit=4, gate="g1") == wanted


def test_records_of_the_same_time_are_paged_without_loss(venue):
    tokens = venue.crowd(50)
    venue.batch([{"token": token, "gate": "g1", "scanned_at": at(7)} for token in tokens])
    records = venue.attendance(limit=8)
    assert len(records) == 50
    assert len({record["record_id"] for record in records}) == 50


def test_records_added_while_paging_disturb_no_page(client, venue):
    tokens = venue.crowd(30)
    venue.batch([{"token": token, "gate": "g1", "scanned_at": at(n)}
                for n, token in enumerate(tokens)])
    rig.eventually(venue.attendance, lambda items: len(items) == 30)
    page, seen = ok(client.get(f"{venue.path}/attendance?limit=10")), []
    for n in itertools.count():
        seen += [record["record_id"] for record in page["items"]]
        if page["next"] is None:
            break
        venue.scan(f"stranger{n}", scanned_at=at(1000 + n))
        page = ok(client.get(f"{venue.path}/attendance" + query(limit=10, cursor=page["next"])))
    assert len(seen) == len(set(seen)) == 30


@pytest.mark.parametrize("name, value", [
    ("verdict", "maybe"), ("method", "smoke"), ("since", "yesterday"), ("until", "2026-01-01"),
    ("recorded_since", "x"), ("limit", "0"), ("limit", "1001"), ("participant", "x y"),
])
def test_a_bad_filter_is_400_and_named(client, venue, name, value):
    answer = client.get(f"{venue.path}/attendance" + query(**{name: value}))
    assert (answer.status, answer.code, answer.field) == (400, "invalid_field", name)


def test_a_damaged_cursor_is_400(client, venue):
    answer = client.get(f"{venue.path}/attendance?cursor=damaged")
    assert (answer.status, answer.code) == (400, "invalid_cursor")


def test_an_unknown_gate_as_a_filter_finds_nothing_or_is_404(client, venue):
    answer = client.get(f"{venue.path}/attendance?gate=g9")
    assert (answer.status == 200 and answer.json["items"] == []) or answer.code == "unknown_gate"


def test_a_broken_percent_escape_is_400(client, venue):
    assert client.get(f"{venue.path}/attendance?since=%ZZ").status == 400


def test_the_history_stays_within_its_event(make_venue):
    here, there = make_venue(), make_venue()
    here.person("t")
    here.admitted("t")
    assert there.attendance() == []


def test_the_history_of_an_unknown_event_is_404(client):
    assert client.get("/v1/events/nobody-made-this/attendance").code == "unknown_event"


# Export ----------------------------------------------------------------------------------------

def export(venue, **filters):
    answer = venue.client.get(f"{venue.path}/attendance" + query(**filters), Accept=rig.CSV)
    assert answer.status == 200 and answer.type == rig.CSV, answer
    return list(csv.DictReader(io.StringIO(answer.body.decode("utf-8-sig"), newline="")))


def test_the_export_has_the_same_records_in_the_same_order(history):
    rows = export(history)
    assert [row["record_id"] for row in rows] == [r["record_id"] for r in history.everything]
    for row, record in zip(rows, history.everything):
        assert FIELDS <= set(row)
        for name in ("gate", "method", "direction", "verdict", "scanned_at", "recorded_at"):
            assert row[name] == record[name]
        assert row["reason"] == (record["reason"] or "")
        assert row["participant"] == (
    "" if record["participant"] is None else str(
        record["participant"]))


def test_the_export_takes_the_same_filters(history):
    wanted = [r["record_id"] for r in history.everything if r["verdict"] == "refused"]
    assert [row["record_id"] for row in export(history, verdict="refused")] == wanted


def test_the_export_is_whole_however_long(venue):
    tokens = venue.crowd(2500)
    venue.batch([{"token": token, "gate": "g1", "scanned_at": at(n)}
                for n, token in enumerate(tokens)])
    rig.eventually(venue.stats, lambda stats: stats["scans"] == 2500)
    rows = export(venue)
    assert len({row["record_id"] for row in rows}) == 2500 == len(rows)


def test_an_export_of_nothing_has_its_header(venue):
    answer = venue.client.get(f"{venue.path}/attendance", Accept=rig.CSV)
    assert answer.status == 200
    assert answer.body.splitlines()[0].startswith(b"record_id") or b"record_id" in answer.body


def test_no_cell_of_the_export_can_be_a_formula(make_venue):
    venue = make_venue(gates=("-1", "-cmd", "ok"))
    venue.person("t")
    for gate in ("-1", "-cmd", "ok"):
        venue.scan("t", gate)
    rig.eventually(venue.attendance, lambda items: len(items) == 3)
    rows = export(venue)
    assert len(rows) == 3
    for row in rows:
        for cell in row.values():
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r")), cell
    assert {row["gate"].lstrip("'") for row in rows} == {"-1", "-cmd", "ok"}


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html, application/json;q=0.9",
                                    "application/*"])
def test_everybody_else_gets_json(history, accept):
    answer = history.client.get(f"{history.path}/attendance?limit=1", Accept=accept)
    assert answer.status == 200 and answer.type == "application/json"


def test_csv_among_others_that_is_preferred_is_csv(history):
    answer = history.client.get(f"{history.path}/attendance", Accept="text/csv, */*;q=0.1")
    assert answer.type == rig.CSV
