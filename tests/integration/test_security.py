# SPDX-License-Identifier: Apache-2.0
"""What must not get out, and what must not get in.

Of somebody erased nothing stays in any file: canaries stand in every text of a person, and the
files of a whole node, its Redis and its PostgreSQL are searched byte by byte. What is found before
the erasure shows that the search can find it.
"""
import pathlib

import rig
from rig import eventually
from test_cache import postgres, redis  # noqa: F401 (fixtures)
from test_postgres import turnout

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
        postgres, redis, tmp_path):  # noqa: F811
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
            assert in_redis() > 0
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
