# SPDX-License-Identifier: Apache-2.0
"""turnout under a supervisor that speaks as systemd does: sd_notify, watchdog, passed sockets.

No running systemd is needed: a datagram socket hears what systemd would hear, with the kernel's
word on who said it, and sockets are passed as sd_listen_fds(3) wants them.
"""

import ctypes
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import sys
import threading

import pytest

import rig
from rig import eventually
from takeovers import Node

PATIENCE_S = 60


class Ear:
    """What systemd's end of NOTIFY_SOCKET hears: (pid of the speaker, {name: value})."""

    def __init__(self, address):
        self.address = str(address)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind(re.sub("^@", "\0", self.address))
        self.heard = []
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self):
        while True:
            data, control, _, _ = self.socket.recvmsg(4096, 64)
            if data == b"end":
                return
            [(_, _, value)] = control
            words = dict(line.split("=", 1) for line in data.decode().splitlines())
            self.heard.append((struct.unpack("3i", value[:12])[0], words))

    def mark(self):
        return len(self.heard)

    def wait(self, name, since=0, count=1, pid=None, value=None):
        """The `count`th message with `name`, from a speaker and with a value if asked for."""
        def found():
            return [words for speaker, words in self.heard[since:] if name in words and
                    pid in (None, speaker) and value in (None, words[name])]
        return eventually(found, lambda all_of_them: len(all_of_them) >= count,
                          PATIENCE_S)[count - 1]

    def says(self, name, since=0):
        return any(name in words for _, words in self.heard[since:])

    def beats(self):
        return len([words for _, words in self.heard if "WATCHDOG" in words])

    def close(self):
        self.socket.sendto(b"end", self.socket.getsockname())
        self.thread.join()
        self.socket.close()


@pytest.fixture
def ear(tmp_path):
    made = Ear(tmp_path / "notify")
    yield made
    made.close()


@pytest.fixture
def make_node(tmp_path, ear):
    made = []

    def make(*args, env=None, **options):
        made.append(Node(tmp_path, *args, env={"NOTIFY_SOCKET": ear.address, **(env or {})},
                         **options))
        return made[-1].start()

    yield make
    for node in made:
        node.kill_all()


# States ------------------------------------------------------------------------------------------

def test_a_node_says_when_it_is_ready_and_when_it_stops(make_node, ear):
    node = make_node()
    ready = ear.wait("READY", pid=node.pid, value="1")
    assert ready["STATUS"] == f"Serving http://{node.listen}"
    assert ear.heard[0][1] == {"STATUS": "Opening the store"}  # ready is what it said later
    node.stop()
    ear.wait("STOPPING", pid=node.pid, value="1")
    assert ear.beats() == 0  # nobody asked for them


def test_a_name_in_the_abstract_namespace_is_as_good_as_a_path(make_server):
    ear = Ear(f"@turnout-test-{os.getpid()}")
    server = make_server(env={"NOTIFY_SOCKET": ear.address})
    ear.wait("READY", pid=server.pid)
    server.stop()
    ear.wait("STOPPING")
    ear.close()


def test_a_program_that_cannot_start_is_never_ready(ear, tmp_path):
    done = rig.run("serve", "--store", f"sqlite:{tmp_path}/no/such/folder.db", "--listen",
                   "127.0.0.1:0", env={"NOTIFY_SOCKET": ear.address})
    assert done.returncode != 0
    ear.wait("STATUS", value="Opening the store")
    assert not ear.says("READY")


def test_reading_the_configuration_again_is_told_with_its_outcome(make_node, ear, tmp_path):
    config = tmp_path / "turnout.ini"
    config.write_text("[log]\nlevel = info\n")
    node = make_node("--config", str(config))
    ear.wait("READY")
    for text, outcome in (("[log]\nlevel = debug\n", "was read again"),
                          ("[log]\nlevel = loud\n", "is broken and was not taken")):
        config.write_text(text)
        since = ear.mark()
        os.kill(node.pid, signal.SIGHUP)
        reloading = ear.wait("RELOADING", since, pid=node.pid)
        assert int(reloading["MONOTONIC_USEC"]) > 0
        assert outcome in ear.wait("READY", since, pid=node.pid)["STATUS"]
    node.stop()


def test_a_controller_speaks_as_a_node_does(pair, ear, make_server):
    server = make_server(store=pair.url(), command="control",
                         env={**pair.environment(), "NOTIFY_SOCKET": ear.address})
    assert server.url in ear.wait("READY", pid=server.pid)["STATUS"]
    server.stop()
    ear.wait("STOPPING")


# Takeovers ---------------------------------------------------------------------------------------

