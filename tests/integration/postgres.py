# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL server for a test, and the program's commands beside it."""
import subprocess

import rig

DONE = 0
SCHEMA = 5


class Postgres:
    """A server for as long as its standard input stays open."""

    def __init__(self):
        self.process = subprocess.Popen(
            [rig.ROOT / "tests" / "contract" / "with-postgres", "sh", "-c",
             'echo "$TURNOUT_CONTRACT_POSTGRES"; exec cat'],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.settings = self.process.stdout.readline().strip()
        assert self.settings, "no server: tools/setup test"
        self.fields = dict(field.split("=", 1) for field in self.settings.split())
        self.count = 0

    def sql(self, text, database="postgres"):
        found = subprocess.run(
            ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", text,
             f"{self.settings} dbname={database}"], capture_output=True, text=True, check=True)
        return found.stdout.strip()

    def create(self):
        self.count += 1
        name = f"turnout_{self.count}"
        self.sql(f"CREATE DATABASE {name}")
        return name

    def url(self, database):
        return f"postgres://turnout@127.0.0.1:{self.fields['port']}/{database}"

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(timeout=30) == 0


def turnout(*args, want=DONE):
    done = subprocess.run([rig.BIN, *args], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == want, (args, done.returncode, done.stdout, done.stderr)
    return done
