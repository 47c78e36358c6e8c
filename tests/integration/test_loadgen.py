# SPDX-License-Identifier: Apache-2.0
"""The load generator: it plays every load of the tree, survives what devices survive, and its
ledger names every way in which a server can break its word."""

import concurrent.futures
import itertools
import json
import os
import subprocess
import threading

import pytest

import rig
import tamper
import tcp_proxy

LOADGEN = os.environ.get("TURNOUT_LOADGEN", str(rig.ROOT / "build" / "bench" / "loadgen"))
LOADS = rig.ROOT / "bench" / "loads"
FAULTS = ("lost", "changed", "doubled", "phantom", "replayed", "occupancy", "counts", "misjudged",
          "broken", "unanswered")

# Everything that a gate sees, few of each: 120 turns.
SMALL = """
[load]
title = Small
seconds = 0.6
[event]
people = 60
gates = 4
restricted = 0.1
[stream.doors]
connections = 8
curve = 0:200
entry = 40
exit = 30
duplicate = 10
double_tap = 5
resend = 5
wrong_gate = 8
unknown_token = 8
"""


class Played:
    def __init__(self, done):
        self.code, self.errors = done.returncode, done.stderr
        self.report = json.loads(done.stdout) if done.stdout else None

    @property
    def faults(self):
        found = self.report["ledger"]["faults"]
        assert set(found) == set(FAULTS)
        return {name: count for name, count in found.items() if count}

    def check(self):
        """An honest run: something happened, and nothing is wrong with it."""
        assert self.code == 0, self.errors
        assert self.faults == {} and self.report["ledger"]["holds"] is True
        assert self.report["ledger"]["acknowledged"] == self.report["ledger"]["sent"] > 0
        return self


def command(load, *urls, **options):
    words = [LOADGEN, load, "--url", ",".join(urls), "--quiet"]
    for name, value in options.items():
        words += ["--" + name.replace("_", "-"), str(value)]
    assert os.access(LOADGEN, os.X_OK), f"no program at {LOADGEN}: build it"
    return words


def play(load, *urls, **options):
    """`load` is a file, or the text of one."""
    return Played(subprocess.run(command(load, *urls, **options), capture_output=True, text=True,
                                 timeout=300, check=False, preexec_fn=rig.raise_fd_limit))


@pytest.fixture
def small(tmp_path):
    """The file of the small load; more lines may be added to it."""
    path = tmp_path / "small.ini"

    def write(more="", text=SMALL):
        path.write_text(text + more)
        return path
    return write


# An honest server -----------------------------------------------------------------------------

def test_a_small_load_is_played_whole_and_every_book_agrees(server, small):
    played = play(small(), server.url, database=server.store_url).check()
    report = played.report
    assert {name for name, each in report["operations"].items() if each["count"] > 0} >= {
        "entry", "exit", "duplicate", "double_tap", "resend", "wrong_gate", "unknown_token"}
    assert all(each["failed"] == 0 for each in report["operations"].values())
    assert report["statuses"] == {"200": sum(report["statuses"].values())}
    assert report["scans"]["count"] == report["ledger"]["sent"]
    assert 0 < report["scans"]["p50_ms"] <= report["scans"]["p99_ms"] <= report["scans"]["max_ms"]
    assert set(report["ledger"]["reasons"]) == {"already_used", "wrong_gate", "unknown_token"}
    assert [row["key"] for row in report["kpi"]["items"]][0] == "api_response_ms"
    assert report["performance"]["api"]["count"] >= report["scans"]["count"]


SHORT = {
    "doors-open": {"seconds": 2, "people": 300, "connections": 150},
    "reconnect-storm": {"scale": 0.004, "people": 3000, "connections": 4},
    "presence": {"seconds": 1, "scale": 0.2, "people": 3000, "connections": 4},
    "dashboard": {"seconds": 1, "people": 500, "connections": 50},
    "soak": {"seconds": 1, "people": 500, "connections": 100},
    "kpi": {"seconds": 1, "people": 500, "connections": 100},
    "upgrade": {"seconds": 1, "people": 500, "connections": 20, "scale": 0.2},
}


