# SPDX-License-Identifier: Apache-2.0
"""Keys and scopes: who may do what, route by route."""

import json

import pytest

import rig
from rig import create_key, ok

YES, NO = True, False

# Method, path below /v1/events/EVENT, body, type; then who may: admin, scanner, analyst, metrics.
# None: the contract leaves it open.
JSON = "application/json"
SCAN = {"token": "t", "gate": "g1"}
MATRIX = [
    ("GET", "", None, None, (YES, NO, YES, NO)),
    ("PATCH", "", {"name": "x"}, rig.MERGE_PATCH, (YES, NO, NO, NO)),
    ("GET", "/gates", None, None, (YES, YES, YES, NO)),
    ("POST", "/gates", {"code": "?", "name": "x"}, JSON, (YES, NO, NO, NO)),
    ("PATCH", "/gates/g1", {"name": "x"}, rig.MERGE_PATCH, (YES, NO, NO, NO)),
    ("GET", "/participants", None, None, (YES, NO, YES, NO)),
    ("GET", "/participants?token=t", None, None, (YES, YES, YES, NO)),
    ("GET", "/participants?q=ada", None, None, (YES, YES, YES, NO)),
    ("GET", "/participants?q=ad", None, None, (YES, NO, YES, NO)),
    ("GET", "/participants/ID", None, None, (YES, NO, YES, NO)),
    ("POST", "/participants", {"token": "?", "name": "x"}, JSON, (YES, NO, NO, NO)),
    ("PATCH", "/participants/ID", {"name": "Ada"}, rig.MERGE_PATCH, (YES, NO, NO, NO)),
    ("DELETE", "/participants/SPARE", None, None, (YES, NO, NO, NO)),
    ("POST", "/participants:import", "token,name\n?,x\n", rig.CSV, (YES, NO, NO, NO)),
    ("POST", "/checkins", SCAN, JSON, (YES, YES, NO, NO)),
    ("POST", "/checkins:batch", json.dumps(SCAN), rig.NDJSON, (YES, YES, NO, NO)),
    ("POST", "/checkins/RECORD:annul", None, None, (YES, YES, NO, NO)),
    ("GET", "/attendance", None, None, (YES, NO, YES, NO)),
    ("GET", "/stats", None, None, (YES, YES, YES, NO)),
    ("GET", "/stats/timeline?since=2026-01-01T00:00:00Z&until=2026-01-01T01:00:00Z&step=60",
     None, None, (YES, None, YES, NO)),
]
SCOPES = ("admin", "scanner", "analyst", "metrics")


class House:
    """A server that asks for keys, with one key of each scope and an event with somebody in it."""

    def __init__(self, server):
        self.server = server
        self.keys = {scope: create_key(server, scope) for scope in SCOPES}
        self.admin = server.client(self.keys["admin"])
        self.venue = rig.Venue(self.admin)
        self.other = rig.Venue(self.admin)
        self.person = self.venue.person("t", name="Ada Lovelace")
        self.fresh = 0

    def fill_in(self, path, body):
        """Everything a request uses up, made anew."""
        self.fresh += 1
        if "SPARE" in path:
            path = path.replace("SPARE", str(self.venue.person(f"spare{self.fresh}")["id"]))
        if "RECORD" in path:
            record = self.venue.scan("t", force=True)
            path = path.replace("RECORD", record["record_id"])
        path = path.replace("ID", str(self.person["id"]))
        if isinstance(body, dict):
            body = {name: f"new{self.fresh}" if value ==
                "?" else value for name, value in body.items()}
        elif isinstance(body, str):
            body = body.replace("?", f"new{self.fresh}")
        return path, body


@pytest.fixture(scope="module")
def house(secured):
    made = House(secured)
    yield made
    made.admin.close()


def send(house, key, method, path, body, content_type, venue=None):
    path, body = house.fill_in(path, body)
    with house.server.stranger(key) as client:
        return client.request(method, (venue or house.venue).path + path, body, content_type)


@pytest.mark.parametrize("method, path, body, content_type, may", MATRIX,
                         ids=[f"{row[0]} {row[1]}" for row in MATRIX])
