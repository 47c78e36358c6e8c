# SPDX-License-Identifier: Apache-2.0
"""One scan: verdicts, reasons and their order, times, exits, force."""

import json

import pytest

import rig
from rig import at, ok

REPLY = {"verdict", "reason", "record_id", "replayed", "forced", "participant", "first", "inside",
         "scanned_at", "decided_at"}


# The reply -------------------------------------------------------------------------------------

def test_a_known_token_is_admitted(venue):
    person = venue.person("t", name="Ada")
    reply = venue.scan("t")
    assert REPLY <= set(reply)
    assert reply["verdict"] == "admitted"
    assert reply["reason"] is None
    assert reply["replayed"] is False
    assert reply["forced"] is False
    assert reply["first"] is None
    assert reply["inside"] == 1
    assert isinstance(reply["record_id"], str) and reply["record_id"]
    assert reply["participant"] == {"id": person["id"], "name": "Ada", "status": "active",
                                    "attention": None}


def test_times_are_utc_with_milliseconds(venue):
    venue.person("t")
    before = rig.now_s()
    reply = venue.scan("t")
    after = rig.now_s()
    assert before - 1 <= rig.parse_time(reply["scanned_at"]) <= after + 1
    assert before - 1 <= rig.parse_time(reply["decided_at"]) <= after + 1


def test_any_offset_is_accepted_and_answers_are_utc(venue):
    venue.person("t")
    reply = venue.scan("t", scanned_at="2026-03-01T09:30:00.25+09:00")
    assert reply["scanned_at"] == "2026-03-01T00:30:00.250Z"


def test_only_token_and_gate_are_required(venue):
    venue.person("t")
    venue.admitted("t")
    record = venue.attendance()[0]
    assert record["method"] == "qr" and record["direction"] == "entry"


@pytest.mark.parametrize("method", ["qr", "nfc", "ble", "manual"])
def test_every_method_is_kept(venue, method):
    venue.person("t")
    venue.admitted("t", method=method)
    assert venue.attendance()[0]["method"] == method


def test_null_means_not_given(venue):
    venue.person("t")
    venue.admitted("t", method=None, direction=None, scanned_at=None, nonce=None, force=None)


# Malformed -------------------------------------------------------------------------------------

@pytest.mark.parametrize("field, value", [
    ("token", None), ("token", ""), ("token", 5), ("token", " t"), ("token", "x" * 257),
    ("gate", None), ("gate", ""), ("gate", 5), ("gate", "a b"), ("method", "telepathy"),
    ("method", 1), ("direction", "sideways"), ("scanned_at", "now"), ("scanned_at", 5),
    ("scanned_at", "2026-13-01T00:00:00Z"), ("scanned_at", "2026-01-01 00:00:00"),
    ("nonce", "x" * 65), ("nonce", 5), ("force", "yes"), ("force", 1),
])
def test_a_malformed_field_is_400_named_and_leaves_no_record(venue, field, value):
    venue.person("t")
    body = {"token": "t", "gate": "g1", field: value}
    answer = venue.client.post(f"{venue.path}/checkins", body)
    assert (answer.status, answer.code, answer.field) == (400, "invalid_field", field)
    assert venue.attendance() == []


@pytest.mark.parametrize("text", ["", "{", "[1,", "nul", '{"token":"t","gate":"g1"} x', "\ufeff{}",
                                  '{"token":"t","token":"t","gate":"g1"}', "{'token':'t'}"])
def test_malformed_json_is_400(venue, text):
    answer = venue.client.post(f"{venue.path}/checkins", text, "application/json")
    assert (answer.status, answer.code) == (400, "malformed_json")


@pytest.mark.parametrize("text", ["[]", "3", '"t"', "null", "true"])
def test_json_that_is_no_object_is_400(venue, text):
    answer = venue.client.post(f"{venue.path}/checkins", text, "application/json")
    assert answer.status == 400
    assert answer.code in ("malformed_json", "invalid_field")


