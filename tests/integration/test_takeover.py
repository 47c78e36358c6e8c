# SPDX-License-Identifier: Apache-2.0
"""A new process takes over from the old one: no request is lost, whoever fails or dies meanwhile.

TURNOUT_TAKEOVERS sets how often under load (3), TURNOUT_OTHER_BIN names another build to change to
and back, TURNOUT_SEED repeats a run.
"""

import http.client
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading

import pytest

import rig
from rig import Venue, eventually, ok
from takeovers import Crowd, Node, another_build, is_alive

TAKEOVERS = int(os.environ.get("TURNOUT_TAKEOVERS", "3"))


def seed():
    value = int(os.environ.get("TURNOUT_SEED", random.randrange(1 << 32)))
    print(f"TURNOUT_SEED={value} TURNOUT_TAKEOVERS={TAKEOVERS}")
    return value


@pytest.fixture
def make_node(tmp_path, request):
    made = []

    def make(*args, **options):
        made.append(Node(options.pop("folder", tmp_path), *args, **options))
        return made[-1].start()

    yield make
    for node in made:
        if request.session.testsfailed:
            print(node.log_tail())
        node.kill_all()


@pytest.fixture
def node(make_node):
    return make_node()


@pytest.fixture(params=["sqlite", "postgres"])
def any_node(request, make_node):
    if request.param == "sqlite":
        return make_node()
    pair = request.getfixturevalue("pair")
    return make_node(store=pair.url(), env=pair.environment())


def script(folder, name, text):
    path = folder / name
    path.write_text("#!/bin/sh\n" + text + "\n")
    path.chmod(0o755)
    return path


# Under load -------------------------------------------------------------------------------------

def test_takeovers_under_load_fail_no_request_and_lose_or_double_no_scan(any_node):
    with Crowd(any_node, seed()) as crowd:
        for _ in range(TAKEOVERS):
            any_node.take_over()
            crowd.wait_for(50)
    crowd.check()
    assert len(set(any_node.pids)) == TAKEOVERS + 1
    assert "node_id_taken" not in any_node.log()
    any_node.stop()


def test_upgrades_to_another_build_and_back_under_load_fail_no_request(make_node, tmp_path):
    builds = [tmp_path / "installed", another_build(tmp_path)]
    shutil.copy(rig.BIN, builds[0])
    current = tmp_path / "turnout"
    current.symlink_to(builds[0])
    node = make_node(binary=current)
    with Crowd(node, seed()) as crowd:
        for change in range(TAKEOVERS):
            current.unlink()
            current.symlink_to(builds[(change + 1) % 2])
            since = node.mark()
            node.take_over()
            crowd.wait_for(50)
            said = re.search(r"takeover_joined old_pid=\d+ old_version=(\S+)", node.log(since))
            new = re.search(r"takeover_offered new_pid=\d+ new_version=(\S+)", node.log(since))
            assert os.environ.get("TURNOUT_OTHER_BIN") or said[1] != new[1]
    crowd.check()
    node.stop()


def test_a_process_that_somebody_else_starts_takes_over_too(node):
    with Crowd(node, seed()) as crowd:
        for _ in range(2):
            since = node.mark()
            node.launch("--takeover")
            node.finish(since)
            crowd.wait_for(50)
    crowd.check()
    node.stop()


