# SPDX-License-Identifier: Apache-2.0
"""What must not get out, and what must not get in.

Of somebody erased nothing stays in any file: canaries stand in every text of a person, and the
files of a whole node, its Redis and its PostgreSQL are searched byte by byte. What is found before
the erasure shows that the search can find it.
"""
import pathlib
import re
import socket
import urllib.parse

import pytest

import rig
from postgres import turnout
from rig import create_key, eventually, ok
from test_http import ATTACKS, read_all
from test_proxies import Front

PERSON = {"token": "quoxtokenquox", "name": "Quoxname Quoxfamily",
          "email": "quoxmail@quoxhost.example", "attention": "quoxneeds a chair"}
CANARY = b"quox"
WAIT_S = 60


def where(*folders):
    """The files that hold the canary in either case."""
    found = []
    for folder in folders:
        for path in sorted(pathlib.Path(folder).rglob("*")):
            try:
                if path.is_file() and CANARY in path.read_bytes().lower():
                    found.append(str(path.relative_to(folder)))
            except FileNotFoundError:
                pass  # it was replaced meanwhile
    return found


def make_known(venue):
    """Everything that can put the person into a file, a log or a cache."""
    client = venue.client
    for number in range(200):
        venue.person(f"other{number}", f"Other {number}", email=f"o{number}@example.com")
    person = venue.person(**PERSON)
    venue.admitted(PERSON["token"], nonce="n1")
    venue.refused("already_used", PERSON["token"])
    venue.patch_person(person, name=PERSON["name"] + " Jr")
    for _ in range(100):  # often enough for the roster of hot keys
        assert venue.find(token=PERSON["token"]) and venue.find(q="quoxfamily")
        client.get(venue.person_path(person))
    client.get(f"{venue.path}/participants?q=quoxmail%40")
    client.get(f"{venue.path}/attendance?participant={person['id']}", Accept="text/csv")
    client.get("/quox/no/such/route?quox=quox")
    client.post(f"{venue.path}/participants", PERSON)             # 409
    client.post(f"{venue.path}/participants", {**PERSON, "gates": ["quox"]})  # 400
    venue.import_csv("token,name,email,valid_from\n"
                     "quoxtokenquox,Quoxname,quoxmail@quoxhost.example,quoxtime\n")
    venue.try_batch(['{"token":"quoxtokenquox","gate":"quox"}', '{"quox'])
    return person


def watched(folder):
    return {"TURNOUT_LOG_LEVEL": "debug", "TURNOUT_LOG_ACCESS": str(folder / "access.log"),
            "TURNOUT_CACHE_ROSTER": str(folder / "hot.keys"), "TURNOUT_CACHE_WARM": "none",
            "TURNOUT_DATABASE_SLOW_QUERY": "1ms"}


def test_a_node_on_sqlite_keeps_no_byte(make_server, tmp_path):
    server = make_server(env=watched(tmp_path))
    with server.client() as client:
        venue = rig.Venue(client)
        make_known(venue)
    server.restart()  # so that the roster is on disk and read again
    with server.client() as client:
        venue.client = client
        assert {"turnout.db", "hot.keys"} <= set(where(tmp_path))
        assert not {"server.log", "access.log"} & set(where(tmp_path))
        venue.erase(venue.one(PERSON["token"]))
        # not the name of a refused token: who scans it again supplies it again
        eventually(lambda: where(tmp_path), lambda found: not found, WAIT_S)
        venue.stats_become(participants=200, inside=1)
        assert venue.scan("other7")["verdict"] == "admitted"
    server.stop()
    assert where(tmp_path) == []


