# SPDX-License-Identifier: Apache-2.0
"""What the black-box tests stand on: a server process, an HTTP client, an event of its own.

The tests see the product as its users do: the binary, its command line and its HTTP API. Nothing
here knows how it works inside. Standard library only.
"""

import datetime
import http.client
import itertools
import json
import os
import pathlib
import re
import resource
import select
import signal
import socket
import subprocess
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = os.environ.get("TURNOUT_BIN", str(ROOT / "build" / "turnout"))
READY = re.compile(r"ready url=(?P<url>\S+) pid=(?P<pid>\d+)")
KEY = re.compile(r"tk_[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 30
LOG_TAIL = 8000

NDJSON = "application/x-ndjson"
CSV = "text/csv"
PROBLEM = "application/problem+json"
MERGE_PATCH = "application/merge-patch+json"


# Time ------------------------------------------------------------------------------------------

def now_s():
    return time.time()


def rfc3339(seconds):
    """Seconds since 1970 as the server writes them: UTC with milliseconds."""
    ms = round(seconds * 1000)
    moment = datetime.datetime.fromtimestamp(ms // 1000, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def parse_time(text):
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text), text
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


# An hour ago, at a whole minute: scans given a time of their own count from here.
BASE_S = int(now_s()) // 60 * 60 - 3600


def at(seconds):
    return rfc3339(BASE_S + seconds)


def eventually(read, want, timeout_s=5.0):
    """A read may lag an acknowledged write by at most a second: asks until `want(value)` holds.

    The limit is wider than the contract's, since the machine may be busy; it bounds a failure, it
    is no measurement.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        value = read()
        if want(value):
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"still {value!r} after {timeout_s} s")
        time.sleep(0.02)


_strangers = itertools.count()


# The server ------------------------------------------------------------------------------------

def raise_fd_limit():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Server:
    """One `turnout serve` on a free port; its store is in `folder`, or a postgres:// address."""

    def __init__(self, folder, *args, auth="off", env=None, store=None, before_exec=None,
                 listen="127.0.0.1:0", command="serve"):
        self.folder = pathlib.Path(folder)
        self.store = self.folder / "turnout.db" if store is None else pathlib.Path(store)
        self.store_url = store if str(store).startswith("postgres://") else f"sqlite:{self.store}"
        self.args = list(args)
        self.auth = auth
        self.env = dict(os.environ, **(env or {}))
        self.before_exec = before_exec
        self.listen = listen
        self.command = command
        self.log_path = self.folder / "server.log"
        self.process = None
        self.url = None
        self.host = None
        self.port = None

    def start(self):
        assert os.access(BIN, os.X_OK), f"no program at {BIN}: build it, or set TURNOUT_BIN"
        assert self.process is None
        command = [BIN, self.command, "--listen", self.listen, "--store", self.store_url,
                   "--auth", self.auth, *self.args]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                cwd=self.folder, env=self.env, start_new_session=True,
                preexec_fn=self._before_exec)
        self._wait_until_ready()
        return self

    def _before_exec(self):
        raise_fd_limit()
        if self.before_exec is not None:
            self.before_exec()

    def _wait_until_ready(self):
        line = self._first_line()
        found = READY.fullmatch(line.strip())
        if found is None:
            self.kill()
            raise AssertionError(f"not a ready line: {line!r}\n{self.log_tail()}")
        self.url = found["url"]
        where = urllib.parse.urlsplit(self.url)
        self.host, self.port = where.hostname, where.port
        assert int(found["pid"]) == self.process.pid
        threading.Thread(target=self._keep_stdout, args=(self.process.stdout,), daemon=True).start()

    def _first_line(self):
        deadline = time.monotonic() + START_TIMEOUT_S
        text = b""
        out = self.process.stdout.fileno()
        while b"\n" not in text:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([out], [], [], left)[0]:
                self.kill()
                raise AssertionError(f"not ready after {START_TIMEOUT_S} s\n{self.log_tail()}")
            piece = os.read(out, 4096)
            if not piece:
                code = self.process.wait()
                self.process = None
                raise AssertionError(f"ended with {code} before it was ready\n{self.log_tail()}")
            text += piece
        return text.split(b"\n", 1)[0].decode()

    def _keep_stdout(self, out):
        with open(self.log_path, "ab") as log:
            for line in out:
                log.write(b"stdout: " + line)

    @property
    def pid(self):
        return self.process.pid

    def client(self, key=None, timeout=30, source=None):
        return Client(self.host, self.port, key, timeout, source)

    def stranger(self, key=None):
        """A client at an address of its own: failures are counted by address."""
        number = next(_strangers)
        return self.client(key, source=f"127.{100 + number // 250 % 100}.7.{number % 250 + 1}")

    def socket(self, timeout=30):
        return socket.create_connection((self.host, self.port), timeout)

    def begin_stop(self):
        os.kill(self.process.pid, signal.SIGTERM)

    def stop(self):
        """Asks it to end; it must do so with 0 and leave nobody behind."""
        if self.process is None:
            return
        self.begin_stop()
        self.wait_stopped()

    def wait_stopped(self):
        process, self.process = self.process, None
        try:
            code = process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise AssertionError(f"still there {STOP_TIMEOUT_S} s after SIGTERM\n{self.log_tail()}")
        assert code == 0, f"ended with {code}\n{self.log_tail()}"
        assert not group_is_alive(process.pid), "left a process behind"

    def kill(self):
        """kill -9, as power loss to the process."""
        if self.process is None:
            return
        process, self.process = self.process, None
        os.kill(process.pid, signal.SIGKILL)
        process.wait()

    def restart(self):
        self.stop()
        return self.start()

    def log_tail(self):
        try:
            text = self.log_path.read_bytes()
        except FileNotFoundError:
            return "(no log)"
        return text[-LOG_TAIL:].decode(errors="replace")

    def memory_kib(self, field="VmRSS"):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1])
        raise AssertionError(f"no {field}")


