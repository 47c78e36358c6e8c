# SPDX-License-Identifier: Apache-2.0
"""Importing participants: CSV and NDJSON over HTTP, and the command."""

import json

import pytest

import rig
from rig import ok


def counts(answer):
    body = ok(answer)
    return body["created"], body["updated"], [row["line"] for row in body["rejected"]]


def test_new_rows_are_created_and_known_tokens_updated(venue):
    venue.person("a", name="Old", email="old@example.org")
    answer = venue.import_csv("token,name,email\na,New,new@example.org\nb,Bea,b@example.org\n")
    assert counts(answer) == (1, 1, [])
    assert venue.one("a")["name"] == "New"
    assert venue.one("b")["email"] == "b@example.org"


def test_a_repeated_import_creates_nobody(venue):
    text = "token,name\na,A\nb,B\n"
    assert counts(venue.import_csv(text)) == (2, 0, [])
    assert counts(venue.import_csv(text)) == (0, 2, [])
    assert len(venue.find()) == 2


def test_every_field_can_be_imported(venue):
    ok(venue.import_csv(
        "token,name,email,status,valid_from,valid_until,gates,attention\n"
        "t,Ada,ada@example.org,blocked,2026-01-01T00:00:00Z,2026-12-01T09:00:00+09:00,g1 g2,Ramp"))
    person = venue.one("t")
    person.pop("id")
    assert person == {
        "token": "t", "name": "Ada", "email": "ada@example.org", "status": "blocked",
        "valid_from": "2026-01-01T00:00:00.000Z", "valid_until": "2026-12-01T00:00:00.000Z",
        "gates": ["g1", "g2"], "attention": "Ramp"} | {
            key: person[key] for key in ("created_at", "updated_at") if key in person}


def test_columns_may_come_in_any_order(venue):
    ok(venue.import_csv("name,token\nAda,t\n"))
    assert venue.one("t")["name"] == "Ada"


def test_a_missing_column_keeps(venue):
    venue.person("t", name="Ada", email="ada@example.org", attention="Ramp", gates=["g1"])
    ok(venue.import_csv("token,name\nt,Other\n"))
    person = venue.one("t")
    assert person["name"] == "Other"
    assert person["email"] == "ada@example.org"
    assert person["attention"] == "Ramp"
    assert person["gates"] == ["g1"]


def test_an_empty_cell_clears(venue):
    venue.person("t", attention="Ramp", gates=["g1"], valid_from=rig.at(0), valid_until=rig.at(9))
    ok(venue.import_csv("token,attention,gates,valid_from,valid_until\nt,,,,\n"))
    person = venue.one("t")
    assert person["attention"] is None
    assert person["gates"] == []
    assert person["valid_from"] is None and person["valid_until"] is None


def test_unknown_columns_are_named_in_a_warning_and_ignored(venue):
    body = ok(venue.import_csv("token,shoe_size,name\nt,44,Ada\n"))
    assert body["created"] == 1
    assert "shoe_size" in json.dumps(body["warnings"])
    assert venue.one("t")["name"] == "Ada"


def test_a_byte_order_mark_is_no_part_of_the_first_column(venue):
    assert counts(venue.import_csv("\ufefftoken,name\nt,Ada\n")) == (1, 0, [])
    assert venue.one("t")["name"] == "Ada"


def test_lines_may_end_with_crlf_and_the_last_with_nothing(venue):
    assert counts(venue.import_csv("token,name\r\na,Ann\r\nb,Bob")) == (2, 0, [])
    assert venue.one("a")["name"] == "Ann"
    assert venue.one("b")["name"] == "Bob"


def test_quotes_keep_commas_quotes_and_newlines(venue):
    text = 'token,name,attention\n"t","Doe, ""Jo""","first\nsecond"\n'
    assert counts(venue.import_csv(text)) == (1, 0, [])
    person = venue.one("t")
    assert person["name"] == 'Doe, "Jo"'
    assert person["attention"] == "first\nsecond"