def test_a_takeover_names_the_new_process_and_signs_of_life_go_on(make_node, ear):
    node = make_node(env={"WATCHDOG_USEC": "200000"})
    for _ in range(2):  # what the first process was told, the third still knows
        old = node.pid
        ear.wait("WATCHDOG", pid=old)
        since = ear.mark()
        node.take_over()
        ear.wait("MAINPID", since, pid=old, value=str(node.pid))
        ear.wait("READY", since, pid=node.pid)
        ear.wait("WATCHDOG", since, pid=node.pid, count=3)
        assert not ear.says("STOPPING"), "the service goes on"
    node.stop()
    ear.wait("STOPPING", since, pid=node.pid)


def test_a_takeover_that_fails_leaves_the_main_process_what_it_was(make_node, ear, tmp_path):
    config = tmp_path / "turnout.ini"
    config.write_text("[log]\nlevel = info\n")
    node = make_node("--config", str(config))
    config.write_text("[log]\nlevel = loud\n")
    node.begin()
    node.wait("event=takeover_failed")
    ear.wait("STATUS", value=f"Serving http://{node.listen}; a takeover failed: "
                             "the log tells why")
    assert not ear.says("MAINPID")
    node.stop()


def test_when_the_new_process_dies_the_old_one_is_the_main_one_again(make_node, ear):
    node = make_node()
    old = node.pid
    link = socket.create_connection(("127.0.0.1", node.port), 30)  # keeps the old one there
    link.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"200" in link.recv(4096)
    since = ear.mark()
    new = node.begin()
    ear.wait("MAINPID", since, pid=old, value=str(new))
    os.kill(new, signal.SIGKILL)
    ear.wait("MAINPID", since, pid=old, value=str(old))
    link.close()
    node.stop()


# Watchdog ----------------------------------------------------------------------------------------

PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000


class Frozen:
    """One thread of a process, stopped as a debugger stops it; the others go on."""

    def __init__(self, pid, name):
        folder = pathlib.Path(f"/proc/{pid}/task")
        [self.thread] = [int(task.name) for task in folder.iterdir() if
                         (task / "comm").read_text().strip() == name]
        self.libc = ctypes.CDLL(None, use_errno=True)

    def trace(self, request):
        done = self.libc.ptrace(request, self.thread, None, None)
        assert done == 0, os.strerror(ctypes.get_errno())

    def __enter__(self):
        self.trace(PTRACE_SEIZE)
        self.trace(PTRACE_INTERRUPT)
        os.waitpid(self.thread, WALL)

    def __exit__(self, *_):
        self.trace(PTRACE_DETACH)


def test_signs_of_life_stop_while_a_loop_hangs(make_node, ear):
    node = make_node(env={"WATCHDOG_USEC": "400000", "TURNOUT_SERVER_LOOPS": "2"})
    ear.wait("WATCHDOG", pid=node.pid, count=3)
    with Frozen(node.pid, "loop-1"):
        since = node.mark()
        node.wait("event=loop_hangs loop=1", since)
        before = ear.beats()
        eventually(lambda: node.log(since).count("event=loop_hangs"), lambda n: n >= 5, PATIENCE_S)
        assert ear.beats() == before
    eventually(ear.beats, lambda count: count > before + 2, PATIENCE_S)
    node.stop()


def test_who_is_not_meant_by_the_watchdog_gives_no_signs(make_node, ear):
    node = make_node(env={"WATCHDOG_USEC": "1000", "WATCHDOG_PID": str(os.getpid())})
    node.stop()
    ear.wait("STOPPING")
    assert ear.says("READY") and ear.beats() == 0


# A supervisor that is not there ------------------------------------------------------------------