def group_is_alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def run(*args, stdin=None, timeout=120, env=None):
    """The program once, to its end."""
    return subprocess.run([BIN, *map(str, args)], input=stdin, capture_output=True, text=True,
                          timeout=timeout, env=dict(os.environ, **(env or {})), check=False)


def create_key(server, scope, event=None, name=None):
    args = ["key", "create", "--name", name or f"test {scope}", "--scope", scope,
            "--store", f"sqlite:{server.store}", "--json"]
    if event is not None:
        args += ["--event", event]
    done = run(*args)
    assert done.returncode == 0, done.stderr
    found = KEY.search(done.stdout)
    assert found is not None, f"no key in {done.stdout!r}"
    return found[0]


# HTTP ------------------------------------------------------------------------------------------

class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def type(self):
        return (self.headers.get("content-type") or "").split(";")[0].strip()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def lines(self):
        """The lines of an NDJSON body."""
        return [json.loads(line) for line in self.body.decode().splitlines()]

    @property
    def code(self):
        """The stable code of a problem, with the shape every problem has (RFC 9457)."""
        assert self.type == PROBLEM, f"{self.status} {self.headers} {self.body!r}"
        problem = self.json
        assert problem["status"] == self.status
        assert isinstance(problem["title"], str) and problem["title"]
        assert isinstance(problem["code"], str)
        return problem["code"]

    @property
    def field(self):
        return self.json.get("field")

    def __repr__(self):
        return f"<{self.status} {self.body[:600]!r}>"