def test_no_connection_is_refused_meanwhile(node):
    """A new connection for each request, all the time."""
    ends, broken, count = threading.Event(), [], [0]

    def dial():
        try:
            while not ends.is_set():
                with node.client() as client:
                    assert client.get("/livez").status == 200
                count[0] += 1
        except Exception as error:
            broken.append(error)

    threads = [threading.Thread(target=dial) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(TAKEOVERS):
        node.take_over()
    ends.set()
    for thread in threads:
        thread.join()
    assert broken == [] and count[0] > 50


# What is under way ------------------------------------------------------------------------------

def ask_raw(link, path="/livez"):
    link.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    answer = http.client.HTTPResponse(link)
    answer.begin()
    answer.read()
    return answer


def test_an_idle_connection_gets_one_more_answer_that_closes_it(node):
    with socket.create_connection(("127.0.0.1", node.port), 30) as link:
        assert ask_raw(link).getheader("Connection") == "keep-alive"
        since = node.mark()
        node.begin()
        node.wait("^ready", since)
        answer = ask_raw(link)
        assert answer.status == 200 and answer.getheader("Connection") == "close"
        assert link.recv(1) == b""
    node.finish(since)
    with socket.create_connection(("127.0.0.1", node.port), 30) as link:
        assert ask_raw(link).getheader("Connection") == "keep-alive"


def test_a_body_that_is_still_arriving_is_taken_to_its_end_by_the_old_process(node):
    with node.client() as client:
        venue = Venue(client)
    rows = ("token,name\n" + "".join(f"t{n:05d},N\n" for n in range(3000))).encode()
    with socket.create_connection(("127.0.0.1", node.port), 30) as link:
        link.sendall(f"POST {venue.path}/participants:import HTTP/1.1\r\nHost: x\r\n"
                     f"Content-Type: text/csv\r\nContent-Length: {len(rows)}\r\n\r\n".encode())
        link.sendall(rows[:len(rows) // 2])
        since = node.mark()
        node.begin()
        node.wait("^ready", since)
        with node.client() as client:  # the new one
            ok(client.post(f"{venue.path}/participants", {"token": "z", "name": "Z"}), 201)
        link.sendall(rows[len(rows) // 2:])
        answer = http.client.HTTPResponse(link)
        answer.begin()
        body = rig.json.loads(answer.read())
        assert body["created"] == 3000 and answer.getheader("Connection") == "close"
    node.finish(since)
    with node.client() as client:
        venue.client = client
        venue.stats_become(participants=3001)


def test_what_one_process_wrote_the_other_knows_within_a_second(node):
    """Reads of the new one while the old one still writes, through both caches."""
    with node.client() as client:
        venue = Venue(client)
        venue.people(*(f"p{n}" for n in range(40)))
        link = node.client()
        link.get("/livez")
        since = node.mark()
        node.begin()
        node.wait("^ready", since)
        fresh = Venue.__new__(Venue)
        fresh.__dict__.update(venue.__dict__, client=node.client())
        fresh.stats()
        venue.client = link  # still at the old process, for one answer
        reply = venue.admitted("p1", gate="g1")
        fresh.stats_become(admitted=1, inside=1)
        fresh.refused("already_used", "p1")
        assert fresh.admitted("p2")["inside"] == 2
        assert int(fresh.admitted("p3")["record_id"]) > int(reply["record_id"])
        fresh.gate_stats_become("g1", last_minute=3)
    node.finish(since)


def test_a_stream_of_figures_ends_and_can_be_opened_again(node):
    with socket.create_connection(("127.0.0.1", node.port), 30) as link:
        link.sendall(b"GET /v1/performance/stream HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" in link.recv(4096)
        since = node.mark()
        node.begin()
        while link.recv(65536):
            pass
    node.finish(since)
    with socket.create_connection(("127.0.0.1", node.port), 30) as link:
        link.sendall(b"GET /v1/performance/stream HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" in link.recv(4096)


def test_the_new_process_begins_with_the_keys_that_were_asked_for_most(node):
    with node.client() as client:
        venue = Venue(client)
        venue.people("hot", "cold")
        for _ in range(200):
            venue.find(token="hot")
    since = node.mark()
    node.take_over()
    assert int(re.search(r"cache_roster_read keys=(\d+)", node.log(since))[1]) >= 1
    # once before it served, and once more: the old one's writes had emptied it
    assert node.log(since).count("event=cache_roster_read") == 2


def test_the_agent_check_is_answered_all_the_time(make_node):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    node = make_node(env={"TURNOUT_SERVER_AGENT": f"127.0.0.1:{port}"})
    ends, said, broken = threading.Event(), [], []

    def ask():
        try:
            while not ends.is_set():
                with socket.create_connection(("127.0.0.1", port), 30) as link:
                    said.append(link.recv(64))
        except OSError as error:
            broken.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    for _ in range(TAKEOVERS):
        node.take_over()
    ends.set()
    thread.join()
    assert broken == [] and len(said) > 20
    shares = [int(re.fullmatch(rb"up (\d+)%\n", line)[1]) for line in said]
    assert min(shares) > 0, "told to send nothing, while another process serves"


def test_a_node_of_several_stays_one_node(pair, make_node):
    node = make_node(store=pair.url(), env=pair.environment())

    def nodes():
        with node.client() as client:
            return ok(client.get("/v1/nodes"))["items"]

    with node.client() as client:  # a process that has just begun has not looked around yet
        eventually(lambda: client.get("/v1/nodes").status, lambda status: status == 200, 30)
    before = eventually(nodes, lambda items: len(items) == 1 and items[0]["healthy"], 30)
    for _ in range(2):
        node.take_over()
    after = eventually(nodes, lambda items: len(items) == 1 and items[0]["healthy"], 30)
    assert [one["id"] for one in after] == [one["id"] for one in before]
    assert "node_id_taken" not in node.log()
    node.stop()
    assert "event=node_left" in node.log()


def test_a_connection_that_stays_open_is_cut_off_at_the_bound(make_node):
    """A stream that begins at the old process after the new one serves: it has no end."""
    node = make_node(env={"TURNOUT_SERVER_REQUEST_TIMEOUT": "2s",
                          "TURNOUT_SERVER_DRAIN_TIMEOUT": "1s"})
    link, _, since = lingering(node)
    link.sendall(b"GET /v1/performance/stream HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"200" in link.recv(4096)
    node.wait("event=takeover_cuts_off", since)
    node.finish(since)
    while link.recv(65536):
        pass
    link.close()


# Refused and failed ------------------------------------------------------------------------------

def assert_serves(node, pid):
    assert is_alive(pid)
    with node.client() as client:
        assert client.get("/readyz").status == 200
        venue = Venue(client)
        venue.person("t")
        venue.admitted("t")


@pytest.mark.parametrize("text, ended", [
    ("exit 3", "exit 3"),
    ("kill -9 $$", "signal 9"),
    ("echo garbage >&3; exec sleep 60", "signal 9"),
    ("exec sleep 60 3>&-", "signal 9"),
])
def test_a_new_program_that_fails_leaves_the_old_one_serving(make_node, tmp_path, text, ended):
    current = tmp_path / "turnout"
    current.symlink_to(rig.BIN)
    node = make_node(binary=current)
    pid = node.pid
    current.unlink()
    current.symlink_to(script(tmp_path, "broken", text))
    with Crowd(node, seed(), busy=2, idle=0) as crowd:
        since = node.mark()
        node.begin()
        found = node.wait(r"event=takeover_failed .* ended=\"([^\"]*)\"", since)
        assert found[1] == ended
        crowd.wait_for(20)
    assert_serves(node, pid)
    current.unlink()
    current.symlink_to(rig.BIN)
    node.take_over()
    crowd.check()
    node.stop()


def test_a_new_program_that_hangs_is_ended_in_time_and_the_old_one_serves(make_node, tmp_path):
    current = tmp_path / "turnout"
    current.symlink_to(rig.BIN)
    node = make_node(binary=current, env={"TURNOUT_SERVER_TAKEOVER_TIMEOUT": "1s"})
    pid = node.pid
    current.unlink()
    current.symlink_to(script(tmp_path, "hangs", "exec sleep 1000"))
    since = node.mark()
    child = node.begin()
    found = node.wait(r"event=takeover_failed .*reason=\"([^\"]*)\"", since)
    assert "server.takeover_timeout" in found[1]
    assert not is_alive(child)
    assert_serves(node, pid)


def test_a_program_that_is_gone_is_said_so(make_node, tmp_path):
    current = tmp_path / "turnout"
    current.symlink_to(rig.BIN)
    node = make_node(binary=current)
    current.unlink()
    since = node.mark()
    os.kill(node.pid, signal.SIGUSR2)
    found = node.wait(r"event=takeover_(?:refused|failed) .*", since)
    assert "cannot be started" in found[0] or "exit 127" in found[0]
    assert_serves(node, node.pid)


def test_a_bad_configuration_is_told_and_the_old_one_serves(make_node, tmp_path):
    config = tmp_path / "turnout.ini"
    config.write_text("[log]\nlevel = info\n")
    node = make_node("--config", str(config))
    pid = node.pid
    config.write_text("[log]\nlevel = loud\n")
    since = node.mark()
    node.begin()
    node.wait(r"event=takeover_failed .* ended=\"exit 78\"", since)
    assert "turnout.ini:2: log.level = loud" in node.log(since)
    assert_serves(node, pid)
    config.write_text("[log]\nlevel = debug\n")
    node.take_over()
    assert_serves(node, node.pid)


def test_settings_that_a_takeover_changes_are_in_effect_afterwards(make_node, tmp_path):
    config = tmp_path / "turnout.ini"
    config.write_text("[cache]\nentries = 1000\n")
    node = make_node("--config", str(config))
    config.write_text("[cache]\nentries = 2000\n")
    node.take_over()
    with node.client() as client:
        assert ok(client.get("/v1/cache"))["l1"]["capacity"] == 2000


def fail_to_take_over(node, *more, code, store=None, listen=None):
    command = node.command("--takeover", *more)
    if store is not None:
        command[command.index("--store") + 1] = store
    if listen is not None:
        command[command.index("--listen") + 1] = listen
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    assert "ready" not in done.stdout
    return done.stderr


def test_nobody_to_take_over_from_is_said_so(node):
    said = fail_to_take_over(node, code=1, listen="127.0.0.1:1")
    assert "no turnout serves on 127.0.0.1:1" in said


@pytest.mark.parametrize("store", ["sqlite:other.db", "postgres://turnout@127.0.0.1:1/none"])
def test_another_store_is_refused(node, tmp_path, store):
    said = fail_to_take_over(node, code=78, store=store.replace("other.db", f"{tmp_path}/o.db"))
    assert "store.url" in said and "keeps the store" in said
    assert not (tmp_path / "o.db").exists()
    assert_serves(node, node.pid)


def test_another_address_in_the_file_is_refused(make_node, tmp_path):
    config = tmp_path / "turnout.ini"
    node = Node(tmp_path)
    node.args = ["--config", str(config)]
    config.write_text("[server]\nlisten = 127.0.0.1:0\n")
    node.command = lambda *more: [rig.BIN, "serve", "--store", node.store, "--auth", "off",
                                  *node.args, *more]
    try:
        node.start()
        config.write_text("[server]\nlisten = 127.0.0.1:1\n")
        since = node.mark()
        node.begin()
        node.wait(r"event=takeover_failed .* ended=\"exit 78\"", since)
        assert "a takeover keeps the address" in node.log(since)
        assert_serves(node, node.pid)
    finally:
        node.kill_all()


def test_a_name_for_the_same_address_is_the_same_address(node):
    node.listen = f"localhost:{node.port}"
    since = node.mark()
    node.launch("--takeover")
    node.finish(since)
    assert_serves(node, node.pid)


def test_a_second_serve_without_takeover_is_refused_throughout(node):
    def refused():
        command = node.command()
        command[command.index("--listen") + 1] = "127.0.0.1:0"
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1 and "is served by another process already" in done.stderr
        return int(re.search(r"pid (\d+)", done.stderr)[1])

    assert refused() == node.pid
    link = socket.create_connection(("127.0.0.1", node.port), 30)
    ask_raw(link)
    since = node.mark()
    new = node.begin()
    node.wait("^ready", since)
    assert refused() == new  # the old one has not ended yet
    ask_raw(link)
    node.finish(since)
    assert refused() == node.pid == new
    node.stop()
    assert not list(node.folder.glob("turnout.db.lock"))


# A hold in the middle: the test keeps the file's write lock, so that the new process waits to open
# its store while the old one serves reads.

class Hold:
    def __init__(self, node):
        self.link = sqlite3.connect(node.store.removeprefix("sqlite:"), isolation_level=None)
        self.link.execute("BEGIN IMMEDIATE")

    def release(self):
        self.link.execute("ROLLBACK")
        self.link.close()


def hold(node):
    """A takeover that has come as far as the offer; the new process' id and the hold."""
    held = Hold(node)
    since = node.mark()
    new = node.begin()
    node.wait("event=takeover_joined", since)
    return new, held, since


def test_a_second_takeover_is_refused_while_one_is_under_way(node):
    _, held, since = hold(node)
    assert "another takeover is under way" in fail_to_take_over(node, code=1)
    os.kill(node.pid, signal.SIGUSR2)
    node.wait("event=takeover_refused", since)
    held.release()
    node.finish(since)
    assert_serves(node, node.pid)


def test_killing_the_new_process_while_it_prepares_changes_nothing(node):
    pid = node.pid
    with Crowd(node, seed(), busy=2, idle=0) as crowd:
        new, held, since = hold(node)
        os.kill(new, signal.SIGKILL)
        held.release()
        node.wait(r"event=takeover_failed .* ended=\"signal 9\"", since)
        crowd.wait_for(20)
    crowd.check()
    assert_serves(node, pid)


def test_killing_the_old_process_while_the_new_one_prepares_leaves_the_new_one_serving(node):
    with node.client() as client:
        venue = Venue(client)
        venue.people("a", "b")
        first = venue.admitted("a", nonce="n1")
    new, held, since = hold(node)
    os.kill(node.pid, signal.SIGKILL)
    held.release()
    found = node.wait(r"^ready url=\S+ pid=(\d+)$", since)
    assert int(found[1]) == new
    node.pids.append(new)
    with node.client() as client:
        venue.client = client
        again = venue.scan("a", nonce="n1")
        assert again["replayed"] and again["record_id"] == first["record_id"]
        venue.admitted("b")
    node.take_over()
    node.stop()


def test_stopping_the_old_process_while_the_new_one_prepares_stops_both(node):
    new, held, since = hold(node)
    os.kill(node.pid, signal.SIGTERM)
    held.release()
    node.wait_gone(node.pid)
    node.wait_gone(new)
    assert "event=takeover_failed" in node.log(since)
    assert "ready" not in re.findall(r"^\w+", node.log(since), re.M)


def lingering(node):
    """A takeover whose old process still has a connection; that, and the mark in the log."""
    link = socket.create_connection(("127.0.0.1", node.port), 30)
    ask_raw(link)
    since = node.mark()
    new = node.begin()
    node.wait("^ready", since)
    return link, new, since


def test_when_the_new_process_is_killed_at_once_the_old_one_serves_again(node):
    pid = node.pid
    link, new, since = lingering(node)
    os.kill(new, signal.SIGKILL)
    node.wait("event=takeover_resumed", since)
    answer = ask_raw(link)
    assert answer.status == 200 and answer.getheader("Connection") == "keep-alive"
    link.close()
    assert_serves(node, pid)
    node.take_over()
    assert_serves(node, node.pid)
    node.stop()
    assert not list(node.folder.glob("turnout.db.lock"))


def test_killing_the_old_process_while_it_ends_harms_its_own_connections_alone(node):
    link, new, since = lingering(node)
    os.kill(node.pid, signal.SIGKILL)
    node.wait("event=takeover_alone", since)
    with pytest.raises((OSError, http.client.HTTPException)):
        ask_raw(link)
    link.close()
    assert_serves(node, new)
    node.pids.append(new)
    node.take_over()
    node.stop()


def test_stopping_the_new_process_while_the_old_one_ends_stops_both(node):
    link, new, since = lingering(node)
    os.kill(new, signal.SIGTERM)
    eventually(lambda: is_alive(new), lambda alive: not alive, 30)
    node.wait_gone(node.pid)
    assert "event=takeover_resumed" not in node.log(since)
    link.close()


def test_orders_to_a_process_that_is_replaced_are_refused(node):
    link, _, since = lingering(node)
    for number, name in ((signal.SIGHUP, "SIGHUP"), (signal.SIGUSR2, "SIGUSR2")):
        os.kill(node.pid, number)
        node.wait(f"event=order_refused signal={name}", since)
    ask_raw(link)
    node.finish(since)


def test_another_user_is_not_let_in(node):
    if os.geteuid() != 0:
        pytest.skip("needs root to be another user")
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--clear-groups", *node.command("--takeover")],
        capture_output=True, text=True, timeout=60, check=False, cwd="/")
    assert done.returncode != 0 and "another user" in done.stderr, done.stderr
    assert_serves(node, node.pid)


def test_strangers_at_the_door_are_nothing(node):
    """Whoever knocks and says nothing of sense is let go, and the next takeover works."""
    for words in (b"", b"x", b"{}", b'{"type":"hello","protocol":99}', b'{"type":"serving"}',
                  b'{"type":"later"}', b"\xff" * 8192):
        since = node.mark()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
            door.connect(f"\0turnout/127.0.0.1:{node.port}")
            if words:
                door.send(words)
            door.settimeout(30)
            if words and words != b'{"type":"later"}':
                door.recv(8192)
        node.wait("event=takeover_failed", since)
    assert_serves(node, node.pid)
    node.take_over()
    node.stop()
