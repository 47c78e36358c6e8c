# SPDX-License-Identifier: Apache-2.0
"""What is measured on PostgreSQL. The server is the run's own; databases are copied from ones that
were made once, so that every measurement starts from the same rows."""

import json
import pathlib
import subprocess
import time

import machine
from machine import Failed, Turnout, drive, run
from postgres import Postgres
from table import LESS, MORE

BENCH = pathlib.Path(__file__).resolve().parent
PEOPLE, GATES = 50_000, 40  # of the demo event
BATCH_LINES = 1000


class Sizes:
    """How much of everything; a quick run shows the same rows with less to go by."""

    def __init__(self, quick):
        self.rounds = 1 if quick else 3
        self.scans = {64: 10_000, 1000: 20_000} if quick else {64: 50_000, 1000: 80_000}
        self.pgbench_seconds = 1 if quick else 3
        self.few_records = 100_000 if quick else 1_000_000
        self.many_records = 1_000_000 if quick else 10_000_000
        self.hours = 1 if quick else 10  # of doors: every minute has scans at each gate
        self.reads = 300 if quick else 1_000
        self.batch_scans = 100_000 if quick else 1_000_000
        self.batch_rounds = 1  # a million scans are a minute


class Database:
    """The server and the databases that scenarios share; both are made when first asked for."""

    def __init__(self, bench):
        self.bench = bench
        self.sizes = Sizes(bench.quick)
        self.server = Postgres(bench.folder, bench.path("postgres.log"))
        bench.at_end(self.server.kill)
        self.reads = bench.build / "bench" / "store_reads"
        self.demo_is_made = False
        self.few_is_made = False

    def turnout(self, *args):
        return run([self.bench.turnout, *args])

    def create(self, name):
        self.server.sql("postgres", f"CREATE DATABASE {name}")
        self.turnout("db", "migrate", "--store", self.server.url(name))

    def demo_copy(self, name):
        """A database with the demo event and no scans."""
        with self.bench.times.preparing():
            if not self.demo_is_made:
                self.create("demo")
                self.serve("demo", "--demo").stop()
                self.server.sql("demo", "VACUUM (FREEZE, ANALYZE)")
                self.demo_is_made = True
            self.server.copy("demo", name)

    def serve(self, name, *args, env=None):
        return Turnout(self.bench.turnout, self.server.url(name),
                       self.bench.path("turnout.log"), *args, env=env)

    def row(self, database, text):
        """The columns of one row of numbers."""
        return [int(cell) for cell in self.server.sql(database, text).split("|")]


def database_of(bench):
    if bench.database is None:
        bench.database = Database(bench)
    return bench.database


def check_stats(server, scans, **wanted):
    stats = json.loads(machine.ask(server.port, "GET", "/v1/events/demo/stats"))
    wanted = {"scans": scans, "refused": 0, **wanted}
    if any(stats[key] != value for key, value in wanted.items()):
        raise Failed(f"{scans} scans were sent, the store counts {stats}")


# Durable check-ins -----------------------------------------------------------------------------

def scan_rate(db, connections, scans):
    db.demo_copy("scans")
    server = db.serve("scans")
    result = drive(db.bench.drive, "scan", server.port, connections=connections, requests=scans,
                   people=PEOPLE, gates=GATES)
    check_stats(server, scans)
    server.stop()
    db.server.drop("scans")
    return result


def pgbench_rate(db, script):
    db.demo_copy("pgbench")
    event, first_person, people, first_gate, gates = db.row(
        "pgbench", "SELECT (SELECT id FROM events), min(p.id), count(*), (SELECT min(id) FROM"
        " gates), (SELECT count(*) FROM gates) FROM participants p")
    rate, done = db.server.pgbench(
        "pgbench", BENCH / script, db.sizes.pgbench_seconds,
        {"event": event, "first_person": first_person, "people": people,
         "first_gate": first_gate, "gates": gates})
    kept = db.row("pgbench", "SELECT (SELECT count(*) FROM attendance_records), (SELECT count(*)"
                  " FROM scan_nonces), (SELECT sum(admissions) FROM ledger)")
    db.server.drop("pgbench")
    if kept != [done, done, done]:
        raise Failed(f"pgbench says {done} transactions, the tables hold {kept}")
    return rate


