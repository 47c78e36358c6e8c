# SPDX-License-Identifier: Apache-2.0
"""Participants: making, changing, erasing and finding them."""

import pytest

import rig
from rig import ok

FULL = {"token": "tok-1", "name": "Ada Lovelace", "email": "ada@example.org", "status": "active",
        "valid_from": "2026-01-01T00:00:00.000Z", "valid_until": "2027-01-01T00:00:00.000Z",
        "gates": ["g1"], "attention": "Needs the ramp"}


def create(venue, **fields):
    return venue.client.post(f"{venue.path}/participants", {"name": "n", **fields})


# Making and reading ----------------------------------------------------------------------------

def test_a_created_participant_comes_back_whole(client, venue):
    made = ok(client.post(f"{venue.path}/participants", FULL), 201)
    assert {key: made[key] for key in FULL} == FULL
    assert ok(client.get(venue.person_path(made))) == made
    assert venue.find(token="tok-1") == [made]


def test_a_participant_without_wishes_is_active_always_and_everywhere(venue):
    made = venue.person("t")
    assert made["status"] == "active"
    assert made["gates"] == []
    assert made["valid_from"] is None and made["valid_until"] is None
    assert made["attention"] is None


def test_a_participant_without_a_token_gets_a_random_one_of_128_bits(venue):
    tokens = {ok(create(venue), 201)["token"] for _ in range(20)}
    assert len(tokens) == 20
    # 128 bits take 22 characters at 6 bits each, 32 at 4
    assert all(len(token) >= 22 for token in tokens)
    venue.admitted(tokens.pop())


def test_a_token_that_an_active_participant_has_is_a_conflict(venue):
    venue.person("t")
    answer = create(venue, token="t")
    assert (answer.status, answer.code) == (409, "conflict")


def test_a_token_is_unique_among_the_active_only(venue):
    old = venue.person("t")
    venue.patch_person(old, status="cancelled")
    new = venue.person("t")
    assert {found["id"] for found in venue.find(token="t")} == {old["id"], new["id"]}
    answer = venue.client.patch(venue.person_path(old), {"status": "active"})
    assert (answer.status, answer.code) == (409, "conflict")


def test_a_scan_takes_the_active_one_of_a_token(venue):
    old = venue.person("t", name="Old")
    venue.patch_person(old, status="blocked")
    new = venue.person("t", name="New")
    assert venue.admitted("t")["participant"]["id"] == new["id"]


def test_a_scan_takes_the_active_one_also_when_a_later_one_is_not(venue):
    first = venue.person("t", name="First")
    venue.person("t", name="Second", status="cancelled")
    assert venue.admitted("t")["participant"]["id"] == first["id"]


def test_a_scan_without_an_active_one_takes_the_latest(venue):
    venue.patch_person(venue.person("t"), status="cancelled")
    venue.patch_person(venue.person("t"), status="blocked")
    venue.refused("blocked", "t")


def test_a_patch_to_a_taken_token_is_a_conflict(client, venue):
    venue.person("a")
    person = venue.person("b")
    answer = client.patch(venue.person_path(person), {"token": "a"})
    assert (answer.status, answer.code) == (409, "conflict")


def test_a_changed_token_is_the_only_one_that_opens(venue):
    person = venue.person("before")
    venue.patch_person(person, token="after")
    venue.refused("unknown_token", "before")
    venue.admitted("after")


def test_the_same_token_is_free_in_another_event(make_venue):
    here, there = make_venue(), make_venue()
    here.person("t", name="Here")
    there.person("t", name="There")
    assert here.admitted("t")["participant"]["name"] == "Here"
    assert there.admitted("t")["participant"]["name"] == "There"


@pytest.mark.parametrize("token", ["", " a", "a ", "\ta", "x" * 257, "a\x00b", 5, ["a"]])
def test_a_malformed_token_is_400_and_named(venue, token):
    answer = create(venue, token=token)
    assert (answer.status, answer.code, answer.field) == (400, "invalid_field", "token")


@pytest.mark.parametrize("token", ["x", "x" * 256, "ü" * 256,
                         "in the middle", "a/b?c=d&e#f%20", '"\\'])
def test_a_token_is_1_to_256_characters_and_kept_exactly(venue, token):
    assert venue.person(token)["token"] == token
    assert venue.one(token)["token"] == token
    venue.admitted(token)