def test_a_node_on_postgresql_with_redis_keeps_none_and_the_database_none_that_is_read(
        postgres, redis, tmp_path):
    data = pathlib.Path(postgres.sql("SHOW data_directory"))
    database = postgres.create()
    turnout("db", "migrate", "--store", postgres.url(database))
    server = rig.Server(tmp_path, "--redis", f"127.0.0.1:{redis.port}",
                        store=postgres.url(database), env=watched(tmp_path)).start()

    def in_redis():
        """What Redis has of the person, but for the token in the name of a tombstone."""
        redis.cli("CONFIG", "SET", "rdbcompression", "no")
        redis.cli("SAVE")
        kept = (redis.folder / "dump.rdb").read_bytes().lower()
        return kept.replace(b"token=" + PERSON["token"].encode(), b"").count(CANARY)

    try:
        with server.client() as client:
            venue = rig.Venue(client)
            make_known(venue)
            # What was read was dropped by the last writes; filling waits for their tombstones.
            eventually(lambda: venue.find(token=PERSON["token"]) and in_redis(), bool, WAIT_S)
            venue.erase(venue.one(PERSON["token"]))
            eventually(in_redis, lambda found: not found, WAIT_S)
            for key in redis.cli("--scan", "--pattern", "*quox*").splitlines():
                assert int(redis.cli("PTTL", key)) <= 60000  # a tombstone
            eventually(lambda: where(tmp_path), lambda found: not found, WAIT_S)
        server.stop()
    finally:
        server.kill()
    assert where(tmp_path) == []
    # Nobody can ask for it any more; the bytes go when the table and its figures are written anew.
    dump = postgres.sql("SELECT string_agg(p::text, '') FROM participants p", database)
    assert CANARY not in dump.lower().encode()
    number = postgres.sql(f"SELECT oid FROM pg_database WHERE datname = '{database}'")
    folder = data / "base" / number
    postgres.sql("CHECKPOINT", database)
    assert where(folder) != []
    postgres.sql("VACUUM FULL participants", database)
    postgres.sql("ANALYZE participants", database)
    postgres.sql("VACUUM FULL pg_statistic", database)
    postgres.sql("CHECKPOINT", database)
    eventually(lambda: where(folder), lambda found: not found, WAIT_S)


# Scopes ----------------------------------------------------------------------------------------

EVENT = "/v1/events/{event}"
ROUTE = re.compile(r'X\(\w+, "(\w+)", ((?:E)? ?(?:"[^"]*")?), [A-Z_| ]+, (BODY_\w+)\)')
SCOPES = ("admin", "scanner", "analyst", "metrics")
BODIES = {"BODY_NONE": (None, None), "BODY_JSON": ("[]", "application/json"),
          "BODY_NDJSON": ("x\n", rig.NDJSON), "BODY_IMPORT": ("no header\n", rig.CSV)}
OPEN = {("GET", path) for path in ("/", "/assets/{file}", "/livez", "/readyz", "/openapi.json")} | \
    {("POST", "/v1/session"), ("DELETE", "/v1/session")}
SEALED = ("GET", "/v1/status")  # answers what the cluster's secret has signed, and no key
OF_SCANNERS = {("POST", EVENT + path) for path in ("/checkins", "/checkins:batch",
                                                   "/checkins/{record_id}:annul")} | \
    {("GET", EVENT + path) for path in ("/gates", "/gates/{gate}", "/participants", "/stats",
                                        "/stats/timeline")} | {("GET", "/v1/session")}
OF_METRICS = {("GET", path) for path in ("/metrics", "/v1/nodes", "/v1/nodes/optimal",
                                         "/v1/alerts", "/v1/actions", "/v1/silences",
                                         "/v1/notifications", "/v1/session")}


def routes():
    """Method, path and kind of body of every row of the table that the server is built from."""
    rows = ROUTE.findall((rig.ROOT / "src" / "api" / "routes.h").read_text())
    found = [(method, path.replace("E", EVENT, 1).replace(" ", "").replace('"', "")
              if path.startswith("E") else path.strip('"'), body) for method, path, body in rows]
    assert len(found) > 50 and all(path.startswith("/") for _, path, _ in found)
    return found


def who_may(method, path):
    """The contract (docs/api.md), not the table: admin everything, analyst every GET, …"""
    may = {"admin"}
    if (method, path) in OF_SCANNERS:
        may.add("scanner")
    if method == "GET":
        may.add("analyst")
    if (method, path) in OF_METRICS or path.startswith("/v1/performance"):
        may.add("metrics")
    return may


class Callers:
    """The status of any route for anybody, on the shared server that asks for keys."""

    def __init__(self, server):
        self.server = server
        self.keys = {scope: create_key(server, scope) for scope in SCOPES}
        with server.client(self.keys["admin"]) as client:
            self.venue = rig.Venue(client)
            other = rig.Venue(client)
        self.bound = {scope: create_key(server, scope, event=other.code) for scope in SCOPES}
        self.links = {}

    def status(self, method, path, body, key):
        """Of the head of the answer alone: one is a stream. No id is that of anything there is."""
        for name, value in (("{event}", self.venue.code), ("{gate}", "g1"), ("{id}", "987654321"),
                            ("{record_id}", "987654321"), ("{file}", "none.js")):
            path = path.replace(name, value)
        text, content_type = BODIES[body]
        # failures are counted by address
        with self.server.stranger() if key in (None, "tk_x.y") else self.server.client() as client:
            fields = {} if key is None else {"Authorization": f"Bearer {key}"}
            if content_type is not None:
                fields["Content-Type"] = content_type
            client.link.request(method, path, text, fields)
            return client.link.getresponse().status


