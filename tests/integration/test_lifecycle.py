# SPDX-License-Identifier: Apache-2.0
"""Starting, stopping under load, coming back with everything, and the demo."""

import http.client
import json
import os
import pathlib
import signal
import subprocess
import threading

import pytest

import rig
from rig import Venue, at, ok

WRITERS = 16


class Writer(threading.Thread):
    """Scans with nonces until the server goes away; keeps what was answered and what was not."""

    def __init__(self, server, path, tokens):
        super().__init__()
        self.server, self.path, self.tokens = server, path, tokens
        self.answered = {}    # nonce -> reply
        self.refused = 0      # 503: not taken, said so
        self.unanswered = []  # (nonce, token)
        self.broken = None

    def run(self):
        try:
            with self.server.client(timeout=60) as client:
                for token in self.tokens:
                    if not self.scan(client, token):
                        return
        except Exception as error:
            self.broken = error

    def scan(self, client, token):
        nonce = f"n-{token}"
        try:
            answer = client.post(f"{self.path}/checkins",
                                 {"token": token, "gate": "g1", "nonce": nonce})
        except ConnectionRefusedError:
            return False
        except (http.client.HTTPException, OSError):
            self.unanswered.append((nonce, token))
            return False
        if answer.status == 503:
            assert answer.headers["Retry-After"]
            self.refused += 1
            return False
        self.answered[nonce] = ok(answer)
        return True


def test_a_stop_under_load_answers_everything_in_flight_and_ends_with_0(make_server):
    server = make_server()
    with server.client() as client:
        venue = Venue(client)
        tokens = venue.crowd(WRITERS * 2000)
    writers = [Writer(server, venue.path, tokens[n::WRITERS]) for n in range(WRITERS)]
    for writer in writers:
        writer.start()
    rig.eventually(lambda: sum(len(writer.answered)
                   for writer in writers), lambda done: done > 300, 30)
    server.stop()
    for writer in writers:
        writer.join()
        assert writer.broken is None, writer.broken
    answered = {nonce: reply for writer in writers for nonce, reply in writer.answered.items()}
    assert len(answered) > 300

    server.start()
    with server.client() as client:
        venue.client = client
        records = {record["record_id"] for record in venue.attendance()}
        assert {reply["record_id"] for reply in answered.values()} <= records
        # Whoever got no answer was not in flight: nothing of theirs was decided.
        assert len(records) == len(answered)
        for writer in writers:
            for nonce, token in writer.unanswered:
                assert venue.admitted(token, nonce=nonce)["replayed"] is False


def test_a_restart_keeps_everything(make_server):
    server = make_server()
    with server.client() as client:
        venue = Venue(client, capacity=7, reentry="none", timezone="Asia/Seoul", starts_at=at(0))
        venue.patch_gate("g2", status="closed")
        venue.crowd(120)
        people = [venue.person(f"x{n}", name=f"Zoë {n}", email=f"z{n}@example.org",
                               attention="note", gates=["g1"], valid_from=at(0)) for n in range(5)]
        venue.erase(people[0])
        for n in range(12):
            venue.scan(f"p{n:06d}", scanned_at=at(n))
        reply = venue.scan("x1", force=True, scanned_at=at(50))
        venue.annul(reply["record_id"])
        venue.scan("p000000", direction="exit", scanned_at=at(60))
        venue.stats_become(scans=14)

        def picture():
            stats = venue.stats()
            stats.pop("as_of")
            for gate in stats["gates"]:
                gate.pop("last_minute")
            return {
                "event": ok(venue.client.get(venue.path)), "stats": stats,
                "gates": venue.client.pages(f"{venue.path}/gates"),
                "people": venue.client.pages(f"{venue.path}/participants"),
                "history": venue.attendance(),
                "timeline": venue.timeline(at(0), at(120), 10),
                "search": venue.find(q="zoe"),
            }

        before = picture()
    for _ in range(3):
        server.restart()
        with server.client() as client:
            venue.client = client
            assert picture() == before


def test_a_clean_stop_leaves_no_log_of_the_store_behind(make_server):
    server = make_server()
    with server.client() as client:
        Venue(client).crowd(10)
    server.stop()
    names = {path.name for path in server.folder.glob("turnout.db*")}
    assert "turnout.db" in names
    assert not {"turnout.db-wal", "turnout.db-shm", "turnout.db-journal"} & names


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_either_signal_stops_cleanly(make_server, number):
    server = make_server()
    os.kill(server.pid, number)
    server.wait_stopped()


def test_a_second_signal_while_stopping_is_no_crash(make_server):
    server = make_server()
    pid = server.pid
    os.kill(pid, signal.SIGTERM)
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        pass
    process, server.process = server.process, None
    # 1: the second one came while it was stopping; 0: it had stopped already
    assert process.wait(30) in (0, 1, -signal.SIGTERM)


def test_idle_connections_do_not_hold_up_a_stop(make_server):
    server = make_server()
    links = [server.socket() for _ in range(50)]
    for link in links[:25]:
        link.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        link.recv(4096)
    for link in links[25:]:
        link.sendall(b"GET /livez HT")
    server.stop()
    for link in links:
        link.close()


def test_hanging_up_is_no_reason_to_end(make_server):
    server = make_server()
    os.kill(server.pid, signal.SIGPIPE)
    with server.client() as client:
        assert client.get("/livez").status == 200