def test_a_bad_row_is_named_by_the_physical_line_where_it_starts(venue):
    text = ('token,attention,status\n'       # 1
            'a,"one\ntwo\nthree",active\n'   # 2 to 4
            'b,x,asleep\n'                   # 5
            '"c","multi\nline",asleep\n'     # 6 to 7
            'd,x,active\n'                   # 8
            ',x,active\n')                   # 9
    assert counts(venue.import_csv(text)) == (2, 0, [5, 6, 9])
    assert venue.find(token="b") == []


def test_every_rejected_row_has_a_reason(venue):
    body = ok(venue.import_csv("token,status,valid_from\na,asleep,\nb,,never\n"))
    assert [row["line"] for row in body["rejected"]] == [2, 3]
    assert all(row["reason"] for row in body["rejected"])


def test_one_bad_row_harms_no_other(venue):
    rows = "".join(f"t{n},{'asleep' if n % 7 == 3 else 'active'}\n" for n in range(100))
    created, updated, rejected = counts(venue.import_csv("token,status\n" + rows))
    assert rejected == [n + 2 for n in range(100) if n % 7 == 3]
    assert (created, updated) == (100 - len(rejected), 0)


def test_a_row_with_too_many_or_too_few_cells_is_rejected(venue):
    created, _, rejected = counts(venue.import_csv("token,name\na\nb,B\nc,C,extra\n"))
    assert created == 1
    assert rejected == [2, 4]


def test_blank_lines_between_rows_are_no_rows(venue):
    assert counts(venue.import_csv("token,name\n\na,A\n\n\nb,asleep\n")) == (2, 0, [])


def test_a_token_twice_in_a_file_makes_one_participant_and_the_last_row_wins(venue):
    created, updated, rejected = counts(venue.import_csv("token,name\nt,First\nu,U\nt,Last\n"))
    assert rejected == []
    assert (created, created + updated) in ((2, 2), (2, 3))
    assert venue.one("t")["name"] == "Last"


def test_a_token_twice_far_apart_makes_one_participant_too(venue):
    rows = "".join(f"t{n},N\n" for n in range(3000))
    created, _, rejected = counts(venue.import_csv(f"token,name\nt5,First\n{rows}t5,Last\n"))
    assert (created, rejected) == (3000, [])
    assert venue.one("t5")["name"] == "Last"


def test_an_import_updates_the_active_one_of_a_token(venue):
    old = venue.person("t", name="Old")
    venue.patch_person(old, status="cancelled")
    new = venue.person("t", name="New")
    assert counts(venue.import_csv("token,name\nt,Imported\n")) == (0, 1, [])
    by_id = {person["id"]: person["name"] for person in venue.find(token="t")}
    assert by_id == {old["id"]: "Old", new["id"]: "Imported"}


def test_an_import_without_a_token_column_is_400(venue):
    answer = venue.import_csv("name,email\nAda,a@example.org\n")
    assert (answer.status, answer.code) == (400, "malformed_csv")


@pytest.mark.parametrize("text", ["", "\n", 'token,name\na,"open', "token,token\na,b\n"])
def test_text_that_is_no_table_is_400(venue, text):
    answer = venue.import_csv(text)
    if answer.status == 200:  # an unclosed quote may also be a rejected row
        assert '"open' in text and answer.json["created"] == 0 and answer.json["rejected"]
        return
    assert (answer.status, answer.code) == (400, "malformed_csv")


def test_bytes_that_are_no_utf8_are_rejected_and_nobody_is_made(venue):
    answer = venue.client.post(f"{venue.path}/participants:import",
                               b"token,name\nt,\xff\xfe\n", rig.CSV)
    if answer.status == 200:
        assert [row["line"] for row in answer.json["rejected"]] == [2]
    else:
        assert answer.status == 400
    assert venue.find(token="t") == []


def test_a_header_alone_imports_nobody(venue):
    assert counts(venue.import_csv("token,name\n")) == (0, 0, [])


def test_ndjson_rows_are_upserted(venue):
    venue.person("a", name="Old", email="kept@example.org")
    answer = venue.import_ndjson([{"token": "a", "name": "New"}, {"token": "b", "gates": ["g2"]}])
    assert counts(answer) == (1, 1, [])
    assert venue.one("a")["name"] == "New" and venue.one("a")["email"] == "kept@example.org"
    assert venue.one("b")["gates"] == ["g2"]


