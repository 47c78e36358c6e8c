# SPDX-License-Identifier: Apache-2.0
"""Annulling undoes one admission or exit and keeps the record."""

import rig
from rig import at


def test_an_annulled_admission_answers_with_the_record(venue):
    person = venue.person("t")
    reply = venue.admitted("t", scanned_at=at(1))
    record = venue.annul(reply["record_id"])
    assert record["record_id"] == reply["record_id"]
    assert record["participant"] == person["id"]
    assert record["verdict"] == "admitted"
    assert record["scanned_at"] == at(1)
    rig.parse_time(record["annulled_at"])
    assert venue.attendance() == [record]


def test_an_annulled_admission_lets_the_person_in_again(make_venue):
    venue = make_venue(reentry="none")
    venue.person("t")
    reply = venue.admitted("t")
    venue.refused("already_used", "t")
    venue.annul(reply["record_id"])
    assert venue.admitted("t")["inside"] == 1


def test_annulling_takes_the_record_out_of_every_count(venue):
    venue.people("a", "b")
    venue.admitted("a", "g1", scanned_at=at(60))
    reply = venue.admitted("b", "g1", scanned_at=at(60))
    venue.stats_become(admitted=2, inside=2)
    venue.annul(reply["record_id"])
    venue.stats_become(admitted=1, inside=1, scans=2, refused=0)
    venue.gate_stats_become("g1", admitted=1, exited=0)
    rig.eventually(lambda: venue.timeline(at(0), at(120), 60)["items"],
                   lambda items: [item["admitted"] for item in items] == [1])


def test_annulling_an_exit_takes_it_out_of_every_count_and_brings_back(venue):
    venue.person("t")
    venue.admitted("t", "g1")
    reply = venue.exited("t", "g2")
    venue.gate_stats_become("g2", exited=1)
    venue.annul(reply["record_id"])
    venue.stats_become(inside=1, admitted=1)
    venue.gate_stats_become("g2", exited=0)
    venue.refused("already_used", "t")


def test_annulling_makes_room_in_a_full_house(make_venue):
    venue = make_venue(capacity=1)
    venue.people("a", "b")
    reply = venue.admitted("a")
    venue.refused("capacity_full", "b")
    venue.annul(reply["record_id"])
    venue.admitted("b")


def test_an_annulled_exit_of_a_full_house_is_allowed(make_venue):
    venue = make_venue(capacity=1)
    venue.people("a", "b", "c")
    venue.admitted("a")
    left = venue.exited("a")
    venue.admitted("b")
    venue.annul(left["record_id"])
    venue.stats_become(inside=2)
    venue.refused("capacity_full", "c")


def test_annulling_twice_is_409(venue):
    venue.person("t")
    reply = venue.admitted("t")
    venue.annul(reply["record_id"])
    answer = venue.try_annul(reply["record_id"])
    assert (answer.status, answer.code) == (409, "not_annullable")
    venue.stats_become(inside=0, admitted=0)


def test_annulling_a_refusal_is_409(venue):
    for reply in (venue.refused("unknown_token", "nobody"),):
        answer = venue.try_annul(reply["record_id"])
        assert (answer.status, answer.code) == (409, "not_annullable")


def test_annulling_an_unknown_record_is_404(venue):
    for record_id in ("999999999", "0", "x", "-1", "9" * 30):
        answer = venue.try_annul(record_id)
        assert (answer.status, answer.code) == (404, "unknown_record"), record_id


def test_a_record_of_another_event_is_404(make_venue):
    here, there = make_venue(), make_venue()
    here.person("t")
    reply = here.admitted("t")
    answer = there.try_annul(reply["record_id"])
    assert (answer.status, answer.code) == (404, "unknown_record")
    here.stats_become(inside=1)


def test_annulling_one_of_several_admissions_leaves_the_others(make_venue):
    venue = make_venue(reentry="always")
    venue.person("t")
    first = venue.admitted("t", scanned_at=at(1))
    second = venue.admitted("t", scanned_at=at(2))
    venue.annul(second["record_id"])
    venue.stats_become(inside=1, admitted=1)
    venue.annul(first["record_id"])
    venue.stats_become(inside=0, admitted=0)


def test_annulling_the_middle_of_a_history_goes_by_what_stands_last(venue):
    venue.person("t")
    venue.admitted("t", scanned_at=at(1))
    left = venue.exited("t", scanned_at=at(2))
    back = venue.admitted("t", scanned_at=at(3))
    venue.annul(left["record_id"])
    venue.stats_become(inside=1)
    venue.annul(back["record_id"])
    venue.stats_become(inside=1)  # the first admission is what stands last now


def test_a_replay_of_an_annulled_scan_says_so(venue):
    venue.person("t")
    reply = venue.admitted("t", nonce="n")
    venue.annul(reply["record_id"])
    again = venue.scan("t", nonce="n")
    assert again["replayed"] is True
    assert again["annulled"] is True
    assert again["verdict"] == "admitted"
    assert again["inside"] == 0
    assert venue.admitted("t", nonce="n2")["replayed"] is False


def test_after_annulling_the_duplicate_reply_names_the_admission_that_stands(make_venue):
    venue = make_venue(reentry="none")
    venue.person("t")
    first = venue.admitted("t", "g1", scanned_at=at(1))
    venue.admitted("t", "g2", scanned_at=at(2), force=True)
    venue.annul(first["record_id"])
    assert venue.refused("already_used", "t")["first"] == {"at": at(2), "gate": "g2"}


def test_annulling_the_record_of_somebody_erased_keeps_the_counts_right(venue):
    person = venue.person("t")
    reply = venue.admitted("t")
    venue.erase(person)
    venue.annul(reply["record_id"])
    venue.stats_become(inside=0, admitted=0, participants=0)


def test_concurrent_annulments_of_one_record_succeed_once(server, venue):
    venue.person("t")
    reply = venue.admitted("t")

    def work(_):
        with server.client() as client:
            return client.post(f"{venue.path}/checkins/{reply['record_id']}:annul").status

    statuses = rig.in_threads(16, work)
    assert sorted(statuses) == [200] + [409] * 15
    venue.stats_become(inside=0, admitted=0)