def test_tokens_are_compared_exactly(venue):
    venue.people("Token")
    venue.refused("unknown_token", "token")
    venue.refused("unknown_token", "TOKEN")
    assert venue.find(token="token") == []
    venue.admitted("Token")


@pytest.mark.parametrize("field, value", [
    ("status", "asleep"), ("status", 1), ("email", 5), ("email", "x" * 400), ("name", "x" * 257),
    ("name", ["a"]), ("valid_from", "soon"), ("valid_until",
     12), ("gates", "g1"), ("gates", ["a b"]),
    ("gates", [1]), ("attention", 7), ("attention", "x" * 1025),
])
def test_a_value_out_of_range_is_400_and_named(venue, field, value):
    answer = create(venue, token="t", **{field: value})
    assert (answer.status, answer.code) == (400, "invalid_field")
    assert answer.field.startswith(field)
    assert venue.find(token="t") == []


def test_unknown_participants_are_404(client, venue):
    for person_id in ("999999999", "0", "x", "-1", "1e3", "9" * 30):
        for answer in (client.get(f"{venue.path}/participants/{person_id}"),
                       client.patch(f"{venue.path}/participants/{person_id}", {"name": "x"}),
                       client.delete(f"{venue.path}/participants/{person_id}")):
            assert (answer.status, answer.code) == (404, "unknown_participant"), person_id


def test_a_participant_is_not_found_through_another_event(client, make_venue):
    here, there = make_venue(), make_venue()
    person = here.person("t")
    answer = client.get(there.person_path(person))
    assert (answer.status, answer.code) == (404, "unknown_participant")
    assert client.delete(there.person_path(person)).status == 404
    assert here.one("t")["id"] == person["id"]


# Changing --------------------------------------------------------------------------------------

def test_a_patch_changes_what_it_names_and_keeps_the_rest(client, venue):
    made = ok(client.post(f"{venue.path}/participants", FULL), 201)
    changed = venue.patch_person(made, name="Ada King")
    assert changed == {**made, "name": "Ada King"}
    assert ok(client.get(venue.person_path(made))) == changed


def test_a_patch_with_null_clears(client, venue):
    made = ok(client.post(f"{venue.path}/participants", FULL), 201)
    changed = venue.patch_person(
    made,
    attention=None,
    valid_from=None,
    valid_until=None,
     gates=None)
    assert changed["attention"] is None
    assert changed["valid_from"] is None and changed["valid_until"] is None
    assert changed["gates"] == []
    assert changed["name"] == FULL["name"]


def test_a_merge_patch_may_also_come_as_plain_json(client, venue):
    made = venue.person("t")
    answer = client.patch(venue.person_path(made), {"name": "x"}, content_type="application/json")
    assert ok(answer)["name"] == "x"


def test_a_bad_patch_is_400_and_changes_nothing(client, venue):
    made = venue.person("t")
    answer = client.patch(venue.person_path(made), {"name": "lost", "status": "asleep"})
    assert (answer.status, answer.code, answer.field) == (400, "invalid_field", "status")
    assert ok(client.get(venue.person_path(made))) == made


def test_a_patch_that_is_no_object_is_400(client, venue):
    made = venue.person("t")
    for text in ("[]", "null", "3", '"x"', "", "{"):
        assert client.patch(venue.person_path(made), text).status == 400


def test_attention_and_name_are_shown_to_the_gate(venue):
    venue.person("t", name="Zoë", attention="Guest of honour\nRow 1")
    shown = venue.admitted("t")["participant"]
    assert shown["name"] == "Zoë"
    assert shown["attention"] == "Guest of honour\nRow 1"
    assert shown["status"] == "active"


# Erasing ---------------------------------------------------------------------------------------

def test_an_erased_person_is_gone(client, venue):
    person = venue.person("t", name="Gone Girl", email="gone@example.org")
    venue.erase(person)
    assert client.get(venue.person_path(person)).code == "unknown_participant"
    assert client.delete(venue.person_path(person)).code == "unknown_participant"
    assert client.patch(venue.person_path(person), {"name": "x"}).code == "unknown_participant"
    assert venue.find(token="t") == []
    assert venue.find(q="Gone") == []
    assert venue.find(q="gone@example") == []
    assert venue.find() == []


def test_an_erased_token_is_unknown_and_free(venue):
    venue.erase(venue.person("t"))
    venue.refused("unknown_token", "t")
    venue.person("t", name="Next")
    assert venue.admitted("t")["participant"]["name"] == "Next"


