# SPDX-License-Identifier: Apache-2.0
"""Servers for the tests: one shared without keys, one shared with keys, and any number of own ones.

A test that fails shows the end of the log of every server that ran for it.
"""

import sys
import tempfile

import pytest

import rig
from postgres import Postgres

sys.path.insert(0, str(rig.ROOT / "tests" / "support"))
import redis_cluster  # noqa: E402
from postgres_pair import temporary_pair  # noqa: E402

_running = []


def pytest_make_parametrize_id(val):
    """Long values make long names: only their beginning is shown."""
    return f"{val[:24]}…{len(val)}".encode("unicode_escape").decode() \
        if isinstance(val, str) and len(val) > 64 else None


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for server in _running:
            report.sections.append((f"log of {server.log_path}", server.log_tail()))


def _started(server):
    _running.append(server)
    return server.start()


def _ended(server):
    try:
        server.stop()
    finally:
        server.kill()
        _running.remove(server)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """Shared by all tests that keep to an event of their own; no keys asked for."""
    shared = rig.Server(tmp_path_factory.mktemp("shared"))
    yield _started(shared)
    _ended(shared)


@pytest.fixture(scope="session")
def secured(tmp_path_factory):
    """Shared, asks for keys."""
    shared = rig.Server(tmp_path_factory.mktemp("secured"), auth="required")
    yield _started(shared)
    _ended(shared)


@pytest.fixture
def client(server):
    with server.client() as link:
        yield link


@pytest.fixture
def venue(client):
    """An event with the gates g1 and g2 and nobody in it."""
    return rig.Venue(client)


@pytest.fixture
def make_venue(client):
    return lambda **fields: rig.Venue(client, **fields)


@pytest.fixture
def make_server(tmp_path):
    """Starts a server of the test's own: make_server(*arguments, **options of rig.Server)."""
    made = []

    def make(*args, **options):
        folder = options.pop("folder", tmp_path)
        own = rig.Server(folder, *args, **options)
        made.append(own)
        return _started(own)

    yield make
    failures = []
    for own in made:
        try:
            _ended(own)
        except AssertionError as failure:
            failures.append(failure)
    if failures:
        raise failures[0]


@pytest.fixture(scope="session")
def shared_pair():
    """A PostgreSQL primary and its synchronous standby, migrated; tests leave them whole."""
    with temporary_pair() as made:
        done = rig.run("db", "migrate", "--store", made.url(), env=made.environment())
        assert done.returncode == 0, done.stderr
        yield made


@pytest.fixture
def pair(shared_pair):
    """The same, whole again, whatever a test that failed left."""
    if not all(server.is_running for server in shared_pair.servers) or \
            not shared_pair.is_synchronous():
        shared_pair.stop()
        shared_pair.start()
    return shared_pair


@pytest.fixture(scope="module")
def postgres():
    server = Postgres()
    yield server
    server.close()


@pytest.fixture
def redis():
    with tempfile.TemporaryDirectory(prefix="turnout-redis-") as folder:
        one = redis_cluster.Node(folder, *redis_cluster.free_ports(1)).start()
        yield one
        one.kill()