def checkins(bench):
    """Durable check-ins through HTTP against pgbench on the same schema, which runs between those
    with few and those with many connections."""
    db = database_of(bench)
    few_, many, peers = [], [], []
    for _ in range(db.sizes.rounds):
        few_.append(scan_rate(db, 64, db.sizes.scans[64]))
        peers.append(pgbench_rate(db, "pgbench_checkin.sql"))
        many.append(scan_rate(db, 1000, db.sizes.scans[1000]))
    for connections, seen in ((64, few_), (1000, many)):
        bench.table.add_pairs(f"PostgreSQL check-ins, {connections} connections", "1/s",
                              [(one["items_per_s"], peer) for one, peer in zip(seen, peers)],
                              "pgbench, 32 clients, prepared", (MORE, 3))
        bench.table.add_values(f"PostgreSQL check-in p99, {connections} connections", "ms",
                               [one["p99_us"] / 1000 for one in seen])
    bench.table.add_values("pgbench, the check-in as one statement", "1/s",
                           [pgbench_rate(db, "pgbench_checkin_one.sql")
                            for _ in range(db.sizes.rounds)])


# Reads of few and of many records --------------------------------------------------------------

INDEXES = """SELECT replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ') FROM pg_index
    WHERE indrelid IN ('attendance_records'::regclass, 'participants'::regclass)
    AND NOT indisprimary"""


def both(db, name, script, variables):
    """A script's two parts at once, one for each core."""
    parts = [db.server.start_script(name, BENCH / script, {**variables, "part": part})
             for part in (0, 1)]
    for part in parts:
        db.server.finish_script(part)


def without_where(definition):
    return definition.partition(" WHERE ")[0]


def build_indexes(db, name, definitions):
    """Without a load there is nothing to build them beside: two at once, as the tables stand. Those
    of the same columns in one session: their parts of a partition would be given one name."""
    columns = sorted({each.partition("(")[2] for each in map(without_where, definitions)})
    running = []
    for share in (0, 1):
        own = [each for each in definitions
               if columns.index(without_where(each).partition("(")[2]) % 2 == share]
        running.append(db.server.start(name, "SET maintenance_work_mem = '256MB'; "
                                       + "; ".join(own)))
    for each in running:
        db.server.finish_script(each)
    db.turnout("db", "indexes", "--store", db.server.url(name))


def fill(db, name, records, people):
    """A database with the records of eight quarters, every index, and fresh statistics."""
    with db.bench.times.preparing():
        db.create(name)
        definitions = db.server.sql(name, INDEXES).splitlines()
        variables = {"records": records, "people": people, "gates": GATES,
                     "hours": db.sizes.hours}
        db.server.script(name, BENCH / "fill_records.sql", variables)
        both(db, name, "fill_part.sql", variables)
        build_indexes(db, name, definitions)
        both(db, name, "fill_minutes.sql", {})
        db.server.script(name, BENCH / "fill_counts.sql", {})
        db.server.vacuum(name)
        db.server.sql(name, "ANALYZE attendance_records; CHECKPOINT")
    if db.server.number(name, "SELECT count(*) FROM attendance_records") != records:
        raise Failed(f"{name} has not {records} records")


def few(db):
    """The smaller of the two filled databases, made once; nobody writes to it."""
    if not db.few_is_made:
        fill(db, "few", db.sizes.few_records, PEOPLE)
        db.few_is_made = True
    return "few"


def ask_reads(db, name):
    """p50 and p99 of each read through the store, in ms."""
    people, first = db.row(name, "SELECT count(*), min(id) FROM participants")
    end_ms = db.server.number(
        name, "SELECT max(minute + 59) / 60 * 3600000 FROM gate_minutes")
    output = run([db.reads, db.server.url(name), db.sizes.reads, people, first, end_ms])
    return {query: {key[:3]: us / 1000 for key, us in times.items()}
            for query, times in json.loads(output).items()}


def reads(bench):
    """The critical queries, stats and timeline at few and at many records."""
    db = database_of(bench)
    few(db)
    fill(db, "many", db.sizes.many_records, 4 * PEOPLE)
    pairs = []
    for _ in range(db.sizes.rounds):
        pairs.append((ask_reads(db, "many"), ask_reads(db, "few")))
    db.server.drop("many")
    shown = f"{db.sizes.many_records:,} records"
    peer = f"{db.sizes.few_records:,} records"
    for query, name in (("history", "a participant's records"), ("gate_count", "a gate's count"),
                        ("token", "a participant by token"), ("gate_counts", "counts per gate")):
        times = [(many[query]["p99"], few_[query]["p99"]) for many, few_ in pairs]
        bench.table.add_values(f"{name} p99, {shown}", "ms", [many for many, _ in times], (LESS, 5))
        bench.table.add_pairs(f"{name} p99, {shown}", "ms", times, peer, (LESS, 2))
    for query in ("stats", "timeline"):
        times = [(many[query]["p50"], few_[query]["p50"]) for many, few_ in pairs]
        bench.table.add_pairs(f"{query} p50, {shown}", "ms", times, peer, (LESS, 1.3))


# Changes of the schema beside a load -----------------------------------------------------------

SETTLE_S = 1  # of load before the changes; half of it behind them