def test_erasing_keeps_every_count_but_participants(venue):
    stays, goes = venue.person("stays"), venue.person("goes")
    venue.admitted("stays")
    venue.admitted("goes")
    venue.refused("already_used", "goes")
    before = venue.stats_become(participants=2, admitted=2, inside=2, scans=3, refused=1)
    venue.erase(goes)
    after = venue.stats_become(participants=1)
    for key in ("admitted", "inside", "scans", "refused", "methods"):
        assert after[key] == before[key], key
    assert venue.gate_stats("g1")["admitted"] == 2
    assert len(venue.attendance()) == 3
    assert venue.one("stays")["id"] == stays["id"]


def test_erasing_blanks_the_name_in_replays_too(venue):
    person = venue.person("t", name="Secret Name", attention="Secret note")
    first = venue.admitted("t", nonce="n1")
    venue.erase(person)
    answer = venue.try_scan("t", nonce="n1")
    again = ok(answer)
    assert again["replayed"] is True
    assert again["record_id"] == first["record_id"]
    assert again["verdict"] == "admitted"
    assert b"Secret" not in answer.body


def test_erasing_blanks_the_name_in_exports_too(client, venue):
    person = venue.person("t", name="Secret Name", email="secret@example.org")
    venue.admitted("t")
    venue.erase(person)
    for accept in ("application/json", rig.CSV):
        body = client.get(f"{venue.path}/attendance", Accept=accept).body
        assert b"Secret" not in body and b"secret@" not in body


def test_an_erased_person_who_was_inside_still_takes_room(make_venue):
    venue = make_venue(capacity=1)
    person = venue.person("t")
    venue.person("next")
    venue.admitted("t")
    venue.erase(person)
    venue.refused("capacity_full", "next")


# Lists and search ------------------------------------------------------------------------------

def names(venue, text):
    return sorted(person["name"] for person in venue.find(q=text))


def test_every_participant_is_listed_once_over_all_pages(client, venue):
    tokens = venue.crowd(257)
    listed = [person["token"] for person in client.pages(f"{venue.path}/participants", limit=50)]
    assert sorted(listed) == tokens


def test_a_person_added_while_paging_disturbs_no_page(client, venue):
    tokens = venue.crowd(30)
    page = ok(client.get(f"{venue.path}/participants?limit=10"))
    seen = [person["token"] for person in page["items"]]
    venue.person("late")
    while page["next"] is not None:
        cursor = rig.urllib.parse.quote(page["next"], safe="")
        page = ok(client.get(f"{venue.path}/participants?limit=10&cursor={cursor}"))
        seen += [person["token"] for person in page["items"]]
    assert len(seen) == len(set(seen))
    assert set(tokens) <= set(seen)


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "", "1.5", "99999999999999999999"])
def test_a_limit_out_of_range_is_400_and_named(client, venue, limit):
    answer = client.get(f"{venue.path}/participants?limit={limit}")
    assert (answer.status, answer.code, answer.field) == (400, "invalid_field", "limit")


@pytest.mark.parametrize("cursor", ["x", "AAAA", "%00", "..", "x" * 500])
def test_a_damaged_cursor_is_400(client, venue, cursor):
    answer = client.get(f"{venue.path}/participants?cursor={cursor}")
    assert (answer.status, answer.code) == (400, "invalid_cursor")


def test_a_cursor_with_one_changed_character_is_400_or_never_a_crash(client, venue):
    venue.crowd(3)
    cursor = ok(client.get(f"{venue.path}/participants?limit=1"))["next"]
    damaged = 0
    for index in range(len(cursor)):
        other = cursor[:index] + ("A" if cursor[index] != "A" else "B") + cursor[index + 1:]
        answer = client.get(f"{venue.path}/participants?limit=1&cursor=" +
                            rig.urllib.parse.quote(other, safe=""))
        assert answer.status in (200, 400)
        damaged += answer.status == 400
    assert damaged > 0


def test_without_a_limit_a_page_has_100(client, venue):
    venue.crowd(101)
    page = ok(client.get(f"{venue.path}/participants"))
    assert len(page["items"]) == 100 and page["next"] is not None


