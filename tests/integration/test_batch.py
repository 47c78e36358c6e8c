# SPDX-License-Identifier: Apache-2.0
"""What an offline scanner uploads: NDJSON, a scan a line."""

import concurrent.futures
import contextlib
import json
import socket
import sqlite3
import struct

import pytest
import rig
from rig import at


def scans(*pairs):
    return [{"token": token, "gate": "g1", "scanned_at": at(when)} for token, when in pairs]


def test_answers_come_in_the_order_of_the_lines_with_their_index(venue):
    tokens = venue.crowd(10)
    lines = venue.batch([{"token": token, "gate": "g1"} for token in tokens])
    assert [line["index"] for line in lines] == list(range(10))
    assert [line["verdict"] for line in lines] == ["admitted"] * 10
    assert [line["participant"]["name"] for line in lines] == [f"Name {token}" for token in tokens]


def test_a_line_is_answered_as_a_single_scan_is(venue):
    venue.people("a", "b")
    single = venue.scan("a")
    line = venue.batch([{"token": "b", "gate": "g1"}])[0]
    assert set(line) - {"index"} == set(single)


def test_the_order_by_scanned_at_decides(venue):
    venue.person("t")
    late, early = venue.batch(scans(("t", 200), ("t", 100)))
    assert early["verdict"] == "admitted"
    assert (late["verdict"], late["reason"]) == ("refused", "already_used")
    assert late["first"] == {"at": at(100), "gate": "g1"}


def test_entries_and_exits_are_put_in_order_before_they_are_judged(venue):
    venue.person("t")
    lines = scans(("t", 300), ("t", 200), ("t", 100))
    lines[1]["direction"] = "exit"
    assert [line["verdict"] for line in venue.batch(lines)] == ["admitted", "exited", "admitted"]


def test_lines_without_scanned_at_come_last(venue):
    venue.person("t")
    lines = venue.batch([{"token": "t", "gate": "g2"}, *scans(("t", 100))])
    assert [line["verdict"] for line in lines] == ["refused", "admitted"]


def test_equal_times_keep_their_order(venue):
    venue.person("t")
    lines = scans(*[("t", 100)] * 6)
    for line in lines[1::2]:
        line["direction"] = "exit"
    assert [line["verdict"] for line in venue.batch(lines)] == ["admitted", "exited"] * 3


def test_the_order_holds_over_thousands_of_lines(venue):
    tokens = venue.crowd(1500)
    lines = scans(*[(token, 3000 - n) for n, token in enumerate(tokens)],
                  *[(token, 10) for token in tokens])
    answers = venue.batch(lines)
    assert [line["index"] for line in answers] == list(range(3000))
    assert {line["reason"] for line in answers[:1500]} == {"already_used"}
    assert {line["verdict"] for line in answers[1500:]} == {"admitted"}
    venue.stats_become(inside=1500, scans=3000, refused=1500)


def test_capacity_goes_to_the_earliest(make_venue):
    venue = make_venue(capacity=3)
    tokens = venue.crowd(9)
    answers = venue.batch(scans(*[(token, 100 - n) for n, token in enumerate(tokens)]))
    assert [line["verdict"] for line in answers] == ["refused"] * 6 + ["admitted"] * 3


def test_one_bad_line_never_harms_another(venue):
    venue.people("a", "b")
    lines = venue.batch(['{"token":"a","gate":"g1"}', "{broken", '{"token":5,"gate":"g1"}',
                         '{"token":"b","gate":"g9"}', "[]", '{"token":"b","gate":"g1"}'])
    assert [line["index"] for line in lines] == list(range(6))
    assert lines[0]["verdict"] == "admitted" and lines[5]["verdict"] == "admitted"
    assert [lines[n]["error"]["code"] for n in (1, 2, 3)] == [
        "malformed_json", "invalid_field", "unknown_gate"]
    for number in (1, 2, 3, 4):
        assert set(lines[number]) == {"index", "error"}
        assert lines[number]["error"]["detail"]
    assert len(venue.attendance()) == 2


def test_a_scan_too_far_ahead_is_an_error_of_its_line(venue):
    venue.people("a", "b")
    lines = venue.batch([{"token": "a", "gate": "g1", "scanned_at": rig.rfc3339(rig.now_s() + 400)},
                         {"token": "b", "gate": "g1"}])
    assert lines[0]["error"]["code"] == "invalid_field"
    assert lines[1]["verdict"] == "admitted"


def test_a_nonce_conflict_is_an_error_of_its_line(venue):
    venue.people("a", "b")
    lines = venue.batch([{"token": "a", "gate": "g1", "nonce": "n"},
                         {"token": "b", "gate": "g1", "nonce": "n"}])
    assert lines[0]["verdict"] == "admitted"
    assert lines[1]["error"]["code"] == "nonce_conflict"