def test_a_supervisor_that_is_gone_is_told_once_and_harms_nothing(make_server, tmp_path):
    server = make_server(env={"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "4000"})
    with server.client() as client:
        assert client.get("/livez").status == 200
    server.stop()
    assert server.log_tail().count("event=supervisor_deaf") == 1


def test_a_supervisor_that_never_reads_holds_up_neither_start_nor_stop(make_server, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as full:
        full.bind(str(tmp_path / "full"))
        server = make_server(env={"NOTIFY_SOCKET": str(tmp_path / "full"),
                                  "WATCHDOG_USEC": "4000"})
        eventually(server.log_tail, lambda log: "event=supervisor_deaf" in log, PATIENCE_S)
        with server.client() as client:
            assert client.get("/livez").status == 200
        server.stop()
    assert 'reason="it does not read"' in server.log_tail()


# Sockets that are passed -------------------------------------------------------------------------

AS_SYSTEMD = """
import os, sys
count, pid, *fds = sys.argv[1:5]
for number, fd in enumerate(filter(None, fds), 3):
    os.dup2(int(fd), 100 + number)
for number in range(3, 3 + len(list(filter(None, fds)))):
    os.dup2(100 + number, number)
os.closerange(100, 110)
os.environ.update(LISTEN_PID=pid or str(os.getpid()), LISTEN_FDS=count, LISTEN_FDNAMES="x.socket")
os.execvp(sys.argv[5], sys.argv[5:])
"""


def passing(command, *sockets, count=None, pid=""):
    """The command as systemd would start it with these sockets."""
    fds = [str(one.fileno()) for one in sockets] + ["", ""]
    return [sys.executable, "-Sc", AS_SYSTEMD, str(len(sockets) if count is None else count),
            str(pid), *fds[:2], *command]


def bound(kind=socket.SOCK_STREAM):
    made = socket.socket(socket.AF_INET, kind)
    made.bind(("127.0.0.1", 0))
    if kind == socket.SOCK_STREAM:
        made.listen(64)
    return made, "127.0.0.1:%d" % made.getsockname()[1]


class ActivatedNode(Node):
    """Started with a socket that the test holds, as often as it likes."""

    def __init__(self, folder):
        super().__init__(folder)
        self.socket, self.listen = bound()

    def start(self):
        since = self.mark() if self.log_path.exists() else 0
        with open(self.log_path, "ab") as log:
            self.children.append(subprocess.Popen(
                passing(self.command(), self.socket), stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, cwd=self.folder, env=self.env, start_new_session=True,
                pass_fds=(self.socket.fileno(),)))
        found = self.wait(r"^ready url=http://(\S+) pid=(\d+)$", since)
        assert (found[1], int(found[2])) == (self.listen, self.children[-1].pid)
        self.pids.append(int(found[2]))


def test_a_passed_socket_goes_on_to_the_next_process_and_outlives_all(tmp_path):
    node = ActivatedNode(tmp_path)

    def begin_to_ask():
        link = socket.create_connection(("127.0.0.1", node.port), 30)
        link.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return link

    def answer(link):
        with link:
            assert link.recv(4096).startswith(b"HTTP/1.1 200")

    try:
        early = begin_to_ask()  # before anybody serves: in the queue of the socket
        node.start()
        answer(early)
        node.take_over()
        answer(begin_to_ask())
        node.stop()
        early = begin_to_ask()  # nobody serves, and nobody is refused
        node.start()
        answer(early)
        node.stop()
    finally:
        node.kill_all()
        node.socket.close()


def test_a_socket_is_served_that_systemd_itself_passes(tmp_path):
    held, address = bound()
    held.close()
    node = Node(tmp_path)
    node.listen = address
    node.launch(command=["systemd-socket-activate", "-l", address, *node.command()])
    node.wait("Listening on")
    with node.client(timeout=60) as client:  # the first connection starts the program
        assert client.get("/livez").status == 200
    found = node.wait(r"^ready url=http://(\S+) pid=(\d+)$")
    assert found[1] == address
    node.pids.append(int(found[2]))
    node.stop()


@pytest.mark.parametrize("case, said", [
    ("another address", "name the same address here and in the socket unit"),
    ("two", "leave one ListenStream="),
    ("none open", "descriptor 3 is not open"),
    ("no number", "expected how many sockets were passed"),
    ("datagrams", "is no TCP socket that listens"),
])
def test_sockets_that_cannot_serve_are_refused(tmp_path, case, said):
    first, address = bound(socket.SOCK_DGRAM if case == "datagrams" else socket.SOCK_STREAM)
    second, _ = bound()
    passed = {"two": [first, second], "none open": []}.get(case, [first])
    count = {"none open": 1, "no number": "many"}.get(case)
    command = [rig.BIN, "serve", "--store", f"sqlite:{tmp_path}/t.db", "--auth", "off",
               "--listen", "127.0.0.1:1" if case == "another address" else address]
    with first, second:
        done = subprocess.run(passing(command, *passed, count=count), capture_output=True,
                              text=True, timeout=60, check=False, cwd=tmp_path,
                              pass_fds=tuple(one.fileno() for one in passed))
    assert done.returncode == 78 and said in done.stderr, done.stderr
    assert "ready" not in done.stdout


def test_sockets_that_were_passed_to_another_process_are_not_taken(tmp_path):
    node = Node(tmp_path)
    node.launch(command=passing(node.command(), pid=os.getpid(), count=1))
    found = node.wait(r"^ready url=http://127\.0\.0\.1:(\d+) pid=(\d+)$")
    node.pids.append(int(found[2]))
    node.stop()