@pytest.mark.parametrize("name", SHORT)
def test_every_load_of_the_tree_is_played_in_short(server, name):
    played = play(LOADS / f"{name}.ini", server.url, database=server.store_url,
                  **SHORT[name]).check()
    assert played.report["planned"] > 0
    open_now = played.report["connections"]["open"]
    assert abs(open_now - SHORT[name]["connections"]) <= 2  # shares are rounded


def test_the_short_list_names_every_load():
    assert {path.stem for path in LOADS.glob("*.ini")} == {*SHORT, "rush"}


def test_the_search_ends_with_a_rate_that_held(server, small):
    search = "[search]\nfrom = 20\nup_to = 60\nlimit_ms = 100000\nprobe_s = 0.5\nsettle_s = 0.2\n"
    played = play(small(search, SMALL.replace("curve = 0:200", "curve = 0:1")),
                  server.url).check()
    probes = played.report["search"]["probes"]
    assert [probe["rate"] for probe in probes if probe["holds"]] == [20, 30, 45]
    assert played.report["search"]["rate"] == 45
    assert all(probe["done_rate"] > 0 for probe in probes)


def test_a_search_in_which_no_rate_holds_says_so_and_its_books_agree(server, small):
    search = "[search]\nfrom = 80\nlimit_ms = 0.1\nprobe_s = 30\nsettle_s = 0\n"
    played = play(small(search, SMALL.replace("curve = 0:200", "curve = 0:1")), server.url,
                  seconds=0.3).check()  # of each probe
    assert played.report["search"]["rate"] == 0 and "no rate held" in played.errors
    tried = [probe["rate"] for probe in played.report["search"]["probes"]]
    assert tried == [80, 80, 40, 40, 20, 20, 10, 10]  # a rate has two tries


def test_a_probe_that_cannot_hold_any_more_ends_and_its_books_agree(server, small):
    search = "[search]\nfrom = 80\nlimit_ms = 0.1\nquantile = 0.999\nprobe_s = 5\nsettle_s = 0\n"
    played = play(small(search, SMALL.replace("curve = 0:200", "curve = 0:1")),
                  server.url).check()
    assert not any(probe["holds"] for probe in played.report["search"]["probes"])
    assert played.report["ledger"]["sent"] < 2 * (80 + 40 + 20 + 10)  # of five times as many


def test_a_house_with_little_room_is_never_more_than_full(server, small):
    played = play(small(text=SMALL.replace("[event]", "[event]\ncapacity = 15")), server.url,
                  database=server.store_url).check()
    assert played.report["ledger"]["reasons"]["capacity_full"] > 0


@pytest.mark.parametrize("reentry", ["none", "always"])
def test_the_other_rules_of_coming_again_are_known(server, small, reentry):
    play(small(text=SMALL.replace("[event]", f"[event]\nreentry = {reentry}")), server.url,
         database=server.store_url).check()


def test_a_key_is_read_from_a_file(secured, small, tmp_path):
    path = tmp_path / "key"
    path.write_text(rig.create_key(secured, "admin") + "\n")
    played = play(small(), secured.url, key_file=path).check()
    assert path.read_text().strip() not in json.dumps(played.report)
    refused = play(small(), secured.url)
    assert refused.code == 1 and "401" in refused.errors


def test_connections_memory_and_descriptors_are_sampled(server, small):
    text = SMALL.replace("seconds = 0.6", "seconds = 2.5")
    played = play(small(text=text), server.url, watch=server.pid).check()
    assert len(played.report["samples"]) >= 2
    for sample in played.report["samples"]:
        assert sample["connections"] == 8
        [watched] = sample["watched"]
        assert watched["pid"] == server.pid
        assert watched["rss_kib"] > 1000 and watched["descriptors"] > 8


# What a device lives through ------------------------------------------------------------------