def test_json_that_is_no_utf8_is_400(venue):
    answer = venue.client.post(f"{venue.path}/checkins", b'{"token":"\xff","gate":"g1"}',
                               "application/json")
    assert (answer.status, answer.code) == (400, "malformed_json")


def test_json_nested_too_deep_is_400(venue):
    body = '{"token":"t","gate":"g1","x":' + "[" * 5000 + "]" * 5000 + "}"
    assert venue.client.post(f"{venue.path}/checkins", body, "application/json").status == 400


def test_an_unknown_gate_is_404_and_nobody_is_admitted(venue):
    venue.person("t")
    for direction in ("entry", "exit"):
        answer = venue.try_scan("t", "g9", direction=direction)
        assert (answer.status, answer.code) == (404, "unknown_gate")
    assert venue.attendance() == []
    assert venue.admitted("t")["inside"] == 1


def test_an_unknown_gate_beats_an_unknown_token(venue):
    assert venue.try_scan("nobody", "g9").code == "unknown_gate"


def test_an_unknown_event_is_404(client):
    answer = client.post("/v1/events/nobody-made-this/checkins", {"token": "t", "gate": "g1"})
    assert (answer.status, answer.code) == (404, "unknown_event")


def test_a_scan_more_than_five_minutes_ahead_is_400(venue):
    venue.person("t")
    answer = venue.try_scan("t", scanned_at=rig.rfc3339(rig.now_s() + 400))
    assert (answer.status, answer.code, answer.field) == (400, "invalid_field", "scanned_at")
    assert venue.attendance() == []


def test_a_clock_that_is_four_minutes_ahead_is_accepted(venue):
    venue.person("t")
    ahead = rig.rfc3339(rig.now_s() + 240)
    assert venue.admitted("t", scanned_at=ahead)["scanned_at"] == ahead


def test_one_scan_of_more_than_64_kib_is_413(venue):
    venue.person("t")
    body = {"token": "t", "gate": "g1", "padding": "x" * 65536}
    answer = venue.client.post(f"{venue.path}/checkins", body)
    assert (answer.status, answer.code) == (413, "too_large")
    venue.client.close()
    assert venue.attendance() == []


def test_one_scan_of_almost_64_kib_is_taken(venue):
    venue.person("t")
    body = {"token": "t", "gate": "g1", "padding": "x" * 65000}
    assert ok(venue.client.post(f"{venue.path}/checkins", body))["verdict"] == "admitted"


# Reasons ---------------------------------------------------------------------------------------

def test_an_unknown_token_is_refused(venue):
    reply = venue.refused("unknown_token", "nobody")
    assert reply["participant"] is None
    assert reply["inside"] == 0


def test_an_unknown_token_is_never_stored_in_clear(server, venue):
    venue.refused("unknown_token", "stranger-token-4711")
    needle = b"stranger-token-4711"
    for path in server.folder.glob("turnout.db*"):
        assert needle not in path.read_bytes(), path
    assert needle.decode() not in server.log_path.read_text(errors="replace")


def test_a_cancelled_person_is_refused(venue):
    venue.person("t", status="cancelled")
    assert venue.refused("cancelled", "t")["participant"]["status"] == "cancelled"


def test_a_blocked_person_is_refused_with_the_note_for_the_staff(venue):
    venue.person("t", status="blocked", attention="Call security")
    assert venue.refused("blocked", "t")["participant"]["attention"] == "Call security"


def test_valid_from_is_inclusive_and_judged_at_scanned_at(venue):
    venue.person("a", valid_from=at(100))
    venue.refused("not_yet_valid", "a", scanned_at=at(99.999))
    venue.admitted("a", scanned_at=at(100))


def test_valid_until_is_exclusive_and_judged_at_scanned_at(venue):
    venue.person("a", valid_until=at(100))
    venue.person("b", valid_until=at(100))
    venue.refused("expired", "a", scanned_at=at(100))
    venue.admitted("b", scanned_at=at(99.999))


