# SPDX-License-Identifier: Apache-2.0
"""A nonce makes a scan idempotent."""

import pytest

from rig import at, ok


def without(reply, *names):
    return {key: value for key, value in reply.items() if key not in names}


def test_a_repeated_nonce_returns_the_first_verdict_and_writes_nothing(venue):
    venue.person("t")
    first = venue.admitted("t", nonce="n")
    again = venue.scan("t", nonce="n")
    assert first["replayed"] is False and again["replayed"] is True
    assert without(again, "replayed") == without(first, "replayed")
    assert len(venue.attendance()) == 1


def test_a_refusal_replays_though_its_cause_is_gone(venue):
    person = venue.person("t", status="blocked")
    first = venue.refused("blocked", "t", nonce="n")
    venue.patch_person(person, status="active")
    again = venue.refused("blocked", "t", nonce="n")
    assert again["replayed"] is True and again["record_id"] == first["record_id"]
    venue.admitted("t")


def test_a_refusal_of_an_unknown_token_replays(venue):
    first = venue.refused("unknown_token", "later", nonce="n")
    venue.person("later")
    again = venue.refused("unknown_token", "later", nonce="n")
    assert again["replayed"] is True and again["record_id"] == first["record_id"]


def test_an_exit_replays(venue):
    venue.person("t")
    venue.admitted("t")
    first = venue.exited("t", nonce="n")
    venue.admitted("t")
    again = venue.exited("t", nonce="n")
    assert again["replayed"] is True and again["record_id"] == first["record_id"]
    assert venue.stats_become(inside=1)


def test_a_replay_says_who_is_inside_now(venue):
    venue.people("a", "b")
    assert venue.admitted("a", nonce="n")["inside"] == 1
    venue.admitted("b")
    assert venue.scan("a", nonce="n")["inside"] == 2


def test_a_replay_of_a_duplicate_names_the_first_as_it_did(venue):
    venue.person("t")
    venue.admitted("t", "g2", scanned_at=at(1))
    first = venue.refused("already_used", "t", "g1", nonce="n", scanned_at=at(2))
    again = venue.refused("already_used", "t", "g1", nonce="n", scanned_at=at(2))
    assert again["first"] == first["first"] == {"at": at(1), "gate": "g2"}


def test_a_replay_of_a_forced_scan_is_still_marked(venue):
    venue.person("t", status="blocked")
    venue.admitted("t", nonce="n", force=True)
    again = venue.admitted("t", nonce="n", force=True)
    assert (again["replayed"], again["forced"], again["overrode"]) == (True, True, "blocked")


@pytest.mark.parametrize("change", [{"token": "u"}, {"gate": "g2"}, {"direction": "exit"}])
def test_the_same_nonce_with_another_token_gate_or_direction_is_a_conflict(venue, change):
    venue.people("t", "u")
    venue.admitted("t", nonce="n")
    body = {"token": "t", "gate": "g1", "nonce": "n", **change}
    answer = venue.client.post(f"{venue.path}/checkins", body)
    assert (answer.status, answer.code) == (409, "nonce_conflict")
    assert len(venue.attendance()) == 1


def test_the_same_nonce_with_another_time_or_method_is_a_replay(venue):
    venue.person("t")
    first = venue.admitted("t", nonce="n", scanned_at=at(1), method="qr")
    again = venue.scan("t", nonce="n", scanned_at=at(2), method="nfc")
    assert again["replayed"] is True
    assert again["scanned_at"] == first["scanned_at"]


def test_an_unknown_token_with_the_nonce_of_another_is_a_conflict(venue):
    venue.refused("unknown_token", "nobody", nonce="n")
    answer = venue.try_scan("somebody-else", nonce="n")
    assert (answer.status, answer.code) == (409, "nonce_conflict")


def test_a_nonce_belongs_to_its_event(make_venue):
    here, there = make_venue(), make_venue()
    here.person("t")
    there.person("t")
    here.admitted("t", nonce="n")
    assert there.admitted("t", nonce="n")["replayed"] is False


def test_a_nonce_has_at_most_64_characters(venue):
    venue.person("t")
    assert venue.admitted("t", nonce="x" * 64)["replayed"] is False
    assert venue.scan("t", nonce="x" * 64)["replayed"] is True
    assert venue.try_scan("t", nonce="x" * 65).field == "nonce"


def test_nonces_are_compared_exactly(venue):
    venue.person("t")
    venue.admitted("t", nonce="Nonce")
    assert venue.refused("already_used", "t", nonce="nonce")["replayed"] is False


def test_a_scan_without_a_nonce_is_never_a_replay(venue):
    venue.person("t")
    venue.admitted("t")
    assert venue.refused("already_used", "t")["replayed"] is False
    assert len(venue.attendance()) == 2


def test_a_nonce_is_free_after_a_scan_that_was_no_scan(venue):
    venue.person("t")
    assert venue.try_scan("t", "g9", nonce="n").code == "unknown_gate"
    assert venue.admitted("t", nonce="n")["replayed"] is False


def test_a_nonce_in_a_batch_replays_a_single_scan_and_the_other_way_round(venue):
    venue.people("a", "b")
    single = venue.admitted("a", nonce="na")
    lines = venue.batch([{"token": "a", "gate": "g1", "nonce": "na"},
                         {"token": "b", "gate": "g1", "nonce": "nb"}])
    assert lines[0]["replayed"] is True and lines[0]["record_id"] == single["record_id"]
    again = venue.scan("b", nonce="nb")
    assert again["replayed"] is True and again["record_id"] == lines[1]["record_id"]


def test_a_nonce_twice_in_a_batch_is_one_record(venue):
    venue.person("t")
    lines = venue.batch([{"token": "t", "gate": "g1", "nonce": "n"}] * 3)
    assert [line["replayed"] for line in lines] == [False, True, True]
    assert len({line["record_id"] for line in lines}) == 1


def test_a_replay_survives_a_restart(make_server, tmp_path):
    from rig import Venue
    server = make_server()
    with server.client() as client:
        venue = Venue(client)
        venue.person("t")
        first = venue.admitted("t", nonce="n")
    server.restart()
    with server.client() as client:
        again = ok(client.post(f"{venue.path}/checkins",
                   {"token": "t", "gate": "g1", "nonce": "n"}))
        assert without(again, "replayed") == without(first, "replayed")
        assert again["replayed"] is True