@pytest.fixture(scope="module")
def callers(secured):
    return Callers(secured)


@pytest.mark.parametrize("method, path, body", routes())
def test_a_route_is_open_to_those_of_the_contract_and_to_nobody_else(callers, method, path, body):
    def ask(key):
        return callers.status(method, path, body, key)

    if (method, path) in OPEN:
        assert {ask(None), ask("tk_x.y")} & {401, 403} == set()
        return
    assert [ask(None), ask("tk_x.y")] == [401, 401]
    if (method, path) == SEALED:
        assert {ask(key) for key in callers.keys.values()} == {401}
        return
    for scope in SCOPES:
        status, may = ask(callers.keys[scope]), scope in who_may(method, path)
        refused_for_its_words = path.endswith("/participants") and scope == "scanner"
        assert (status == 403) == (not may or refused_for_its_words), (scope, status)
        assert status != 401 and (status < 500 or status == 503), (scope, status)
        if path.startswith(EVENT):
            # another event's key: the event is not there for it
            assert ask(callers.bound[scope]) in ((404,) if may else (403, 404)), scope


# Texts that are code elsewhere -----------------------------------------------------------------

HOSTILE = ["'; DROP TABLE participants; --", '" OR 1=1 --', "' OR '1'='1", "x' UNION SELECT hash "
           "FROM api_keys --", "\\'; SELECT pg_sleep(9); --", "$1", "%s%n%x", "%", "_", "*",
           "a* OR name:b", "NEAR(a b)", "token:x", '"', "{{7*7}}", "${jndi:ldap://x}",
           "<script>alert(1)</script>", "../../etc/passwd", "x\r\nSet-Cookie: a=b", "=1+1",
           "a\tb", "\u202egnp.exe", "NULL", "1); DELETE FROM events; --", "\\", "\x1b[2J"]


@pytest.fixture(scope="module")
def on_postgres(postgres, tmp_path_factory):
    database = postgres.create()
    turnout("db", "migrate", "--store", postgres.url(database))
    node = rig.Server(tmp_path_factory.mktemp("injection"), store=postgres.url(database)).start()
    yield node
    node.kill()


@pytest.fixture(params=["sqlite", "postgres"])
def house(request):
    """A client of a node on either store."""
    name = {"sqlite": "server", "postgres": "on_postgres"}[request.param]
    with request.getfixturevalue(name).client() as client:
        yield client


def harmless(answer):
    assert answer.status < 500, answer
    assert answer.headers.get("Set-Cookie") is None
    return answer


def test_texts_are_kept_as_they_are_or_refused_and_never_run(house):
    venue = rig.Venue(house)
    venue.person("plain", "Plain Person")
    kept = 0
    for number, text in enumerate(HOSTILE):
        made = harmless(house.post(f"{venue.path}/participants", {
            "token": f"{text}#{number}", "name": text, "attention": text}))
        if made.status == 201:
            kept += 1
            assert made.json["name"] == made.json["attention"] == text
            assert ok(house.get(venue.person_path(made.json))) == made.json
            assert venue.one(f"{text}#{number}")["id"] == made.json["id"]
            assert venue.scan(f"{text}#{number}", nonce=text)["verdict"] == "admitted"
        else:
            assert made.status == 400
        harmless(house.patch(f"{venue.path}/participants/987654321", {"email": text}))
    assert kept > 15
    assert venue.stats_become(participants=kept + 1, inside=kept, scans=kept)
    assert len(house.pages(f"{venue.path}/participants")) == kept + 1


def test_a_hostile_question_finds_what_it_says_or_nothing(house):
    venue = rig.Venue(house)
    venue.person("plain", "Plain Person", email="plain@example.com")
    lists = {"participants": ("q", "token", "cursor", "limit"),
             "attendance": ("participant", "gate", "method", "verdict", "since", "cursor"),
             "stats/timeline": ("since", "until", "step")}
    for text in HOSTILE:
        for place, names in lists.items():
            for name in names:
                answer = harmless(house.get(f"{venue.path}/{place}" + rig.query(**{name: text})))
                assert answer.status in (400, 404) or answer.json["items"] == [], (name, text)
        quoted = urllib.parse.quote(text, safe="")
        for path in (f"/v1/events/{quoted}", f"{venue.path}/gates/{quoted}",
                     f"{venue.path}/participants/{quoted}"):
            assert harmless(house.get(path)).status in (400, 404)
        for body in ({"token": text, "gate": text}, {"token": "plain", "gate": "g1",
                                                     "method": text}):
            assert harmless(house.post(f"{venue.path}/checkins", body)).status in (400, 404)
        made = harmless(house.post("/v1/events", {"code": text, "name": "x"}))
        assert made.status == 400 or re.fullmatch("[A-Za-z0-9._-]{1,64}", text), text
        harmless(house.get("/v1/performance/suggestions" + rig.query(lang=text)))
        harmless(house.post("/v1/cache:invalidate", {"pattern": f"none:{text}"}))
        row = '"' + text.replace('"', '""') + '"'
        told = harmless(venue.import_csv(f"token,name,{row}\n,{row},x\n"))
        assert told.status == 400 or told.json["created"] <= 1
    assert venue.one("plain")["name"] == "Plain Person"
    assert venue.scan("plain")["verdict"] == "admitted"