def test_the_port_is_free_again_after_a_stop(make_server):
    server = make_server()
    port = server.port
    with server.client() as client:
        client.get("/livez")
    server.stop()
    again = subprocess.Popen(
        [rig.BIN,
    "serve",
    "--listen",
    f"127.0.0.1:{port}",
    "--store",
    f"sqlite:{server.store}",
    "--auth",
     "off"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    line = again.stdout.readline()
    again.terminate()
    assert again.wait(30) == 0
    assert f":{port} ".encode() in line


# Refusing to start -----------------------------------------------------------------------------

def start_and_fail(tmp_path, *args, env=None):
    done = rig.run("serve", *args, env=env, timeout=30)
    assert done.returncode != 0
    assert "ready" not in done.stdout
    assert done.stderr.strip(), "no word about why"
    return done


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", ":0"])
def test_no_keys_are_refused_unless_it_listens_on_loopback(tmp_path, address):
    done = start_and_fail(tmp_path, "--listen", address, "--auth", "off", "--store",
                          f"sqlite:{tmp_path}/t.db")
    assert done.returncode in (2, 78)


def test_an_address_in_use_is_said_so(tmp_path, server):
    done = start_and_fail(tmp_path, "--listen", f"127.0.0.1:{server.port}", "--store",
                          f"sqlite:{tmp_path}/t.db")
    assert str(server.port) in done.stderr


@pytest.mark.parametrize("args", [["--listen", "nonsense"], ["--listen", "127.0.0.1:99999"],
                                  ["--store", "mysql:x"], ["--auth", "perhaps"]])
def test_a_bad_setting_is_78_or_a_usage_error(tmp_path, args):
    base = ["--listen", "127.0.0.1:0", "--store", f"sqlite:{tmp_path}/t.db"]
    assert start_and_fail(tmp_path, *base, *args).returncode in (2, 78)


def test_an_unknown_flag_is_a_usage_error(tmp_path):
    assert start_and_fail(tmp_path, "--fly").returncode == 2


def test_a_bad_configuration_file_is_78_and_names_file_and_line(tmp_path):
    config = tmp_path / "turnout.ini"
    config.write_text("[store]\nno_such_key = 1\n")
    done = start_and_fail(tmp_path, "--config", config)
    assert done.returncode == 78
    assert "turnout.ini" in done.stderr and "2" in done.stderr


def test_a_file_that_is_no_store_is_refused_and_untouched(tmp_path):
    store = tmp_path / "t.db"
    store.write_bytes(b"this is a letter to grandmother\n" * 100)
    before = store.read_bytes()
    start_and_fail(tmp_path, "--listen", "127.0.0.1:0", "--store", f"sqlite:{store}")
    assert store.read_bytes() == before


def test_a_folder_that_is_not_there_is_said_so(tmp_path):
    done = start_and_fail(
    tmp_path,
    "--listen",
    "127.0.0.1:0",
    "--store",
     f"sqlite:{tmp_path}/no/t.db")
    assert "no/t.db" in done.stderr or "no" in done.stderr


def test_the_environment_sets_what_no_flag_does(make_server):
    server = make_server(env={"TURNOUT_STORE_GROUP_MAX": "1"})
    with server.client() as client:
        venue = Venue(client)
        venue.person("t")
        venue.admitted("t")


def test_a_bad_value_in_the_environment_is_78(tmp_path):
    done = start_and_fail(tmp_path, "--listen", "127.0.0.1:0", "--store", f"sqlite:{tmp_path}/t.db",
                          env={"TURNOUT_STORE_GROUP_MAX": "many"})
    assert done.returncode == 78


# The command line ------------------------------------------------------------------------------

@pytest.mark.parametrize("args", [["help"], ["--help"], ["serve", "--help"], ["key", "--help"],
                                  ["import", "--help"], ["help", "config"], ["version"]])
def test_help_is_everywhere_and_ends_with_0(args):
    done = rig.run(*args)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("args", [[], ["dance"], ["serve", "--listen"]])
def test_a_usage_error_is_2_with_a_word_about_it(args):
    done = rig.run(*args)
    assert done.returncode == 2
    assert done.stderr.strip()


def test_the_version_as_json_is_json():
    assert json.loads(rig.run("version", "--json").stdout)


# The demo --------------------------------------------------------------------------------------

def test_the_demo_has_its_crowd_and_gates_and_is_made_once(make_server):
    server = make_server("--demo")
    for _ in range(2):
        with server.client() as client:
            stats = ok(client.get("/v1/events/demo/stats"))
            assert stats["participants"] == 50000
            assert [gate["gate"] for gate in stats["gates"]] == [f"g{n:02d}" for n in range(1, 41)]
        server.restart()
    with server.client() as client:
        for token in ("demo-000001", "demo-050000"):
            reply = ok(client.post("/v1/events/demo/checkins", {"token": token, "gate": "g01"}))
            assert reply["verdict"] == "admitted"
        reply = ok(client.post("/v1/events/demo/checkins", {"token": "demo-050001", "gate": "g40"}))
        assert reply["reason"] == "unknown_token"


def test_no_whole_token_name_or_address_is_in_the_log(make_server):
    server = make_server()
    with server.client() as client:
        venue = Venue(client)
        venue.person("secret-token-4711", name="Secretname", email="secretmail@example.org")
        venue.scan("secret-token-4711")
        venue.try_scan("secret-token-4711", "g9")
        venue.find(q="secretname")
        venue.find(token="secret-token-4711")
        venue.scan("secret-stranger-1")
    server.stop()
    log = pathlib.Path(server.log_path).read_text(errors="replace").lower()
    for secret in ("secret-token-4711", "secretname", "secretmail", "secret-stranger"):
        assert secret not in log
