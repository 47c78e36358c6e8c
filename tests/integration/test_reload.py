# SPDX-License-Identifier: Apache-2.0
"""SIGHUP: what can change in a running node does, the rest is named, a broken file is refused."""

import os
import re
import signal
import threading

import pytest

import rig
from rig import Venue, eventually, ok

CONFIG = """[server]
body_max = 1M
drain_timeout = 5s
[log]
level = info
[cache]
entries = 1000
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "turnout.ini"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def node(make_server, config):
    return make_server("--config", str(config))


def log_of(server):
    return server.log_path.read_text(errors="replace")


def reload(server, event="reloaded"):
    """Asks for it and waits until the node has said what became of it; that part of its log."""
    before = len(log_of(server))
    os.kill(server.pid, signal.SIGHUP)
    eventually(lambda: log_of(server)[before:], lambda text: f"event={event}" in text, 20)
    return log_of(server)[before:]


def lines(text, event):
    return [line for line in text.splitlines() if f"event={event} " in line]


def test_what_can_change_changes_and_is_said_with_both_values(node, config):
    with node.client() as client:
        path, rows = "/v1/events/none/participants:import", "token\n" + "t\n" * 100_000
        assert client.post(path, rows, rig.CSV).status == 404
    config.write_text(CONFIG.replace("1M", "64K").replace("level = info", "level = debug"))
    said = reload(node)
    assert "setting=server.body_max from=1M to=64K" in said
    assert "setting=log.level from=info to=debug" in said
    assert "changed=2 waiting=0" in said
    with node.client() as client:
        eventually(lambda: client.post(path, rows, rig.CSV).status, lambda status: status == 413)


def test_the_same_file_again_changes_nothing(node):
    assert "changed=0 waiting=0" in reload(node)


def test_a_setting_that_goes_away_gets_its_default_again(node, config):
    config.write_text(CONFIG.replace("body_max = 1M\n", ""))
    assert "setting=server.body_max from=1M to=32M" in reload(node)


def test_what_cannot_change_is_named_with_its_remedy_each_time(node, config):
    config.write_text(CONFIG.replace("entries = 1000", "entries = 2000") +
                      "[scaler]\nup_cpu = 70\n")
    for _ in range(2):
        waits = lines(reload(node), "setting_waits")
        assert len(waits) == 2
        assert "setting=cache.entries now=1000 wanted=2000 takes=takeover" in waits[0]
        assert "USR2" in waits[0]
        assert "setting=control_plane takes=takeover" in waits[1]


def test_another_address_or_store_takes_a_restart(make_server, config, tmp_path):
    config.write_text(f"[server]\nlisten = 127.0.0.1:0\n[store]\nurl = sqlite:{tmp_path}/a.db\n")
    process = rig.subprocess.Popen([rig.BIN, "serve", "--auth", "off", "--config", str(config)],
                                   stdout=rig.subprocess.PIPE, stderr=rig.subprocess.PIPE,
                                   text=True)
    assert process.stdout.readline().startswith("ready")
    config.write_text(f"[server]\nlisten = 127.0.0.1:1\n[store]\nurl = sqlite:{tmp_path}/b.db\n")
    os.kill(process.pid, signal.SIGHUP)
    said = ""
    while "event=reloaded" not in said:
        said += process.stderr.readline()
    process.terminate()
    process.communicate()
    assert process.returncode == 0
    for name in ("server.listen", "store.url"):
        assert f"setting={name} now=(text) wanted=(text) takes=restart" in said
    assert not (tmp_path / "b.db").exists()


def test_a_flag_wins_over_the_file_after_a_reload_too(node, config):
    config.write_text(CONFIG + "[store]\nurl = sqlite:/nowhere/else.db\n[auth]\nmode = required\n")
    assert "changed=0 waiting=0" in reload(node)
    with node.client() as client:
        assert client.get("/v1/events").status == 200


@pytest.mark.parametrize("broken, line", [
    (CONFIG + "[log]\nlevle = debug\n", 9),
    (CONFIG.replace("body_max = 1M", "body_max = many"), 2),
    (CONFIG + "[scaler]\nup_cpu = 700\n", 9),
    (CONFIG + "nonsense\n", 8),
    (CONFIG + "[database]\nwindow = 02:00-5\n", 9),
])
def test_a_broken_file_changes_nothing_and_says_where(node, config, broken, line):
    config.write_text(broken.replace("drain_timeout = 5s", "drain_timeout = 6s"))
    said = reload(node, "reload_failed")
    assert re.search(rf"reload_refused reason=\"\S*turnout\.ini:{line}: ", said), said
    assert not lines(said, "setting_changed") and "event=reloaded " not in said
    config.write_text(CONFIG)
    assert "changed=0 waiting=0" in reload(node)


def test_a_file_that_is_gone_changes_nothing(node, config):
    config.unlink()
    said = reload(node, "reload_failed")
    assert "turnout.ini: cannot be read" in said
    with node.client() as client:
        assert client.get("/livez").status == 200


def test_no_secret_of_the_file_gets_into_the_log(node, config):
    config.write_text(CONFIG + "[redis]\nnodes = 127.0.0.1:1\npassword = hush-hush-4711\n")
    said = reload(node)
    assert "setting=redis.password now=(text) wanted=(text)" in said
    assert "hush-hush" not in log_of(node)


def test_reloads_under_load_disturb_no_request(node, config):
    with node.client() as client:
        venue = Venue(client)
        tokens = venue.crowd(4000)
    broken, stop = [], threading.Event()

    def scan(mine):
        try:
            with node.client() as own:
                for token in mine:
                    reply = ok(own.post(f"{venue.path}/checkins", {"token": token, "gate": "g1"}))
                    assert reply["verdict"] == "admitted", reply
        except Exception as error:
            broken.append(error)

    def scan_all():
        rig.in_threads(8, lambda index: scan(tokens[index::8]))
        stop.set()

    work = threading.Thread(target=scan_all)
    work.start()
    reloads = 0
    while not stop.is_set():
        chunk, size = (16, "2M") if reloads % 2 else (512, "1M")
        config.write_text(CONFIG.replace("1M", size) + f"[checkin]\nchunk = {chunk}\n"
                          f"scans_max = {1000 + reloads % 7}\n")
        os.kill(node.pid, signal.SIGHUP)
        reloads += 1
        stop.wait(0.05)  # a pace, as many lines in one second are folded
    work.join()
    assert broken == [] and reloads > 2


def test_a_hangup_before_a_stop_is_no_second_signal(node):
    os.kill(node.pid, signal.SIGTERM)
    try:
        os.kill(node.pid, signal.SIGHUP)
    except ProcessLookupError:
        pass
    node.wait_stopped()