def test_ndjson_null_clears(venue):
    venue.person("a", attention="Ramp")
    ok(venue.import_ndjson([{"token": "a", "attention": None}]))
    assert venue.one("a")["attention"] is None


def test_a_bad_ndjson_line_is_named_and_harms_no_other(venue):
    text = '{"token":"a"}\n{"token":\n\n{"token":"b"}\n{"token":7}\n[]\n{"name":"no token"}\n'
    answer = venue.client.post(f"{venue.path}/participants:import", text, rig.NDJSON)
    assert counts(answer) == (2, 0, [2, 5, 6, 7])


def test_an_import_in_another_type_is_415(venue):
    answer = venue.client.post(f"{venue.path}/participants:import", "token\na\n", "text/html")
    assert (answer.status, answer.code) == (415, "unsupported_media_type")


def test_the_type_may_carry_a_charset(venue):
    answer = venue.client.post(f"{venue.path}/participants:import", "token\na\n",
                               "text/csv; charset=utf-8")
    assert counts(answer) == (1, 0, [])


def test_an_import_into_an_unknown_event_is_404(client):
    answer = client.post("/v1/events/nobody-made-this/participants:import", "token\na\n", rig.CSV)
    assert (answer.status, answer.code) == (404, "unknown_event")


def test_an_imported_person_is_admitted_and_found(venue):
    ok(venue.import_csv("token,name\nt,Grace Hopper\n"))
    assert venue.find(q="hopper")[0]["token"] == "t"
    assert venue.admitted("t")["participant"]["name"] == "Grace Hopper"


def test_an_import_of_more_than_32_mib_is_413(venue):
    body = b"token,name\n" + b"x" * (32 * 1024 * 1024)
    link = venue.client
    try:
        answer = link.post(f"{venue.path}/participants:import", body, rig.CSV)
    except (BrokenPipeError, ConnectionResetError):
        link.close()  # cut off before all of it was sent, which is as good
        return
    assert (answer.status, answer.code) == (413, "too_large")
    link.close()


def test_a_chunked_import_is_taken(server, venue):
    rows = b"".join(b"t%d,N\n" % n for n in range(5000))
    body = b"token,name\n" + rows
    with server.socket() as link:
        link.sendall(b"POST %s/participants:import HTTP/1.1\r\nHost: x\r\n"
                     b"Content-Type: text/csv\r\n"
                     b"Transfer-Encoding: chunked\r\n\r\n" % venue.path.encode())
        for start in range(0, len(body), 777):
            piece = body[start:start + 777]
            link.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        link.sendall(b"0\r\n\r\n")
        reply = rig.http.client.HTTPResponse(link)
        reply.begin()
        assert reply.status == 200
        assert json.loads(reply.read())["created"] == 5000


# The command -----------------------------------------------------------------------------------

def test_the_import_command_does_what_the_route_does(make_server, tmp_path):
    server = make_server()
    with server.client() as client:
        venue = rig.Venue(client)
        table = tmp_path / "people.csv"
        table.write_text("token,name,status\na,Ann,active\nb,Bob,asleep\nc,Cid,active\n")
        done = rig.run("import", "participants", "--event", venue.code, "--store",
                       f"sqlite:{server.store}", "--json", table)
        assert done.stdout, done.stderr
        body = json.loads(done.stdout)
        assert (body["created"], body["updated"]) == (2, 0)
        assert [row["line"] for row in body["rejected"]] == [3]
        rig.eventually(lambda: len(venue.find()), lambda now: now == 2)
        venue.admitted("a")


def test_the_import_command_fails_for_an_unknown_event(make_server, tmp_path):
    server = make_server()
    table = tmp_path / "people.csv"
    table.write_text("token\na\n")
    done = rig.run("import", "participants", "--event", "nobody-made-this", "--store",
                   f"sqlite:{server.store}", table)
    assert done.returncode == 1
    assert "nobody-made-this" in done.stderr or "event" in done.stderr


def test_the_import_command_without_a_file_is_a_usage_error():
    assert rig.run("import", "participants").returncode == 2