def test_blank_lines_are_skipped(venue):
    venue.people("a", "b")
    text = '\n\n{"token":"a","gate":"g1"}\n\n  \r\n{"token":"b","gate":"g1"}\n\n'
    answer = venue.client.post(f"{venue.path}/checkins:batch", text, rig.NDJSON)
    assert [line["index"] for line in answer.lines] == [0, 1]
    assert [line["verdict"] for line in answer.lines] == ["admitted", "admitted"]


def test_lines_may_end_with_crlf_and_the_last_with_nothing(venue):
    venue.people("a", "b")
    text = '{"token":"a","gate":"g1"}\r\n{"token":"b","gate":"g1"}'
    answer = venue.client.post(f"{venue.path}/checkins:batch", text, rig.NDJSON)
    assert [line["verdict"] for line in answer.lines] == ["admitted", "admitted"]


def test_an_empty_batch_is_answered_with_nothing(venue):
    for text in ("", "\n\n"):
        answer = venue.client.post(f"{venue.path}/checkins:batch", text, rig.NDJSON)
        assert answer.status == 200 and answer.type == rig.NDJSON and answer.body == b""


def test_one_line_of_more_than_64_kib_is_an_error_of_its_line(venue):
    venue.people("a", "b")
    lines = venue.batch([{"token": "a", "gate": "g1", "padding": "x" * 65536},
                         {"token": "b", "gate": "g1"}])
    assert lines[0]["error"]["code"] == "too_large"
    assert lines[1]["verdict"] == "admitted"


def test_a_batch_of_more_than_32_mib_is_413(venue):
    link = venue.client
    try:
        answer = link.post(f"{venue.path}/checkins:batch", b"\n" * \
                           (32 * 1024 * 1024 + 1), rig.NDJSON)
        assert (answer.status, answer.code) == (413, "too_large")
    except (BrokenPipeError, ConnectionResetError):
        pass  # cut off before all of it was sent, which is as good
    link.close()
    assert venue.stats()["scans"] == 0


def test_a_batch_of_another_type_is_415(venue):
    answer = venue.client.post(f"{venue.path}/checkins:batch", "{}", "text/plain")
    assert (answer.status, answer.code) == (415, "unsupported_media_type")


def test_a_batch_for_an_unknown_event_is_404(client):
    answer = client.post("/v1/events/nobody-made-this/checkins:batch",
                         '{"token":"a","gate":"g1"}\n', rig.NDJSON)
    assert (answer.status, answer.code) == (404, "unknown_event")


def test_a_repeated_upload_changes_nothing(venue):
    tokens = venue.crowd(200)
    lines = [{**scan, "nonce": f"n{n}"} for n, scan in
             enumerate(scans(*[(token, n) for n, token in enumerate(tokens)]))]
    first = venue.batch(lines)
    again = venue.batch(lines)
    assert all(line["replayed"] for line in again)
    assert [line["record_id"] for line in again] == [line["record_id"] for line in first]
    venue.stats_become(scans=200, inside=200)


def test_force_works_in_a_batch(make_venue):
    venue = make_venue(capacity=0)
    venue.person("t")
    line = venue.batch([{"token": "t", "gate": "g1", "force": True}])[0]
    assert (
    line["verdict"],
    line["forced"],
    line["overrode"]) == (
        "admitted",
        True,
         "capacity_full")


def test_every_answer_line_is_one_json_document(venue):
    venue.person("t", attention="two\nlines")
    answer = venue.try_batch([{"token": "t", "gate": "g1"}, "broken"])
    assert answer.body.endswith(b"\n")
    assert len([json.loads(line) for line in answer.body.splitlines()]) == 2


# More uploads than places ----------------------------------------------------------------------

UPLOADS = 8


def upload_all(pool, venue, server, lines):
    """UPLOADS devices upload at once, each the same scans with its own nonces."""
    def upload(number):
        own = [{**scan, "nonce": f"d{number}-{n}"} for n, scan in enumerate(lines)]
        text = "".join(json.dumps(scan) + "\n" for scan in own)
        with server.client() as client:
            return client.post(f"{venue.path}/checkins:batch", text, rig.NDJSON)

    return [pool.submit(upload, number) for number in range(UPLOADS)]


@pytest.fixture
def narrow(make_server):
    """A node with one place for uploads."""
    return make_server(env={"TURNOUT_CHECKIN_BATCHES_MAX": "1", "TURNOUT_SERVER_LOOPS": "1",
                            "TURNOUT_STORE_DEADLINE": "1s"})