class Load:
    """Check-ins beside whatever is done meanwhile, until they are told to end."""

    def __init__(self, db, port):
        self.process = subprocess.Popen(
            [str(db.bench.drive), "scan", "--port", str(port), "--connections", "64", "--people",
             str(PEOPLE), "--gates", str(GATES), "--seconds", "86400"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def longest_ms(self):
        self.process.terminate()
        output, errors = self.process.communicate(timeout=600)
        if self.process.returncode != 0:
            raise Failed(f"drive ended with {self.process.returncode}: {errors[-2000:]}")
        return json.loads(output)["max_us"] / 1000


def change_schema(db, name):
    """Partitions for three years and one index of all records, as an operator makes them."""
    url = db.server.url(name)
    db.turnout("db", "partitions", "--ahead", 16, "--store", url)
    db.turnout("db", "indexes", "--store", url)


COUNT_MADE = """SELECT (SELECT count(*) FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
    WHERE c.relkind = 'r'), (SELECT count(*) FROM pg_index JOIN pg_class c ON c.oid = indexrelid
    WHERE c.relname = 'idx_attendance_gate_timestamp' AND indisvalid)"""


def longest_wait(db, act):
    """Of a scan in ms beside the load, and how long `act` took."""
    with db.bench.times.preparing():
        db.server.copy(few(db), "stalls", "FILE_COPY")
        db.server.sql("stalls", "DROP INDEX idx_attendance_gate_timestamp")
    server = db.serve("stalls")
    load = Load(db, server.port)
    time.sleep(SETTLE_S)
    begun = time.monotonic()
    act()
    took_s = time.monotonic() - begun
    time.sleep(SETTLE_S / 2)
    longest_ms = load.longest_ms()
    server.stop()
    made = db.row("stalls", COUNT_MADE)
    db.server.drop("stalls")
    return longest_ms, took_s, made


def stall(db):
    """(with the changes, without for as long)"""
    longest_ms, took_s, made = longest_wait(db, lambda: change_schema(db, "stalls"))
    calm_ms, _, before = longest_wait(db, lambda: time.sleep(took_s))
    if made[0] < before[0] + 8 or made[1] != 1 or before[1] != 0:
        raise Failed(f"partitions and indexes were {before}, and became {made}")
    return longest_ms, calm_ms


def stalls(bench):
    """The longest that a scan waits while partitions and an index are made beside it."""
    db = database_of(bench)
    times = bench.rounds(lambda: stall(db), db.sizes.rounds)
    bench.table.add_values("longest stall of a scan beside DDL", "ms",
                           [changed for changed, _ in times], (LESS, 100))
    bench.table.add_values("longest stall of a scan without", "ms", [calm for _, calm in times])


# A queue of scans ------------------------------------------------------------------------------

TABLES = ("attendance_records", "scan_nonces", "ledger")


def batch_rate(db, scans):
    """Four scanners upload their queues; the database stays."""
    db.demo_copy("batch")
    server = db.serve("batch")
    result = drive(db.bench.drive, "batch", server.port, connections=4,
                   requests=scans // BATCH_LINES, scans=BATCH_LINES, people=PEOPLE, gates=GATES)
    check_stats(server, scans)
    server.stop()
    return result["items_per_s"]


def copy_rate(db, scans):
    """COPY of the rows that the queue left behind, into the same tables and indexes."""
    files = {table: db.server.folder / f"{table}.copy" for table in TABLES}
    for table, path in files.items():
        db.server.sql("batch", f"COPY (SELECT * FROM {table}) TO '{path}' (FORMAT binary)")
    db.server.drop("batch")
    db.demo_copy("copied")
    begun = time.monotonic()
    db.server.sql("copied", "BEGIN; " + " ".join(
        f"COPY {table} FROM '{path}' (FORMAT binary);" for table, path in files.items())
        + " COMMIT")
    seconds = time.monotonic() - begun
    kept = db.row("copied", "SELECT (SELECT count(*) FROM attendance_records),"
                  " (SELECT count(*) FROM scan_nonces)")
    if kept != [scans, scans]:
        raise Failed(f"{scans} rows were copied, there are {kept}")
    db.server.drop("copied")
    for path in files.values():
        path.unlink()
    return scans / seconds


def batch(bench):
    """A large queue of scans against COPY of the same rows."""
    db = database_of(bench)
    scans = db.sizes.batch_scans

    def measure():
        return batch_rate(db, scans), copy_rate(db, scans)

    bench.table.add_pairs(f"PostgreSQL batch check-in of {scans} scans", "1/s",
                          bench.rounds(measure, db.sizes.batch_rounds), "COPY of the same rows",
                          (MORE, 0.4))


SCENARIOS = {"db_checkins": checkins, "db_reads": reads, "db_stalls": stalls, "db_batch": batch}