def test_a_gate_that_is_not_listed_is_wrong(venue):
    venue.person("t", gates=["g2"])
    venue.refused("wrong_gate", "t", "g1")
    venue.admitted("t", "g2")


def test_no_listed_gate_means_every_gate(venue):
    venue.people("a", "b")
    venue.admitted("a", "g1")
    venue.admitted("b", "g2")


def test_a_closed_gate_refuses_and_an_opened_one_admits(venue):
    venue.person("t")
    venue.patch_gate("g1", status="closed")
    venue.refused("gate_closed", "t")
    venue.patch_gate("g1", status="open")
    rig.eventually(lambda: venue.scan("t")["verdict"], lambda now: now == "admitted")


def test_a_second_scan_is_refused_as_already_used_and_names_the_first(venue):
    venue.person("t")
    first = venue.admitted("t", "g1", scanned_at=at(10))
    again = venue.refused("already_used", "t", "g2", scanned_at=at(20))
    assert again["first"] == {"at": first["scanned_at"], "gate": "g1"}
    assert again["inside"] == 1


def test_first_is_null_for_every_other_reason(make_venue):
    venue = make_venue(capacity=0)
    venue.person("full")
    venue.person("off", status="blocked")
    assert venue.refused("capacity_full", "full")["first"] is None
    assert venue.refused("blocked", "off")["first"] is None
    assert venue.refused("unknown_token", "x")["first"] is None


def test_the_reasons_come_in_their_order_of_precedence(make_venue):
    """One person against whom everything holds at once; each reason is lifted in turn."""
    venue = make_venue(reentry="none")
    person = venue.person("t")
    venue.person("other")
    venue.admitted("t", scanned_at=at(1))
    venue.exited("t", scanned_at=at(2))
    venue.admitted("other")
    venue.patch(capacity=1)
    venue.patch_gate("g1", status="closed")
    venue.patch_person(person, status="cancelled", valid_from=at(200), gates=["g2"])
    when = {"scanned_at": at(100)}

    venue.refused("cancelled", "t", **when)
    venue.patch_person(person, status="blocked")
    venue.refused("blocked", "t", **when)
    venue.patch_person(person, status="active")
    venue.refused("not_yet_valid", "t", **when)
    venue.patch_person(person, valid_from=None, valid_until=at(50))
    venue.refused("expired", "t", **when)
    venue.patch_person(person, valid_until=None)
    venue.refused("wrong_gate", "t", **when)
    venue.patch_person(person, gates=[])
    venue.refused("gate_closed", "t", **when)
    venue.patch_gate("g1", status="open")
    venue.refused("already_used", "t", **when)
    venue.patch(reentry="after_exit")
    venue.refused("capacity_full", "t", **when)
    venue.patch(capacity=2)
    venue.admitted("t", **when)


def test_a_change_that_lifts_a_refusal_is_seen_within_a_second(venue):
    person = venue.person("t", status="blocked")
    venue.refused("blocked", "t")
    venue.patch_person(person, status="active")
    rig.eventually(lambda: venue.scan("t")["verdict"], lambda now: now == "admitted")


def test_a_change_that_forbids_is_in_force_at_once(venue):
    person = venue.person("t")
    venue.patch_person(person, status="blocked")
    venue.refused("blocked", "t")


# Re-entry --------------------------------------------------------------------------------------

def test_after_exit_lets_in_again_after_an_exit_only(make_venue):
    venue = make_venue(reentry="after_exit")
    venue.person("t")
    venue.admitted("t")
    venue.refused("already_used", "t")
    venue.exited("t")
    venue.admitted("t")
    venue.refused("already_used", "t")


def test_none_admits_once_also_after_an_exit(make_venue):
    venue = make_venue(reentry="none")
    venue.person("t")
    first = venue.admitted("t", "g2", scanned_at=at(1))
    venue.exited("t", scanned_at=at(2))
    again = venue.refused("already_used", "t", "g1", scanned_at=at(3))
    assert again["first"] == {"at": first["scanned_at"], "gate": "g2"}