@pytest.mark.parametrize("scope", SCOPES)
def test_a_scope_opens_its_routes_and_no_other(house, scope, method, path, body, content_type, may):
    allowed = may[SCOPES.index(scope)]
    if allowed is None:
        return
    answer = send(house, house.keys[scope], method, path, body, content_type)
    if allowed:
        assert answer.status in (200, 201, 204), answer
    else:
        assert (answer.status, answer.code) == (403, "wrong_scope")


@pytest.mark.parametrize("method, path, body, content_type, may", MATRIX,
                         ids=[f"{row[0]} {row[1]}" for row in MATRIX])
def test_without_a_key_every_route_is_401(house, method, path, body, content_type, may):
    answer = send(house, None, method, path, body, content_type)
    assert (answer.status, answer.code) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("scope, may_read, may_make", [
    ("admin", YES, YES), ("scanner", NO, NO), ("analyst", YES, NO), ("metrics", NO, NO)])
def test_events_are_listed_and_made_by_scope(house, scope, may_read, may_make):
    with house.server.client(house.keys[scope]) as client:
        assert (client.get("/v1/events").status == 200) is may_read
        house.fresh += 1
        made = client.post("/v1/events", {"code": f"made{house.fresh}", "name": "x"})
        assert (made.status == 201) is may_make
        if not may_make:
            assert (made.status, made.code) == (403, "wrong_scope")


def test_health_is_open_to_everybody(house):
    with house.server.client() as client:
        assert client.get("/livez").status == 200
        assert client.get("/readyz").status == 200


@pytest.mark.parametrize("damage", [
    lambda key: key[:-1], lambda key: key + \
        "x", lambda key: key[:-1] + ("A" if key[-1] != "A" else "B"),
    lambda key: key.split(".")[0], lambda key: key.split(".")[0] + ".", lambda key: key.upper(),
    lambda key: "tk_." + key.split(".")[1], lambda key: "tk_nobody." + key.split(".")[1],
    lambda key: key.split(".")[1], lambda key: "", lambda key: "x" * 4000,
])
def test_a_damaged_key_is_401(house, damage):
    with house.server.stranger(damage(house.keys["admin"])) as client:
        answer = client.get("/v1/events")
        assert (answer.status, answer.code) == (401, "unauthorized")


@pytest.mark.parametrize("header", ["Basic dXNlcjpwYXNz",
                         "Bearer", "Bearer ", "tk_a.b", "Token x", ""])
def test_another_kind_of_authorization_is_401(house, header):
    with house.server.stranger() as client:
        answer = client.get("/v1/events", Authorization=header)
        assert (answer.status, answer.code) == (401, "unauthorized")


def test_the_name_of_the_scheme_may_be_in_any_case(house):
    with house.server.client() as client:
        assert client.get("/v1/events", Authorization="bearer " + house.keys["admin"]).status == 200


def test_a_key_in_the_query_opens_nothing(house):
    with house.server.stranger() as client:
        assert client.get(f"/v1/events?key={house.keys['admin']}").status == 401


def guess_until_limited(client):
    for number in range(200):
        answer = client.get("/v1/events", Authorization=f"Bearer tk_guess{number}.secret")
        if answer.status == 429:
            return answer
        assert (answer.status, answer.code) == (401, "unauthorized")
    raise AssertionError("200 guesses in a row were all looked at")


def test_an_address_that_guesses_keys_is_429_and_told_how_long_to_wait(house):
    with house.server.stranger() as client:
        answer = guess_until_limited(client)
        assert answer.code == "rate_limited"
        assert int(answer.headers["Retry-After"]) >= 1


def test_guessing_at_one_address_keeps_nobody_else_out(house):
    with house.server.stranger() as guesser, house.server.stranger(house.keys["admin"]) as other:
        guess_until_limited(guesser)
        assert other.get("/v1/events").status == 200


def test_a_key_in_use_goes_on_working_at_an_address_that_guesses(house):
    with house.server.stranger() as client:
        good = {"Authorization": "Bearer " + house.keys["scanner"]}
        assert client.get(house.venue.path + "/stats", **good).status == 200
        guess_until_limited(client)
        assert client.get(house.venue.path + "/stats", **good).status == 200


# Bound to an event -----------------------------------------------------------------------------