class Client:
    """One keep-alive connection. A body that is no bytes or str goes out as JSON."""

    def __init__(self, host, port, key=None, timeout=30, source=None):
        self.key = key
        self.link = http.client.HTTPConnection(
            host, port, timeout=timeout, source_address=source and (source, 0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.link.close()

    def request(self, method, path, body=None, content_type=None, **headers):
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.key is not None:
            fields.setdefault("Authorization", f"Bearer {self.key}")
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            content_type = content_type or "application/json"
        if isinstance(body, str):
            body = body.encode()
        if content_type is not None:
            fields["Content-Type"] = content_type
        self.link.request(method, path, body, fields)
        reply = self.link.getresponse()
        return Answer(reply.status, reply.headers, reply.read())

    def get(self, path, **headers):
        return self.request("GET", path, **headers)

    def post(self, path, body=None, content_type=None, **headers):
        return self.request("POST", path, body, content_type, **headers)

    def patch(self, path, body, content_type=MERGE_PATCH, **headers):
        return self.request("PATCH", path, body, content_type, **headers)

    def delete(self, path, **headers):
        return self.request("DELETE", path, **headers)

    def pages(self, path, limit=100):
        """Every item of a list, a page at a time."""
        items, cursor = [], None
        for _ in itertools.count():
            mark = "&" if "?" in path else "?"
            url = f"{path}{mark}limit={limit}"
            if cursor is not None:
                url += "&cursor=" + urllib.parse.quote(cursor, safe="")
            page = ok(self.get(url))
            assert len(page["items"]) <= limit
            items += page["items"]
            cursor = page["next"]
            if cursor is None:
                return items
            assert page["items"], "an empty page that is not the last"


def ok(answer, status=200):
    assert answer.status == status, answer
    return answer.json


def query(**values):
    pairs = {name: value for name, value in values.items() if value is not None}
    return "?" + urllib.parse.urlencode(pairs) if pairs else ""


# An event of a test's own ----------------------------------------------------------------------

_codes = itertools.count(1)


class Venue:
    """An event with a code nobody else uses, and shorthand for what happens in it."""

    def __init__(self, client, gates=("g1", "g2"), **fields):
        self.client = client
        self.code = f"e{os.getpid()}-{next(_codes)}"
        body = {"code": self.code, "name": f"Event {self.code}", **fields}
        self.event = ok(client.post("/v1/events", body), 201)
        self.path = f"/v1/events/{self.code}"
        for gate in gates:
            self.gate(gate)

    def gate(self, code, **fields):
        return ok(self.client.post(f"{self.path}/gates",
                  {"code": code, "name": code, **fields}), 201)

    def patch_gate(self, code, **fields):
        return ok(self.client.patch(f"{self.path}/gates/{code}", fields))

    def patch(self, **fields):
        return ok(self.client.patch(self.path, fields))

    def person(self, token, name=None, **fields):
        body = {"token": token, "name": name or f"Name of {token[:60]}", **fields}
        return ok(self.client.post(f"{self.path}/participants", body), 201)

    def people(self, *tokens):
        for token in tokens:
            self.person(token)

    def crowd(self, count, prefix="p"):
        """Many people at once; returns their tokens."""
        tokens = [f"{prefix}{n:06d}" for n in range(count)]
        rows = "token,name\n" + "".join(f"{token},Name {token}\n" for token in tokens)
        answer = ok(self.import_csv(rows))
        assert answer["created"] == count and answer["rejected"] == []
        return tokens

    def import_csv(self, text):
        return self.client.post(f"{self.path}/participants:import", text, CSV)

    def import_ndjson(self, rows):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        return self.client.post(f"{self.path}/participants:import", text, NDJSON)

    def find(self, **values):
        return ok(self.client.get(f"{self.path}/participants" + query(**values)))["items"]

    def one(self, token):
        found = self.find(token=token)
        assert len(found) == 1, found
        return found[0]

    def person_path(self, person):
        return f"{self.path}/participants/{person['id']}"

    def patch_person(self, person, **fields):
        return ok(self.client.patch(self.person_path(person), fields))

    def erase(self, person):
        answer = self.client.delete(self.person_path(person))
        assert answer.status == 204 and answer.body == b"", answer

    def try_scan(self, token, gate="g1", **fields):
        return self.client.post(f"{self.path}/checkins", {"token": token, "gate": gate, **fields})

    def scan(self, token, gate="g1", **fields):
        return ok(self.try_scan(token, gate, **fields))

    def admitted(self, token, gate="g1", **fields):
        reply = self.scan(token, gate, **fields)
        assert reply["verdict"] == "admitted" and reply["reason"] is None, reply
        return reply

    def refused(self, reason, token, gate="g1", **fields):
        reply = self.scan(token, gate, **fields)
        assert (reply["verdict"], reply["reason"]) == ("refused", reason), reply
        return reply

    def exited(self, token, gate="g1", **fields):
        reply = self.scan(token, gate, direction="exit", **fields)
        assert reply["verdict"] == "exited" and reply["reason"] is None, reply
        return reply

    def try_annul(self, record_id):
        return self.client.post(f"{self.path}/checkins/{record_id}:annul")

    def annul(self, record_id):
        return ok(self.try_annul(record_id))

    def try_batch(self, lines):
        text = "".join(
    (line if isinstance(
        line,
        str) else json.dumps(line)) +
         "\n" for line in lines)
        return self.client.post(f"{self.path}/checkins:batch", text, NDJSON)

    def batch(self, lines):
        answer = self.try_batch(lines)
        assert answer.status == 200 and answer.type == NDJSON, answer
        return answer.lines

    def attendance(self, limit=1000, **filters):
        return self.client.pages(f"{self.path}/attendance" + query(**filters), limit)

    def stats(self):
        return ok(self.client.get(f"{self.path}/stats"))

    def stats_become(self, **wanted):
        return eventually(self.stats, lambda now: wanted.items() <= now.items())

    def gate_stats(self, gate):
        return {item["gate"]: item for item in self.stats()["gates"]}[gate]

    def gate_stats_become(self, gate, **wanted):
        return eventually(lambda: self.gate_stats(gate), lambda now: wanted.items() <= now.items())

    def timeline(self, since, until, step):
        return ok(self.client.get(
            f"{self.path}/stats/timeline" + query(since=since, until=until, step=step)))


def in_threads(count, work):
    """Runs work(0) … work(count - 1) at the same moment; returns the results, or raises."""
    results, errors = [None] * count, []
    gate = threading.Barrier(count)

    def body(index):
        try:
            gate.wait()
            results[index] = work(index)
        except BaseException as error:  # handed to the test below
            errors.append(error)

    threads = [threading.Thread(target=body, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results