def scans_on(server):
    with server.client() as client:
        return sum(rig.ok(client.get(f"/v1/events/{event['code']}/stats"))["scans"]
                   for event in client.pages("/v1/events"))


def test_a_node_that_dies_under_way_loses_nothing(make_server, small):
    """Scans whose answer was lost are asked again of the node that came back."""
    server = make_server()
    door = tcp_proxy.Proxy((server.host, server.port))  # the address that stays
    text = SMALL.replace("seconds = 0.6", "seconds = 3").replace("people = 60", "people = 600")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        load = pool.submit(play, small(text=text), f"http://127.0.0.1:{door.port}",
                           database=server.store_url)
        rig.eventually(lambda: scans_on(server), lambda scans: scans > 50, 30)
        server.kill()
        server.start()
        door.target = (server.host, server.port)
        played = load.result().check()
    door.close()
    assert played.report["connections"]["lost"] + played.report["connections"]["lost_idle"] > 0
    assert played.report["connections"]["opened"] > 8


def test_a_load_that_is_told_to_end_is_compared_all_the_same(server, small):
    text = SMALL.replace("seconds = 0.6", "seconds = 250").replace("people = 60", "people = 600")
    before = scans_on(server)
    with subprocess.Popen(command(small(text=text), server.url, database=server.store_url),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as load:
        rig.eventually(lambda: scans_on(server), lambda scans: scans > before + 50, 30)
        load.terminate()
        out, errors = load.communicate(timeout=200)
    done = subprocess.CompletedProcess(load.args, load.returncode, out, errors)
    report = Played(done).check().report
    assert 0 < report["planned"] < 250 * 200 / 2


@pytest.fixture
def bad(server):
    made = tamper.Proxy(server)
    made.server.handle_error = lambda *_: None  # connections are dropped on purpose
    yield made
    made.close()


@pytest.fixture
def play_bad(bad, small):
    """Plays the small load against the proxy, which does what it was told to."""
    def run(**options):
        return play(small(), f"http://127.0.0.1:{bad.server.server_address[1]}", **options)
    return run


def scan_of(request):
    """The scan in a request, or None."""
    return json.loads(request.sent) if request.path.endswith("/checkins") else None


def once(matches, act):
    """Tampers with the first request that matches; others are honest."""
    left, lock = [1], threading.Lock()

    def inner(request, honest):
        with lock:
            due = bool(left[0]) and matches(request)
            left[0] -= due
        return act(request, honest) if due else honest()
    return inner


def test_an_honest_proxy_is_not_accused(play_bad):
    play_bad().check()


def test_a_commit_without_an_answer_is_found_by_the_nonce(bad, play_bad):
    """Every fifth scan is decided and answered 503, every seventh loses its connection."""
    numbers = itertools.count(1)

    def tampered(request, honest):
        answer = honest()
        number = next(numbers) if scan_of(request) else 0
        if number and number % 5 == 0 and number < 400:
            return 503, rig.PROBLEM, b'{"code":"commit_unknown","status":503}'
        if number and number % 7 == 0 and number < 400:
            request.close_connection = True
            raise ConnectionAbortedError
        return answer
    bad.tamper = tampered
    played = play_bad().check()
    assert played.report["retries"] > 10 and played.report["connections"]["lost"] > 3
    assert played.report["statuses"]["503"] > 5


# Servers that break their word ----------------------------------------------------------------

def is_entry(request):
    scan = scan_of(request)
    return scan is not None and scan["direction"] == "entry"


def changed_body(answer, change):
    """The answer with its document changed in place."""
    status, kind, body = answer
    document = json.loads(body)
    change(document)
    return status, kind, json.dumps(document).encode()


def behind_its_back(bad, request, **fields):
    """One more scan, that the load never sent."""
    with bad.node.client() as client:
        scan = {**scan_of(request), **fields}
        rig.ok(client.post(request.path, {name: value for name, value in scan.items() if value}))


def never_written(bad):
    def act(request, _):
        scan = scan_of(request)
        with bad.node.client() as client:
            path = f"/v1/events/{request.path.split('/')[3]}/participants?token={scan['token']}"
            [person] = rig.ok(client.get(path))["items"]
        return 200, "application/json", json.dumps({
            "verdict": "admitted", "reason": None, "record_id": "77", "replayed": False,
            "forced": False, "participant": person, "first": None, "inside": 1,
            "scanned_at": scan["scanned_at"], "decided_at": scan["scanned_at"]}).encode()
    return once(lambda request: is_entry(request) and "-p" in scan_of(request)["token"], act)


def left_out_of_the_history(_):
    return once(lambda request: "/attendance" in request.path,
                lambda request, honest: changed_body(honest(),
                                                     lambda page: page["items"].pop(3)))


def otherwise_in_the_history(_):
    def change(page):
        page["items"][3]["scanned_at"] = "2020-01-01T00:00:00.000Z"
    return once(lambda request: "/attendance" in request.path,
                lambda request, honest: changed_body(honest(), change))


def written_twice(bad):
    def act(request, honest):
        answer = honest()
        behind_its_back(bad, request, nonce=None)
        return answer
    return once(is_entry, act)


def let_in_twice(bad):
    def act(request, honest):
        answer = honest()
        behind_its_back(bad, request, nonce="another", force=True, scanned_at=None)
        return answer
    return once(lambda request: is_entry(request) and "-p" in scan_of(request)["token"], act)


def caused_by_nobody(bad):
    def act(request, honest):
        answer = honest()
        behind_its_back(bad, request, nonce=None, token="nobody", scanned_at=None)
        return answer
    return once(is_entry, act)


def asked_again(change):
    """Changes the answers of nonces that were seen before."""
    seen, lock = set(), threading.Lock()

    def act(request, honest):
        scan = scan_of(request)
        if scan is None:
            return honest()
        with lock:
            again = scan["nonce"] in seen
            seen.add(scan["nonce"])
        return changed_body(honest(), change) if again else honest()
    return act


def another_record_when_asked_again(_):
    return asked_again(lambda reply: reply.update(record_id="77"))


def decided_a_second_time(_):
    return asked_again(lambda reply: reply.update(replayed=False))


def miscounted(member):
    def act(request, honest):
        if not request.path.endswith("/stats"):
            return honest()
        return changed_body(honest(), lambda stats: stats.update({member: stats[member] + 1}))
    return lambda _: act


def let_in_by_word_only(_):
    def act(request, honest):
        status, kind, body = honest()
        return status, kind, body.replace(b'"verdict":"refused","reason":"already_used"',
                                          b'"verdict":"admitted","reason":null')
    return act


def half_an_answer(_):
    return once(is_entry, lambda *_: (200, "application/json", b'{"verdict":"admitted"}'))


def no_such_event(_):
    return once(is_entry, lambda *_: (404, rig.PROBLEM, b'{"code":"unknown_event"}'))


def never_decided(_):
    chosen, lock = [], threading.Lock()

    def act(request, honest):
        scan = scan_of(request)
        with lock:
            if scan and not chosen:
                chosen.append(scan["nonce"])
        if scan and scan["nonce"] in chosen:
            return 503, rig.PROBLEM, b'{"code":"overloaded"}'
        return honest()
    return act


LIES = [
    (never_written, {"lost"}), (left_out_of_the_history, {"lost"}),
    (otherwise_in_the_history, {"changed"}), (written_twice, {"doubled"}),
    (let_in_twice, {"doubled", "phantom"}), (caused_by_nobody, {"phantom"}),
    (another_record_when_asked_again, {"replayed"}), (decided_a_second_time, {"replayed"}),
    (miscounted("inside"), {"occupancy"}), (miscounted("refused"), {"counts"}),
    (let_in_by_word_only, {"misjudged", "doubled"}), (half_an_answer, {"broken", "unanswered"}),
    (no_such_event, {"broken", "unanswered"}), (never_decided, {"unanswered"}),
]


@pytest.mark.parametrize("lie, faults", LIES, ids=[
    "lost", "lost_in_history", "changed", "doubled", "let_in_twice", "phantom", "other_record",
    "decided_again", "occupancy", "counts", "misjudged", "broken", "refused", "unanswered"])
def test_every_way_of_breaking_its_word_is_named(bad, play_bad, lie, faults):
    bad.tamper = lie(bad)
    played = play_bad(patience=2)
    assert played.code == 1 and played.report["ledger"]["holds"] is False
    assert faults <= set(played.faults), played.errors
    for fault in faults:
        assert f"{fault}: " in played.errors  # and told, not only counted


def test_every_kind_of_fault_has_a_lie_that_shows_it():
    assert set().union(*(faults for _, faults in LIES)) == set(FAULTS)


@pytest.mark.parametrize("lie, faults", [(written_twice, "doubled"), (let_in_twice, "doubled"),
                                         (caused_by_nobody, "phantom")],
                         ids=["written_twice", "let_in_twice", "caused_by_nobody"])
def test_the_database_alone_shows_it_too(server, bad, play_bad, lie, faults):
    bad.tamper = lie(bad)
    played = play_bad(database=server.store_url)
    assert f"{faults}: API" in played.errors and f"{faults}: database" in played.errors


# What is no run -------------------------------------------------------------------------------

@pytest.mark.parametrize("text", [
    "[stream.doors]\ncurve = 0:0.001\nentry = 1\n",
    "[stream.office]\ncurve = 0:50\nstats = 1\n",
], ids=["nothing_came", "only_reads"])
def test_an_empty_run_is_a_failure(server, small, text):
    played = play(small(text="[load]\nseconds = 1\n[event]\npeople = 5\ngates = 2\n" + text),
                  server.url)
    assert played.code == 1 and "an empty run" in played.errors


@pytest.mark.parametrize("words, told", [
    ([], "name one load and --url"),
    (["LOAD"], "name one load and --url"),
    (["LOAD", "--url", "http://localhost:1"], "not http://ADDRESS:PORT"),
    (["LOAD", "--url", "http://127.0.0.1:1", "--scale", "fast"], "not a scale of this load: fast"),
    (["LOAD", "--url", "http://127.0.0.1:1", "--scale", "gates=2"], "not a scale of this load"),
    (["LOAD", "--url", "http://127.0.0.1:1", "--connections", "0"], "not connections of this load"),
    (["LOAD", "--url", "http://127.0.0.1:1", "--seconds", "-1"], "not a number from 0: -1"),
    (["LOAD", "--url", "http://127.0.0.1:1", "--tag", "a b"], "a tag is"),
    (["LOAD", "--url", "http://127.0.0.1:1", "--key-file", "/nowhere"], "no key in the file"),
    (["LOAD", "--url", "http://127.0.0.1:1", "--watch", "x"], "not a list of process ids"),
    (["LOAD", "--url", "http://127.0.0.1:1", "--nonsense", "1"], "unrecognized option"),
    (["/nowhere.ini", "--url", "http://127.0.0.1:1"], "/nowhere.ini: cannot be read"),
])
def test_wrong_usage_is_told_and_ends_with_2(small, words, told):
    words = [str(small()) if word == "LOAD" else word for word in words]
    done = subprocess.run([LOADGEN, *words], capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 2 and told in done.stderr
    assert done.stdout == ""


def test_a_server_that_is_not_there_is_a_failure(small):
    played = play(small(), "http://127.0.0.1:1", patience=0.3)
    assert played.code == 1 and "POST /v1/events: 0" in played.errors


def test_help_names_every_option_and_fault():
    done = subprocess.run([LOADGEN, "--help"], capture_output=True, text=True, timeout=60,
                          check=True)
    assert all(fault in done.stdout for fault in FAULTS)
    assert "--database" in done.stdout and done.stderr == ""