def test_uploads_beyond_the_places_wait_for_one(narrow):
    venue = rig.Venue(narrow.client())
    tokens = venue.crowd(500)
    with concurrent.futures.ThreadPoolExecutor(UPLOADS) as pool:
        asked = upload_all(pool, venue, narrow, scans(*[(token, 100) for token in tokens]))
        answers = [one.result() for one in asked]
    assert [answer.status for answer in answers] == [200] * UPLOADS
    verdicts = [line["verdict"] for answer in answers for line in answer.lines]
    assert verdicts.count("admitted") == 500
    venue.stats_become(scans=500 * UPLOADS, inside=500)


def test_an_upload_that_waits_too_long_is_503_and_nothing_of_it_was_decided(narrow):
    venue = rig.Venue(narrow.client())
    venue.people("a", "b")
    with contextlib.closing(sqlite3.connect(narrow.store, isolation_level=None)) as holder, \
            concurrent.futures.ThreadPoolExecutor(UPLOADS) as pool:
        holder.execute("BEGIN IMMEDIATE")  # so that the first one keeps its place
        asked = upload_all(pool, venue, narrow, scans(("a", 100), ("b", 200)))
        done = concurrent.futures.as_completed(asked)
        late = [next(done).result() for _ in range(UPLOADS - 1)]
        holder.execute("COMMIT")
        answers = [next(done).result()]
    assert [(answer.status, answer.code) for answer in late] == \
        [(503, "overloaded")] * (UPLOADS - 1)
    assert all(answer.headers["retry-after"] == "1" for answer in late)
    [decided] = [answer for answer in answers if answer.status == 200]
    assert [line["verdict"] for line in decided.lines] == ["admitted"] * 2
    venue.stats_become(scans=2, inside=2)
    assert len(venue.batch(scans(("a", 300)))) == 1  # and there is a place again


@pytest.fixture
def patient(make_server):
    """A node with one place for uploads, and time to wait for it."""
    return make_server(env={"TURNOUT_CHECKIN_BATCHES_MAX": "1", "TURNOUT_SERVER_LOOPS": "1",
                            "TURNOUT_STORE_DEADLINE": "60s"})


def uploads_under_way(client):
    """Those in line are among them."""
    for line in client.get("/metrics").body.decode().splitlines():
        if line.startswith("turnout_http_requests_in_flight{") and ":batch" in line:
            return int(line.rsplit(" ", 1)[1])
    return 0


@contextlib.contextmanager
def taken_place(venue, server, pool):
    """While the file is somebody else's, an upload of one scan keeps the node's only place. Gives
    the upload's future, and what lets go of the file."""
    with contextlib.closing(sqlite3.connect(server.store, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        first = pool.submit(server.client().post, f"{venue.path}/checkins:batch",
                            json.dumps(scans(("a", 100))[0]) + "\n", rig.NDJSON)
        rig.eventually(lambda: uploads_under_way(venue.client), lambda count: count == 1)
        yield first, lambda: holder.execute("COMMIT")


def test_an_upload_whose_device_went_away_in_line_is_not_decided(patient):
    venue = rig.Venue(patient.client())
    venue.people("a", "b")
    body = json.dumps(scans(("b", 200))[0])
    with concurrent.futures.ThreadPoolExecutor(1) as pool, \
            taken_place(venue, patient, pool) as (first, let_go):
        with socket.create_connection((patient.host, patient.port)) as device:
            device.sendall(f"POST {venue.path}/checkins:batch HTTP/1.1\r\nHost: t\r\n"
                           f"Content-Type: {rig.NDJSON}\r\nContent-Length: {len(body)}\r\n\r\n"
                           f"{body}".encode())
            rig.eventually(lambda: uploads_under_way(venue.client), lambda count: count == 2)
            device.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        let_go()
        assert first.result().status == 200
    assert len(venue.batch(scans(("a", 300)))) == 1  # in line behind it: it is over, too
    venue.stats_become(scans=2, inside=1)


def test_uploads_in_line_take_64_mib_at_most(patient):
    venue = rig.Venue(patient.client())
    venue.people("a", "b")
    long = b"x" * (30 << 20)  # a bad line of a good upload
    with concurrent.futures.ThreadPoolExecutor(3) as pool, \
            taken_place(venue, patient, pool) as (first, let_go):
        asked = [pool.submit(patient.client().post, f"{venue.path}/checkins:batch", long,
                             rig.NDJSON)
                 for _ in range(2)]
        rig.eventually(lambda: uploads_under_way(venue.client), lambda count: count == 3, 20)
        refused = patient.client().post(f"{venue.path}/checkins:batch", long, rig.NDJSON)
        assert (refused.status, refused.code) == (503, "overloaded")
        assert not any(one.done() for one in [first, *asked])
        let_go()
        answers = [one.result() for one in [first, *asked]]
    assert [answer.status for answer in answers] == [200] * 3
    assert [line["error"]["code"] for answer in answers[1:] for line in answer.lines] == \
        ["too_large"] * 2
    venue.stats_become(scans=1, inside=1)