# Requests within requests, through a proxy -------------------------------------------------------

def is_own(answer):
    """Made by the node: HAProxy's own answers have no id."""
    return b"x-request-id:" in answer.lower()


def exchange(port, data):
    """Everything that comes back for `data` and the end of input."""
    with socket.create_connection(("127.0.0.1", port), 30) as link:
        try:
            link.sendall(data)
            link.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return read_all(link)


def test_through_haproxy_the_node_sees_no_request_that_the_proxy_does_not(make_server, tmp_path):
    access = tmp_path / "access.log"
    server = make_server(env={"TURNOUT_LOG_ACCESS": str(access), "TURNOUT_SERVER_LOOPS": "1"})
    with Front(tmp_path, server) as front, front.client() as client:
        venue = rig.Venue(client)
        venue.person("t")
        answered = 0
        for number, (name, attack) in enumerate(sorted(ATTACKS.items())):
            scan = b"POST %s/checkins HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" \
                b"Content-Length: 25\r\nX-Hidden: %d\r\n\r\n" % (venue.path.encode(), number) + \
                b'{"token":"t","gate":"g1"}'
            got = exchange(front.haproxy.port, attack.replace(b"/v1/events", b"/nowhere") + scan)
            answered += sum(map(is_own, got.split(b"HTTP/1.1 ")[1:]))
            after = client.get("/livez", X_Request_Id=f"after-{number}")
            assert (after.status, after.headers["X-Request-Id"]) == (200, f"after-{number}"), name
        client.get("/v1/events", X_Request_Id="last")

        def seen():
            lines = [line for line in access.read_text().splitlines() if " req=" in line]
            return lines if any(" req=last " in line for line in lines) else []

        lines = eventually(seen, lambda lines: lines, 30)
    own = [line for line in lines if " req=after-" not in line and
           re.search(r'route="(other|POST \S+/checkins|GET /livez)"', line)]
    assert len(own) == answered, (answered, own)
    assert answered < len(ATTACKS), "the proxy refuses some, the node others"


# Secrets ---------------------------------------------------------------------------------------

def test_no_key_is_in_any_log_figure_or_answer(make_server, tmp_path):
    server = make_server(auth="required", env=watched(tmp_path))
    key = create_key(server, "admin")
    secret = key.split(".")[1]
    told = b""
    with server.client(key) as client:
        for path in ("/v1/events", "/metrics", "/v1/performance", "/v1/actions", "/v1/nope",
                     f"/v1/events?key={key}", f"/v1/events/{secret}", f"/{key}"):
            told += client.get(path).body
        told += client.post("/v1/events", '{"code":"' + key).body
        told += client.post("/v1/events", {"code": "x", "reentry": key}).body
        told += client.post("/v1/session", {"key": key[:-1]}).body
        session = client.post("/v1/session", {"key": key})
        assert session.status < 300
        cookie = session.headers["Set-Cookie"]
        told += session.body
    with server.stranger() as client:
        told += client.get("/v1/events", Authorization=f"Bearer {key}x").body
        told += client.get("/v1/events", Authorization=f"Basic {secret}").body
        told += client.get("/v1/events", Cookie=cookie.split(";")[0] + "x").body
    server.stop()
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert secret.encode() not in told
    assert secret.encode() not in written
    assert cookie.split("=")[1].split(";")[0].encode() not in written


@pytest.mark.parametrize("args", [("serve", "--listen", "127.0.0.1:0"), ("doctor",),
                                  ("db", "analyze"), ("key", "list")])
def test_a_password_in_an_address_is_never_said(args):
    done = rig.run(*args, "--store", "postgres://quox:quoxword@127.0.0.1:1/quox")
    assert done.returncode != 0
    assert "quoxword" not in done.stdout + done.stderr
