# SPDX-License-Identifier: Apache-2.0
"""The command line as its users meet it: help, settings, keys, import, doctor, serve."""

import http.server
import json
import os
import pathlib
import pty
import re
import resource
import select
import signal
import socket
import sqlite3
import subprocess
import threading
import time
import urllib.error
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = os.environ.get("TURNOUT_BIN", str(ROOT / "build" / "turnout"))
DONE, FAILED, USAGE, BAD_CONFIG = 0, 1, 2, 78
START_S = STOP_S = 30
KEY = re.compile(r"tk_[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
COMMANDS = ["serve", "control", "import", "key", "db", "cache", "nodes", "kpi", "doctor",
            "version", "help"]


def clean_environment(**more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TURNOUT_")}
    return dict(kept, **more)


def run(*args, cwd, stdin=None, **environment):
    return subprocess.run([BIN, *map(str, args)], cwd=cwd, input=stdin, capture_output=True,
                          text=True, timeout=60, env=clean_environment(**environment))


@pytest.fixture
def turnout(tmp_path):
    return lambda *args, **options: run(*args, cwd=tmp_path, **options)


class Node:
    """A `turnout serve` of the test's own."""

    def __init__(self, folder, *args, descriptors=None):
        def limit():
            if descriptors is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, descriptors)

        self.log = open(folder / "serve.log", "ab")
        command = [BIN, "serve", "--listen", "127.0.0.1:0", *map(str, args)]
        self.process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE,
                                        stderr=self.log, text=True, env=clean_environment(),
                                        preexec_fn=limit)
        self.ready_line = None

    def wait_ready(self):
        readable, _, _ = select.select([self.process.stdout], [], [], START_S)
        assert readable, "no ready line in time"
        self.ready_line = self.process.stdout.readline()
        found = re.fullmatch(r"ready url=(http://127\.0\.0\.1:(\d+)) pid=(\d+)\n", self.ready_line)
        assert found, self.ready_line
        assert int(found[3]) == self.process.pid
        self.url, self.port = found[1], int(found[2])
        return self

    def ask(self, path, body=None, method=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method,
                                         headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(STOP_S)
        self.process.stdout.close()
        self.log.close()


@pytest.fixture
def serve(tmp_path):
    nodes = []

    def start(*args, folder=tmp_path):
        node = Node(folder, *args)
        nodes.append(node)
        return node.wait_ready()

    yield start
    for node in nodes:
        node.end()


@pytest.fixture
def event(serve, tmp_path):
    """A store in turnout.db with the event e1, and the node that serves it."""
    node = serve("--auth", "off")
    node.ask("/v1/events", {"code": "e1", "name": "One"})
    return node


# Help and exit codes ---------------------------------------------------------------------------

def test_no_command_is_a_usage_error_that_points_to_help(turnout):
    done = turnout()
    assert done.returncode == USAGE
    assert "turnout help" in done.stderr and done.stdout == ""


@pytest.mark.parametrize("call", [["help"], ["--help"], ["-h"]])
def test_help_lists_every_command(turnout, call):
    done = turnout(*call)
    assert done.returncode == DONE and done.stderr == ""
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", done.stdout, re.M), command


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(turnout, command):
    done = turnout(command, "--help")
    assert done.returncode == DONE, done.stderr
    assert "Usage:" in done.stdout and f"turnout {command}" in done.stdout
    assert turnout("help", command).stdout == done.stdout


@pytest.mark.parametrize("command", [["key", "create"], ["key", "list"], ["key", "revoke"],
                                     ["import", "participants"]])
def test_commands_below_commands_explain_themselves(turnout, command):
    done = turnout(*command, "--help")
    assert done.returncode == DONE
    assert "--store" in done.stdout and "--json" in done.stdout
    assert turnout("help", *command).stdout == done.stdout


@pytest.mark.parametrize("call, hint", [
    (["servr"], "serve"), (["serve", "--lisen", ":1"], "--listen"), (["key", "creat"], "create"),
    (["doctor", "--jsn"], "--json"),
    (["key", "create", "--name", "n", "--scope", "scaner"], "scanner")])
def test_a_mistyped_word_is_a_usage_error_with_the_nearest_one(turnout, call, hint):
    done = turnout(*call)
    assert done.returncode == USAGE
    assert f"did you mean {hint}" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("call", [
    ["serve", "extra"], ["serve", "--listen"], ["key", "create"], ["key", "revoke"],
    ["import", "participants", "people.csv"], ["import", "participants", "--event", "e1"],
    ["import", "participants", "--event", "no spaces", "people.csv"], ["version", "--json=1"]])
def test_a_wrong_call_is_a_usage_error_and_makes_no_store(turnout, tmp_path, call):
    done = turnout(*call)
    assert done.returncode == USAGE
    assert "--help" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_version_says_what_it_was_built_with(turnout):
    facts = json.loads(turnout("version", "--json").stdout)
    assert re.fullmatch(r"\d+\.\d+\.\d+", facts["version"])
    assert {"build", "sanitizer", "compiler", "sqlite", "libh2o", "libuv"} <= facts.keys()
    assert turnout("--version").stdout.startswith(f"turnout {facts['version']}\n")


# Settings --------------------------------------------------------------------------------------

def test_help_config_shows_every_setting_with_default_range_and_variable(turnout):
    settings = json.loads(turnout("help", "config", "--json").stdout)["settings"]
    text = turnout("help", "config").stdout
    assert {"server", "store", "auth", "log", "scaler"} <= {row["section"] for row in settings}
    for row in settings:
        assert row["meaning"].endswith(".") and row["range"]
        assert f"  {row['key']} = {row['default']}\n" in text
        if row["environment"]:
            expected = f"TURNOUT_{row['section']}_{row['key']}".upper()
            assert row["environment"] == expected and expected in text


def test_every_mistake_in_a_file_is_told_with_its_line(turnout, tmp_path):
    config = tmp_path / "turnout.ini"
    config.write_text("[server]\nlisten = 8080\nlopps = 2\n\n[store]\nreaders = 99\n[nope]\n")
    for command in (["serve"], ["key", "list"], ["doctor"]):
        done = turnout(*command, "--config", config)
        said = done.stdout + done.stderr
        assert done.returncode == BAD_CONFIG
        assert f"{config}:2: server.listen: expected host:port, such as 127.0.0.1:8080" in said
        assert f"{config}:3: unknown setting server.lopps: did you mean server.loops" in said
        assert f"{config}:6: store.readers = 99: expected a whole number from 1 to 16" in said
        assert f"{config}:7: unknown section [nope]" in said


def test_a_mistake_in_the_deciders_sections_stops_a_node_too(turnout, tmp_path):
    config = tmp_path / "turnout.ini"
    config.write_text("[scaler]\nmin = few\n")
    done = turnout("serve", "--config", config)
    assert done.returncode == BAD_CONFIG
    assert f"{config}:2: scaler.min = few" in done.stderr


def test_flag_wins_over_environment_over_file(turnout, tmp_path):
    config = tmp_path / "turnout.ini"
    config.write_text(f"[store]\nurl = sqlite:{tmp_path}/file.db\n")
    variable = {"TURNOUT_STORE_URL": f"sqlite:{tmp_path}/environment.db"}
    flag = ["--store", f"sqlite:{tmp_path}/flag.db"]

    def made():
        return sorted(path.name for path in tmp_path.glob("*.db"))

    assert turnout("key", "list", "--config", config).returncode == DONE
    assert made() == ["file.db"]
    assert turnout("key", "list", "--config", config, **variable).returncode == DONE
    assert made() == ["environment.db", "file.db"]
    assert turnout("key", "list", "--config", config, *flag, **variable).returncode == DONE
    assert made() == ["environment.db", "file.db", "flag.db"]


def test_a_variable_that_is_no_setting_is_an_error_and_a_foreign_one_is_not(turnout):
    done = turnout("key", "list", TURNOUT_STORE_URI="sqlite:x.db")
    assert done.returncode == BAD_CONFIG
    assert "TURNOUT_STORE_URI: unknown setting store.uri: did you mean store.url" in done.stderr
    assert turnout("key", "list", TURNOUT_SOMETHING="x").returncode == DONE


def test_a_second_cache_level_without_a_first_is_refused_in_a_sentence(turnout):
    done = turnout("serve", "--listen", "127.0.0.1:0", "--redis", "127.0.0.1:6379",
                   TURNOUT_CACHE_POLICY="off")
    assert done.returncode == BAD_CONFIG
    assert "cache.policy" in done.stderr and done.stdout == ""


def test_a_password_in_the_store_is_never_printed(turnout):
    done = turnout("serve", "--store", "postgrs://u:hunter2@db/x")
    assert done.returncode == BAD_CONFIG
    assert "hunter2" not in done.stdout + done.stderr


# Keys ------------------------------------------------------------------------------------------

def test_a_new_key_is_alone_on_standard_output(turnout):
    done = turnout("key", "create", "--name", "north doors", "--scope", "scanner")
    assert done.returncode == DONE
    assert KEY.fullmatch(done.stdout.strip()) and done.stdout.count("\n") == 1
    assert done.stdout.strip().split(".")[1] not in done.stderr


def test_keys_are_listed_without_secrets_and_end_when_revoked(turnout):
    made = json.loads(turnout("key", "create", "--name", "a", "--scope", "admin", "--json").stdout)
    assert KEY.fullmatch(made["key"]) and made["event"] is None and made["revoked_at"] is None
    listed = json.loads(turnout("key", "list", "--json").stdout)["items"]
    assert [key["id"] for key in listed] == [made["id"]]
    assert made["key"].split(".")[1] not in json.dumps(listed)
    done = turnout("key", "revoke", made["id"])
    assert done.returncode == DONE and made["id"] in done.stdout
    assert json.loads(turnout("key", "list", "--json").stdout)["items"][0]["revoked_at"]
    assert "revoked" in turnout("key", "list").stdout


def test_a_whole_key_can_be_pasted_to_revoke_it(turnout):
    key = turnout("key", "create", "--name", "a", "--scope", "metrics").stdout.strip()
    revoked = json.loads(turnout("key", "revoke", key, "--json").stdout)
    assert revoked["revoked_at"] and key.startswith(f"tk_{revoked['id']}.")


def test_a_key_for_an_unknown_event_or_an_unknown_id_fails(turnout):
    done = turnout("key", "create", "--name", "a", "--scope", "scanner", "--event", "nowhere")
    assert done.returncode == FAILED and "unknown_event" in done.stderr and done.stdout == ""
    done = turnout("key", "revoke", "nobody")
    assert done.returncode == FAILED and "unknown_key" in done.stderr


def test_a_key_made_beside_a_node_works_at_once_and_a_revoked_one_soon_ends(turnout, serve):
    node = serve()
    key = turnout("key", "create", "--name", "a", "--scope", "admin").stdout.strip()
    request = urllib.request.Request(f"{node.url}/v1/events",
                                     headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert json.load(answer)["items"] == []
    assert turnout("key", "revoke", key).returncode == DONE
    deadline = time.monotonic() + START_S  # bounds a failure; the contract's second is no assertion
    while True:
        try:
            urllib.request.urlopen(request, timeout=30).close()
        except urllib.error.HTTPError as refusal:
            assert refusal.code == 401
            break
        assert time.monotonic() < deadline, "a revoked key still works"


# Import ----------------------------------------------------------------------------------------

def people_of(node):
    return node.ask("/v1/events/e1/participants?limit=1000")["items"]


def test_import_adds_people_beside_a_node(turnout, event, tmp_path):
    rows = "".join(f"t{n},Name {n},n{n}@example.org\n" for n in range(700))
    (tmp_path / "people.csv").write_text("token,name,email\n" + rows)
    done = turnout("import", "participants", "--event", "e1", "people.csv")
    assert done.returncode == DONE, done.stderr
    assert done.stdout == "700 created, 0 updated, 0 rejected\n"
    assert done.stderr == "", "no bar where there is no terminal"
    assert len(people_of(event)) == 700


def test_import_reads_standard_input_and_can_be_repeated(turnout, event):
    text = "token,name\na,Ada\nb,Bo\n"
    call = ["import", "participants", "--event", "e1", "-", "--json"]
    first = json.loads(turnout(*call, stdin=text).stdout)
    assert (first["created"], first["updated"], first["rejected"]) == (2, 0, [])
    again = json.loads(turnout(*call, stdin=text).stdout)
    assert (again["created"], again["updated"], again["rejected"]) == (0, 2, [])


def test_rejected_rows_are_named_by_line_and_the_others_are_stored(turnout, event, tmp_path):
    (tmp_path / "p.csv").write_text('token,name,status\na,"two\nlines",active\n b,B,active\n'
                                    "c,C,perhaps\nd,D,blocked\n")
    done = turnout("import", "participants", "--event", "e1", "p.csv")
    assert done.returncode == FAILED
    assert done.stdout == "2 created, 0 updated, 2 rejected\n"
    lines = [line.split(":")[0] for line in done.stderr.splitlines()]
    assert lines == ["line 4", "line 5"]
    assert {person["token"] for person in people_of(event)} == {"a", "d"}


def test_import_fails_in_a_sentence(turnout, event, tmp_path):
    (tmp_path / "p.csv").write_text("name\nAda\n")
    done = turnout("import", "participants", "--event", "e1", "p.csv")
    assert done.returncode == FAILED and "token" in done.stderr
    done = turnout("import", "participants", "--event", "nowhere", "p.csv")
    assert done.returncode == FAILED and "nowhere" in done.stderr
    done = turnout("import", "participants", "--event", "e1", "missing.csv")
    assert done.returncode == FAILED and "missing.csv" in done.stderr


def test_import_shows_a_bar_on_a_terminal(event, tmp_path):
    rows = "".join(f"t{n},Name {n},n{n}@example.org\n" for n in range(20000))
    (tmp_path / "people.csv").write_text("token,name,email\n" + rows)
    here, there = pty.openpty()
    process = subprocess.Popen([BIN, "import", "participants", "--event", "e1", "people.csv"],
                               cwd=tmp_path, stdout=subprocess.PIPE, stderr=there, text=True,
                               env=clean_environment())
    os.close(there)
    shown = b""
    while True:
        try:
            piece = os.read(here, 4096)
        except OSError:  # the other end is gone
            break
        if not piece:
            break
        shown += piece
    assert process.wait(STOP_S) == DONE
    os.close(here)
    process.stdout.close()
    assert b"importing [" in shown and b"%" in shown
    assert shown.endswith(b"\r\x1b[K"), "the bar is gone at the end"


# Doctor ----------------------------------------------------------------------------------------

def findings(done):
    report = json.loads(done.stdout)
    return report["safe"], {entry["check"]: entry for entry in report["findings"]}


def test_doctor_looks_without_making_anything(turnout, tmp_path):
    done = turnout("doctor", "--listen", "127.0.0.1:0", "--json")
    safe, found = findings(done)
    assert done.returncode == DONE and safe
    assert {"configuration", "auth", "descriptors", "listen", "clock", "file_system", "free_space",
            "store"} <= found.keys()
    assert list(tmp_path.iterdir()) == []


def test_doctor_finds_a_served_store_durable(turnout, event):
    done = turnout("doctor", "--listen", f"127.0.0.1:{event.port}", "--quick-check", "--json")
    safe, found = findings(done)
    assert done.returncode == DONE and safe
    assert "FULL" in found["journal"]["message"]
    for check in ("listen", "schema", "journal", "integrity", "permissions"):
        assert found[check]["level"] == "ok", found[check]
    assert found["keys"]["level"] == "warning" and "key create" in found["keys"]["mend"]


def test_doctor_exits_1_for_what_is_unsafe(turnout, tmp_path):
    def unsafe(check, *args):
        done = turnout("doctor", "--json", *args)
        safe, found = findings(done)
        assert done.returncode == FAILED and not safe
        assert found[check]["level"] == "unsafe" and found[check]["mend"]
        assert "Unsafe" in turnout("doctor", *args).stdout

    unsafe("auth", "--listen", "0.0.0.0:0", "--auth", "off")
    unsafe("store", "--listen", "127.0.0.1:0", "--store", "sqlite:no/such/folder/t.db")
    unsafe("store", "--listen", "127.0.0.1:0", "--store", "postgres://db/turnout")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        unsafe("listen", "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    (tmp_path / "letter.db").write_text("Dear grandmother, " * 100)
    unsafe("store", "--listen", "127.0.0.1:0", "--store", "sqlite:letter.db")
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE t (x)")
    unsafe("store", "--listen", "127.0.0.1:0", "--store", "sqlite:other.db")


def test_doctor_tells_files_that_everybody_may_read(turnout, tmp_path):
    assert turnout("key", "list").returncode == DONE
    store = tmp_path / "turnout.db"
    assert store.stat().st_mode & 0o077 == 0, "a new store is its owner's alone"
    store.chmod(0o644)
    _, found = findings(turnout("doctor", "--listen", "127.0.0.1:0", "--json"))
    assert found["permissions"]["level"] == "warning" and "chmod" in found["permissions"]["mend"]
    store.chmod(0o666)
    _, found = findings(turnout("doctor", "--listen", "127.0.0.1:0", "--json"))
    assert found["permissions"]["level"] == "unsafe"


def change_store(folder, sql):
    store = sqlite3.connect(folder / "turnout.db", isolation_level=None)
    store.execute(sql)
    store.close()


def stop(node):
    node.process.send_signal(signal.SIGTERM)
    assert node.process.wait(STOP_S) == DONE


def look(turnout, *args):
    done = turnout("doctor", "--listen", "127.0.0.1:0", "--json", *args)
    return done.returncode, findings(done)[1]


def test_doctor_tells_a_store_of_a_newer_version(turnout, tmp_path):
    assert turnout("key", "list").returncode == DONE
    change_store(tmp_path, "PRAGMA user_version = 99")
    code, found = look(turnout)
    assert code == FAILED and found["schema"]["level"] == "unsafe"
    assert "99" in found["schema"]["message"]
    assert turnout("key", "list").returncode == FAILED


def test_doctor_tells_a_clock_behind_the_newest_record(turnout, event, tmp_path):
    event.ask("/v1/events/e1/gates", {"code": "g1", "name": "One"})
    event.ask("/v1/events/e1/checkins", {"token": "nobody", "gate": "g1"})
    code, found = look(turnout)
    assert code == DONE and found["records"]["level"] == "ok"
    stop(event)
    change_store(tmp_path, "UPDATE attendance_records SET recorded_at = recorded_at + 3600000")
    code, found = look(turnout)
    assert code == FAILED and found["records"]["level"] == "unsafe"
    assert "ahead of the clock" in found["records"]["message"]


def test_doctor_finds_damage_when_it_reads_every_page(turnout, event, tmp_path):
    rows = "".join(f"t{n},Name {n},n{n}@example.org\n" for n in range(5000))
    done = turnout("import", "participants", "--event", "e1", "-",
                   stdin="token,name,email\n" + rows)
    assert done.returncode == DONE
    stop(event)
    assert look(turnout, "--quick-check")[0] == DONE
    store = tmp_path / "turnout.db"
    middle = store.stat().st_size // 2
    with open(store, "r+b") as file:
        file.seek(middle - middle % 4096)
        file.write(b"\xff" * 4096 * 20)
    code, found = look(turnout, "--quick-check")
    assert code == FAILED
    assert "backup" in found.get("integrity", found["store"])["mend"]


# Serve -----------------------------------------------------------------------------------------

def test_serve_prints_one_line_and_logs_what_it_runs_with(serve, tmp_path):
    node = serve("--auth", "off")
    assert node.ask("/readyz")["status"] == "ready"
    node.process.send_signal(signal.SIGTERM)
    assert node.process.wait(STOP_S) == DONE
    assert node.process.stdout.read() == "", "nothing but the ready line"
    log = (tmp_path / "serve.log").read_text()
    for word in ("event=starting", "store=sqlite:turnout.db", "loops=", "event=limits", "auth=off",
                 "event=stopping reason=SIGTERM", "event=stopped"):
        assert word in log, word


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", ":0"])
def test_auth_off_is_refused_where_others_reach(turnout, tmp_path, listen):
    done = turnout("serve", "--listen", listen, "--auth", "off")
    assert done.returncode == BAD_CONFIG and "auth.mode" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_connections_that_do_not_fit_are_told_and_the_rest_is_served(tmp_path):
    node = Node(tmp_path, "--auth", "off", descriptors=(200, 400))
    try:
        node.wait_ready()
        assert node.ask("/readyz")["status"] == "ready"
    finally:
        node.end()
    log = (tmp_path / "serve.log").read_text()
    assert "event=descriptors_raised from=200 to=400" in log
    assert "event=connections_do_not_fit" in log and "descriptors=400 serving_with=272" in log


def test_a_second_process_on_one_store_is_refused_and_the_first_goes_on(turnout, serve):
    node = serve("--auth", "off")
    done = turnout("serve", "--listen", "127.0.0.1:0", "--auth", "off")
    assert done.returncode == FAILED
    assert f"pid {node.process.pid}" in done.stderr and done.stdout == ""
    assert node.ask("/readyz")["status"] == "ready"


def test_a_killed_process_leaves_no_lock_behind(serve):
    node = serve("--auth", "off")
    node.process.kill()
    node.process.wait(STOP_S)
    assert serve("--auth", "off").ask("/readyz")["status"] == "ready"


def test_a_request_in_flight_is_cut_off_in_time_and_the_exit_is_0(serve, tmp_path):
    config = tmp_path / "t.ini"
    config.write_text("[server]\ndrain_timeout = 500ms\nrequest_timeout = 60s\n")
    node = serve("--auth", "off", "--config", config)
    with socket.create_connection(("127.0.0.1", node.port)) as slow:
        slow.sendall(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        node.ask("/livez")
        node.process.send_signal(signal.SIGTERM)
        assert node.process.wait(STOP_S) == DONE


def test_a_second_signal_ends_at_once(serve, tmp_path):
    config = tmp_path / "t.ini"
    config.write_text("[server]\ndrain_timeout = 10m\nrequest_timeout = 10m\n")
    node = serve("--auth", "off", "--config", config)
    with socket.create_connection(("127.0.0.1", node.port)) as slow:
        slow.sendall(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        node.ask("/livez")
        node.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_S
        while "event=stopping" not in (tmp_path / "serve.log").read_text():
            assert time.monotonic() < deadline
        node.process.send_signal(signal.SIGTERM)
        assert node.process.wait(STOP_S) == FAILED


# Demo ------------------------------------------------------------------------------------------

def test_demo_makes_its_people_and_gates_once(serve, tmp_path):
    node = serve("--auth", "off", "--demo")
    stats = node.ask("/v1/events/demo/stats")
    assert stats["participants"] == 50000 and len(stats["gates"]) == 40
    first = node.ask("/v1/events/demo/participants?limit=1000")["items"]
    assert [first[0]["token"], first[999]["token"]] == ["demo-000001", "demo-001000"]
    assert any(re.search("[가-힣]", person["name"]) for person in first)
    last = node.ask("/v1/events/demo/participants?token=demo-050000")["items"]
    assert len(last) == 1 and last[0]["email"].endswith("@example.com")
    scan = node.ask("/v1/events/demo/checkins", {"token": "demo-000001", "gate": "g40"})
    assert scan["verdict"] == "admitted"
    node.process.send_signal(signal.SIGTERM)
    assert node.process.wait(STOP_S) == DONE
    again = serve("--auth", "off", "--demo").ask("/v1/events/demo/stats")
    assert (again["participants"], again["admitted"]) == (50000, 1)
    assert "gates_made=0 participants_made=0" in (tmp_path / "serve.log").read_text()


def test_a_demo_that_was_interrupted_goes_on(serve, tmp_path):
    node = Node(tmp_path, "--auth", "off", "--demo")
    try:
        deadline = time.monotonic() + START_S
        made = 0
        while made < 3000:
            assert time.monotonic() < deadline
            try:
                with sqlite3.connect(f"file:{tmp_path}/turnout.db?mode=ro", uri=True) as store:
                    made = store.execute("SELECT count(*) FROM participants").fetchone()[0]
            except sqlite3.Error:
                pass  # not there yet
    finally:
        node.end()
    again = serve("--auth", "off", "--demo").ask("/v1/events/demo/stats")
    assert again["participants"] == 50000


# Commands that ask a node ------------------------------------------------------------------------

@pytest.fixture
def stranger():
    """A server that answers every question with JSON, and is no turnout."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"hello":"world"}')

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("call", [["kpi"], ["nodes"], ["cache", "stats"]])
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_an_answer_of_somebody_else_is_said_to_be_none_of_ours(turnout, stranger, call, form):
    answer = turnout(*call, "--url", stranger, *form)
    assert answer.returncode == 1
    assert "what answers there is not turnout" in answer.stderr
    assert answer.stdout == ""