def test_always_admits_every_time_and_counts_one_inside(make_venue):
    venue = make_venue(reentry="always")
    venue.person("t")
    for _ in range(3):
        assert venue.admitted("t")["inside"] == 1
    venue.stats_become(admitted=1, inside=1, scans=3)
    assert venue.exited("t")["inside"] == 0


def test_after_exit_names_the_last_admission_not_the_first_of_all(venue):
    venue.person("t")
    venue.admitted("t", "g1", scanned_at=at(1))
    venue.exited("t", scanned_at=at(2))
    venue.admitted("t", "g2", scanned_at=at(3))
    again = venue.refused("already_used", "t", "g1", scanned_at=at(4))
    assert again["first"] == {"at": at(3), "gate": "g2"}


# Exits -----------------------------------------------------------------------------------------

def test_an_exit_lowers_inside(venue):
    venue.people("a", "b")
    venue.admitted("a")
    venue.admitted("b")
    assert venue.exited("a")["inside"] == 1


def test_an_exit_of_somebody_who_is_not_inside_is_recorded_and_changes_no_count(venue):
    venue.people("a", "b")
    venue.admitted("b")
    reply = venue.exited("a")
    assert reply["inside"] == 1
    assert venue.exited("a")["inside"] == 1
    venue.stats_become(scans=3, inside=1, refused=0)


def test_an_exit_is_refused_for_an_unknown_token_only(venue):
    reply = venue.scan("nobody", direction="exit")
    assert (reply["verdict"], reply["reason"]) == ("refused", "unknown_token")


@pytest.mark.parametrize("fields", [
    {"status": "cancelled"}, {"status": "blocked"}, {
        "valid_until": at(0)}, {"valid_from": at(3000)},
    {"gates": ["g2"]},
])
def test_nobody_is_kept_from_leaving(venue, fields):
    venue.person("t", **fields)
    venue.exited("t", "g1", scanned_at=at(100))


def test_a_closed_gate_lets_out(venue):
    venue.person("t")
    venue.admitted("t")
    venue.patch_gate("g1", status="closed")
    assert venue.exited("t", "g1")["inside"] == 0


# Late scans ------------------------------------------------------------------------------------

def test_a_late_exit_older_than_the_last_entry_puts_nobody_out(venue):
    venue.person("t")
    venue.admitted("t", scanned_at=at(100))
    assert venue.exited("t", scanned_at=at(50))["inside"] == 1
    venue.refused("already_used", "t", scanned_at=at(200))


def test_a_late_entry_older_than_the_last_exit_brings_nobody_in(venue):
    venue.person("t")
    venue.admitted("t", scanned_at=at(10))
    venue.exited("t", scanned_at=at(100))
    assert venue.admitted("t", scanned_at=at(50))["inside"] == 0
    assert venue.admitted("t", scanned_at=at(200))["inside"] == 1


def test_a_late_entry_into_a_full_house_is_admitted_when_nobody_would_come_in(make_venue):
    venue = make_venue(capacity=1)
    venue.people("a", "b")
    venue.admitted("a", scanned_at=at(10))
    venue.exited("a", scanned_at=at(100))
    venue.admitted("b", scanned_at=at(110))
    assert venue.admitted("a", scanned_at=at(50))["inside"] == 1


def test_an_exit_scanned_before_the_entry_it_arrives_before_is_judged_as_it_stands(venue):
    venue.person("t")
    assert venue.exited("t", scanned_at=at(100))["inside"] == 0
    assert venue.admitted("t", scanned_at=at(50))["inside"] == 0
    assert venue.admitted("t", scanned_at=at(150))["inside"] == 1


def test_a_late_duplicate_names_the_admission_in_the_way(venue):
    venue.person("t")
    venue.admitted("t", "g2", scanned_at=at(100))
    again = venue.refused("already_used", "t", "g1", scanned_at=at(50))
    assert again["first"] == {"at": at(100), "gate": "g2"}