def test_an_event_bound_key_works_for_its_own_event(house):
    for scope, path in (("scanner", "/stats"), ("analyst", "/attendance"),
                        ("admin", "/participants")):
        key = create_key(house.server, scope, house.venue.code)
        with house.server.client(key) as client:
            assert client.get(house.venue.path + path).status == 200


@pytest.mark.parametrize("method, path, body, content_type, may", MATRIX,
                         ids=[f"{row[0]} {row[1]}" for row in MATRIX])
def test_another_event_does_not_exist_for_an_event_bound_key(
    house, method, path, body, content_type, may):
    if not hasattr(house, "bound"):
        house.bound = create_key(house.server, "admin", house.venue.code)
    answer = send(house, house.bound, method, path, body, content_type, venue=house.other)
    assert (answer.status, answer.code) == (404, "unknown_event")
    assert ok(house.admin.get(house.other.path + "/stats"))["scans"] == 0


def test_the_404_of_another_event_is_that_of_one_that_is_not_there(house):
    key = create_key(house.server, "analyst", house.venue.code)
    with house.server.client(key) as client:
        there = client.get(house.other.path + "/stats").json
        nowhere = client.get("/v1/events/nobody-made-this/stats").json
        for body in (there, nowhere):
            body.pop("instance", None)
            body.pop("request_id", None)
        assert json.dumps(there).replace(house.other.code, "E") == \
            json.dumps(nowhere).replace("nobody-made-this", "E")


def test_an_event_bound_key_neither_lists_nor_makes_other_events(house):
    key = create_key(house.server, "admin", house.venue.code)
    with house.server.client(key) as client:
        assert house.other.code.encode() not in client.get("/v1/events").body
        house.fresh += 1
        made = client.post("/v1/events", {"code": f"made{house.fresh}", "name": "x"})
        assert made.status in (403, 404)


# The command -----------------------------------------------------------------------------------

def keys_of(house):
    done = rig.run("key", "list", "--store", f"sqlite:{house.server.store}", "--json")
    assert done.returncode == 0, done.stderr
    listed = json.loads(done.stdout)
    return listed["items"] if isinstance(listed, dict) else listed


def test_keys_are_listed_without_their_secrets(house):
    secret = house.keys["admin"].split(".")[1]
    listed = keys_of(house)
    assert len(listed) >= 4
    assert secret not in json.dumps(listed)
    assert {"scanner", "admin"} <= {key["scope"] for key in listed}


def test_the_store_holds_no_secret(house):
    secret = house.keys["analyst"].split(".")[1].encode()
    for path in house.server.folder.glob("turnout.db*"):
        assert secret not in path.read_bytes(), path


def test_a_revoked_key_opens_nothing_any_more(house):
    key = create_key(house.server, "admin")
    with house.server.client(key) as client:
        assert client.get("/v1/events").status == 200
        key_id = key.split(".")[0]
        done = rig.run("key", "revoke", key_id, "--store", f"sqlite:{house.server.store}")
        if done.returncode != 0:  # the id is also good without its prefix
            done = rig.run("key", "revoke", key_id.removeprefix("tk_"), "--store",
                           f"sqlite:{house.server.store}")
        assert done.returncode == 0, done.stderr
        rig.eventually(lambda: client.get("/v1/events").status, lambda status: status == 401)


@pytest.mark.parametrize("args", [
    ["create"], ["create", "--name", "x"], ["create", "--name", "x", "--scope", "emperor"],
    ["revoke"], ["fly"], [],
])
def test_a_malformed_key_command_is_a_usage_error(house, args):
    done = rig.run("key", *args, "--store", f"sqlite:{house.server.store}")
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert done.stderr


def test_revoking_an_unknown_key_fails(house):
    done = rig.run("key", "revoke", "tk_nobody", "--store", f"sqlite:{house.server.store}")
    assert done.returncode == 1, (done.stdout, done.stderr)


def test_a_key_for_an_unknown_event_is_not_made(house):
    done = rig.run("key", "create", "--name", "x", "--scope", "scanner",
                   "--event", "nobody-made-this", "--store", f"sqlite:{house.server.store}")
    assert done.returncode == 1
    assert rig.KEY.search(done.stdout) is None
