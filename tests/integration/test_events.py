# SPDX-License-Identifier: Apache-2.0
"""Events and gates."""

import pytest

import rig
from rig import ok


def fresh_code():
    return f"x{rig.os.getpid()}-{next(rig._codes)}"


# Events ----------------------------------------------------------------------------------------

def test_a_created_event_comes_back_whole(client):
    body = {"code": fresh_code(), "name": "Winter fair", "timezone": "Asia/Seoul",
            "starts_at": "2026-12-01T10:00:00+09:00", "ends_at": "2026-12-01T20:00:00.5+09:00",
            "capacity": 1200, "reentry": "none"}
    made = ok(client.post("/v1/events", body), 201)
    assert made == {**body, "starts_at": "2026-12-01T01:00:00.000Z",
                    "ends_at": "2026-12-01T11:00:00.500Z"} | {
                        key: value for key, value in made.items() if key not in body}
    assert ok(client.get(f"/v1/events/{body['code']}")) == made


def test_an_event_without_wishes_has_no_limit_and_lets_in_again_after_an_exit(client):
    made = ok(client.post("/v1/events", {"code": fresh_code(), "name": "Plain"}), 201)
    assert made["capacity"] is None
    assert made["reentry"] == "after_exit"
    assert made["starts_at"] is None and made["ends_at"] is None


def test_a_code_that_exists_is_a_conflict(client, venue):
    answer = client.post("/v1/events", {"code": venue.code, "name": "Again"})
    assert (answer.status, answer.code) == (409, "conflict")


def test_an_unknown_event_is_404(client):
    answer = client.get("/v1/events/nobody-made-this")
    assert (answer.status, answer.code) == (404, "unknown_event")


@pytest.mark.parametrize("code", ["", "a b", "ä", "a/b", "x" * 65, "a\n", 7, None, ["a"]])
def test_a_malformed_event_code_is_400_and_named(client, code):
    answer = client.post("/v1/events", {"code": code, "name": "n"})
    assert (answer.status, answer.code, answer.field) == (400, "invalid_field", "code")


@pytest.mark.parametrize("code", ["a", "A-z.0_9", "-", "." * 3, "x" * 64])
def test_a_code_is_1_to_64_of_letters_digits_dot_underscore_dash(client, code):
    own = (code + fresh_code())[:64] if len(code) < 40 else (fresh_code() + code)[:64]
    made = ok(client.post("/v1/events", {"code": own, "name": "n"}), 201)
    assert made["code"] == own


@pytest.mark.parametrize("field, value", [
    ("capacity", -1), ("capacity", 1.5), ("capacity", "10"), ("capacity", 10**15),
    ("reentry", "sometimes"), ("reentry", 1), ("starts_at",
     "tomorrow"), ("starts_at", "2026-02-30T00:00:00Z"),
    ("ends_at", "2026-12-01"), ("ends_at", 5), ("name",
     5), ("name", "x" * 257), ("timezone", "no way!"),
])
def test_a_value_out_of_range_is_400_and_named(client, field, value):
    body = {"code": fresh_code(), "name": "n", field: value}
    answer = client.post("/v1/events", body)
    assert (answer.status, answer.code, answer.field) == (400, "invalid_field", field)
    assert client.get(f"/v1/events/{body['code']}").status == 404


def test_unknown_fields_are_ignored(client):
    body = {"code": fresh_code(), "name": "n", "colour": "green", "x": {"y": [1]}}
    made = ok(client.post("/v1/events", body), 201)
    assert "colour" not in made


def test_a_patch_changes_what_it_names_and_null_clears(client, make_venue):
    venue = make_venue(capacity=5, starts_at=rig.at(0), timezone="Europe/Berlin")
    changed = venue.patch(name="Other", capacity=None)
    assert changed["name"] == "Other"
    assert changed["capacity"] is None
    assert changed["starts_at"] == rig.at(0)
    assert changed["timezone"] == "Europe/Berlin"
    assert ok(client.get(venue.path)) == changed