def test_of_two_records_at_the_same_time_the_later_recorded_is_the_last(venue):
    venue.person("t")
    venue.admitted("t", scanned_at=at(100))
    assert venue.exited("t", scanned_at=at(100))["inside"] == 0
    assert venue.admitted("t", scanned_at=at(100))["inside"] == 1


# Force -----------------------------------------------------------------------------------------

def test_force_admits_whatever_the_rules_say_and_is_marked(make_venue):
    venue = make_venue(capacity=1)
    person = venue.person("t", status="blocked")
    for reason, change in (
            ("blocked", {"status": "cancelled"}),
            ("cancelled", {"status": "active", "valid_until": at(0)}),
            ("expired", {"valid_until": None, "valid_from": at(3000)}),
            ("not_yet_valid", {"valid_from": None, "gates": ["g2"]}),
            ("wrong_gate", {"gates": []}),
    ):
        reply = venue.admitted("t", force=True, scanned_at=at(10))
        assert reply["forced"] is True and reply["overrode"] == reason
        venue.patch_person(person, **change)
    reply = venue.admitted("t", force=True)
    assert reply["forced"] is True and reply["overrode"] == "already_used"


def test_force_goes_over_the_capacity_and_counts(make_venue):
    venue = make_venue(capacity=1)
    venue.people("a", "b", "c")
    venue.admitted("a")
    reply = venue.admitted("b", force=True)
    assert (reply["forced"], reply["overrode"], reply["inside"]) == (True, "capacity_full", 2)
    assert venue.refused("capacity_full", "c")["inside"] == 2
    venue.exited("a")
    venue.refused("capacity_full", "c")
    venue.exited("b")
    venue.admitted("c")


def test_force_at_a_closed_gate_is_marked(venue):
    venue.person("t")
    venue.patch_gate("g1", status="closed")
    assert venue.admitted("t", force=True)["overrode"] == "gate_closed"


def test_force_is_not_marked_when_the_rules_agreed(venue):
    venue.person("t")
    reply = venue.admitted("t", force=True)
    assert reply["forced"] is False
    assert reply.get("overrode") is None
    assert venue.attendance()[0]["forced"] is False


def test_force_opens_no_door_to_an_unknown_token(venue):
    assert venue.refused("unknown_token", "nobody", force=True)["forced"] is False


def test_an_unknown_gate_is_404_also_by_force(venue):
    venue.person("t")
    assert venue.try_scan("t", "g9", force=True).code == "unknown_gate"


def test_a_forced_record_is_marked_in_the_history(venue):
    venue.person("t", status="blocked")
    venue.admitted("t", force=True)
    assert venue.attendance()[0]["forced"] is True


def test_every_reply_has_forced(venue):
    venue.person("t")
    assert venue.admitted("t")["forced"] is False
    assert venue.refused("already_used", "t")["forced"] is False
    assert venue.exited("t", force=True)["forced"] is False


# Records ---------------------------------------------------------------------------------------

def test_every_scan_leaves_a_record_refused_ones_too(venue):
    person = venue.person("t")
    replies = [venue.scan("t"), venue.scan("t"), venue.scan("nobody"), venue.exited("t")]
    records = {record["record_id"]: record for record in venue.attendance()}
    assert set(records) == {reply["record_id"] for reply in replies}
    for reply in replies:
        record = records[reply["record_id"]]
        assert record["verdict"] == reply["verdict"]
        assert record["reason"] == reply["reason"]
        assert record["scanned_at"] == reply["scanned_at"]
        assert record["participant"] == (person["id"] if reply["participant"] else None)


def test_a_record_has_two_clocks(venue):
    venue.person("t")
    venue.admitted("t", scanned_at=at(5))
    record = venue.attendance()[0]
    assert record["scanned_at"] == at(5)
    assert abs(rig.parse_time(record["recorded_at"]) - rig.now_s()) < 60


def test_an_answer_to_a_scan_is_plain_json(venue):
    venue.person("t")
    answer = venue.try_scan("t")
    assert answer.type == "application/json"
    json.loads(answer.body)