@pytest.fixture(scope="module")
def crowd(server):
    with server.client() as client:
        venue = rig.Venue(client)
        for index, (name, email) in enumerate((
                ("José Müller", "jose.mueller@example.org"),
                ("Jo Ann O'Neil", "ann@firm-one.example"),
                ("김철수", "chulsoo.kim@example.kr"),
                ("김영희", "younghee@example.kr"),
                ("Élodie Été", "ee@example.fr"),
                ("STRASSE Ängström", "ång@example.se"),
                ("Jean-Luc Picard", "captain_picard+bridge@ship.example"),
                ("Nguyễn Văn Đạt", "dat@example.vn"),
        )):
            venue.person(f"s{index}", name=name, email=email)
        yield venue


@pytest.mark.parametrize("text, found", [
    ("müller", ["José Müller"]),
    ("MULLER", ["José Müller"]),
    ("jose", ["José Müller"]),
    ("JOSÉ", ["José Müller"]),
    ("mu", ["José Müller"]),
    ("elodie ete", ["Élodie Été"]),
    ("angstrom", ["STRASSE Ängström"]),
    ("strasse", ["STRASSE Ängström"]),
    ("nguyen van", ["Nguyễn Văn Đạt"]),
    ("picard", ["Jean-Luc Picard"]),
    ("luc", ["Jean-Luc Picard"]),
    ("jean-luc", ["Jean-Luc Picard"]),
    ("neil", ["Jo Ann O'Neil"]),
])
def test_search_folds_case_and_accents_and_takes_prefixes(crowd, text, found):
    assert names(crowd, text) == found


def test_search_takes_a_decomposed_accent_as_the_composed_one(crowd):
    assert names(crowd, "mu\u0308ller") == ["José Müller"]


@pytest.mark.parametrize("text, found", [
    ("김철", ["김철수"]), ("김철수", ["김철수"]), ("김영희", ["김영희"]), ("김영", ["김영희"]),
])
def test_search_finds_korean_names_from_two_characters(crowd, text, found):
    assert names(crowd, text) == found


@pytest.mark.parametrize("text, found", [
    ("jose.mueller@example.org", ["José Müller"]),
    ("mueller@", ["José Müller"]),
    ("ueller", ["José Müller"]),
    ("firm-one", ["Jo Ann O'Neil"]),
    ("CAPTAIN_PICARD+BRIDGE", ["Jean-Luc Picard"]),
    ("ship.example", ["Jean-Luc Picard"]),
    ("e.kr", ["김영희", "김철수"]),
    ("kr", ["김영희", "김철수"]),
])
def test_search_finds_any_part_of_an_email_address(crowd, text, found):
    assert names(crowd, text) == found


def test_every_word_must_match_in_any_order(crowd):
    assert names(crowd, "müller josé") == ["José Müller"]
    assert names(crowd, "josé picard") == []
    assert names(crowd, "김철 example.kr") == ["김철수"]


def test_a_word_matches_from_its_start_only(crowd):
    assert names(crowd, "icard") == ["Jean-Luc Picard"]  # a part of the address
    assert names(crowd, "odie") == []
    assert names(crowd, "철수") == []


@pytest.mark.parametrize("text", [
    '"', '""', "'", "* *", "AND", "OR OR", "NOT x", "NEAR(", "a*b", "name:jose", "-jose", "^jo",
    "(((", "{}", "col : x", "\\\\", "%_", "--", ";;", "🙂🙂", "\u0000\u0000", "jo" * 200,
])
def test_no_search_text_is_an_error_of_the_server(crowd, text):
    answer = crowd.client.get(f"{crowd.path}/participants" + rig.query(q=text))
    assert answer.status in (200, 400), answer


def test_like_wildcards_mean_themselves(crowd):
    assert names(crowd, "%%") == []
    assert names(crowd, "____") == []


def test_one_character_is_too_short_to_search(crowd):
    answer = crowd.client.get(f"{crowd.path}/participants?q=j")
    assert (answer.status, answer.code, answer.field) == (400, "invalid_field", "q")


def test_a_renamed_person_is_found_by_the_new_name_only(venue):
    person = venue.person("t", name="Before Change", email="before@example.org")
    venue.patch_person(person, name="After Change", email="after@example.org")
    assert names(venue, "before") == []
    assert names(venue, "after") == ["After Change"]


def test_search_stays_within_its_event(make_venue):
    here, there = make_venue(), make_venue()
    here.person("t", name="Unique Person")
    assert names(there, "unique") == []


def test_a_search_is_paged_completely(client, venue):
    venue.crowd(45)
    found = client.pages(f"{venue.path}/participants?q=name", limit=10)
    assert len({person["token"] for person in found}) == 45 == len(found)