def test_an_empty_patch_changes_nothing(client, venue):
    assert venue.patch() == ok(client.get(venue.path))


@pytest.mark.parametrize("field, value", [("capacity", -1), ("reentry", "x"), ("reentry", None)])
def test_a_bad_patch_is_400_and_changes_nothing(client, venue, field, value):
    before = ok(client.get(venue.path))
    answer = client.patch(venue.path, {"name": "lost", field: value})
    if field == "reentry" and value is None and answer.status == 200:
        assert answer.json["reentry"] == "after_exit"  # cleared means the default
        return
    assert (answer.status, answer.code, answer.field) == (400, "invalid_field", field)
    assert ok(client.get(venue.path)) == before


def test_a_patch_of_an_unknown_event_is_404(client):
    answer = client.patch("/v1/events/nobody-made-this", {"name": "x"})
    assert (answer.status, answer.code) == (404, "unknown_event")


def test_every_event_is_listed_once_over_all_pages(client, make_venue):
    mine = [make_venue(gates=()).code for _ in range(7)]
    listed = [event["code"] for event in client.pages("/v1/events", limit=3)]
    assert len(listed) == len(set(listed))
    assert set(mine) <= set(listed)


def test_opening_hours_inform_and_never_refuse(make_venue):
    venue = make_venue(starts_at="2020-01-01T00:00:00Z", ends_at="2020-01-02T00:00:00Z")
    venue.person("t")
    venue.admitted("t")


# Gates -----------------------------------------------------------------------------------------

def test_a_created_gate_is_open_and_comes_back(client, venue):
    made = ok(client.post(f"{venue.path}/gates", {"code": "north", "name": "North door"}), 201)
    assert made["code"] == "north" and made["name"] == "North door" and made["status"] == "open"
    listed = {gate["code"]: gate for gate in client.pages(f"{venue.path}/gates")}
    assert listed["north"] == made


def test_a_gate_that_exists_is_a_conflict(client, venue):
    answer = client.post(f"{venue.path}/gates", {"code": "g1", "name": "x"})
    assert (answer.status, answer.code) == (409, "conflict")


def test_the_same_gate_code_is_free_in_another_event(make_venue):
    make_venue(gates=("same",))
    make_venue(gates=("same",))


def test_a_patched_gate_keeps_what_the_patch_leaves_out(client, venue):
    assert venue.patch_gate("g1", status="closed")["name"] == "g1"
    assert venue.patch_gate("g1", name="Renamed")["status"] == "closed"


def test_an_unknown_gate_is_404(client, venue):
    answer = client.patch(f"{venue.path}/gates/g9", {"name": "x"})
    assert (answer.status, answer.code) == (404, "unknown_gate")


@pytest.mark.parametrize("body, field", [
    ({"code": "a b", "name": "x"}, "code"), ({"name": "x"}, "code"),
    ({"code": "ok", "name": "x", "status": "ajar"}, "status"), ({"code": "ok", "name": 5}, "name"),
])
def test_a_malformed_gate_is_400_and_named(client, venue, body, field):
    answer = client.post(f"{venue.path}/gates", body)
    assert (answer.status, answer.code, answer.field) == (400, "invalid_field", field)


def test_gates_of_an_unknown_event_are_404(client):
    for answer in (client.get("/v1/events/nobody-made-this/gates"),
                   client.post("/v1/events/nobody-made-this/gates", {"code": "a", "name": "a"})):
        assert (answer.status, answer.code) == (404, "unknown_event")


def test_every_gate_is_listed_once_over_all_pages(client, make_venue):
    codes = [f"gate{n}" for n in range(11)]
    venue = make_venue(gates=codes)
    listed = [gate["code"] for gate in client.pages(f"{venue.path}/gates", limit=4)]
    assert sorted(listed) == sorted(codes)
