# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL server of the run's own, in a temporary folder, and databases on it."""

import os
import pathlib
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time

import machine
from machine import Failed, Process, free_port, run

START_TIMEOUT_S = 60
SETTINGS = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{folder}'
max_connections = 100
shared_buffers = 1GB
max_wal_size = 8GB
checkpoint_timeout = 30min
fsync = on
synchronous_commit = on
full_page_writes = on
logging_collector = off
"""


def find_programs():
    """The folder of initdb: TURNOUT_PG_BIN, else the newest one that Debian installs."""
    folders = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), reverse=True,
                     key=lambda path: int(path.parent.name))
    for folder in [pathlib.Path(os.environ.get("TURNOUT_PG_BIN", "/none")), *folders]:
        if (folder / "initdb").exists():
            return folder
    raise Failed("no initdb: tools/setup bench installs postgresql-15")


def owner():
    """PostgreSQL refuses to run as root: then it runs as nobody."""
    if os.getuid() != 0:
        return [], None
    nobody = pwd.getpwnam("nobody")
    return ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}",
            "--clear-groups"], nobody


def make_folder(parent, nobody):
    """A folder that the server's user can reach, on a real disk: on a tmpfs a commit costs
    nothing."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="turnout-bench-",
                                           dir=parent if nobody is None else "/var/tmp"))
    kind = run(["stat", "-f", "-c", "%T", folder]).strip()
    if kind == "tmpfs":
        folder.rmdir()
        raise Failed(f"{folder} is on a tmpfs: commits would cost nothing there")
    if nobody is not None:
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return folder


class Postgres(Process):
    """The server: fast to start, ended by its process id, its folder removed with it."""

    def __init__(self, parent, log):
        self.bin = find_programs()
        prefix, nobody = owner()
        self.folder = make_folder(parent, nobody)
        data = self.folder / "data"
        try:
            self._prepare(prefix, data)
            super().__init__([*prefix, self.bin / "postgres", "-D", data], log,
                             env={"HOME": str(self.folder)})
            self._wait_ready()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def _prepare(self, prefix, data):
        done = subprocess.run(
            [*prefix, self.bin / "initdb", "-D", data, "-U", "turnout", "-E", "UTF8",
             "--locale=C.UTF-8", "-A", "trust", "--no-instructions"], cwd=self.folder,
            capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"initdb: {done.stderr[-2000:]}")
        self.port = free_port()
        with open(data / "postgresql.conf", "a", encoding="utf-8") as file:
            file.write(SETTINGS.format(port=self.port, folder=self.folder))

    def _wait_ready(self):
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            done = subprocess.run([self.bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p",
                                   str(self.port)], check=False)
            if done.returncode == 0:
                return
            time.sleep(0.1)
        raise Failed(f"PostgreSQL did not start: {self.tail()}")

    def stop(self):
        os.kill(self.pid, signal.SIGINT)  # fast: whoever is connected is told to go
        try:
            self.process.wait(machine.STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            pass
        self.kill()

    def kill(self):
        """At once; its children see that it went and end too."""
        if self.process.poll() is None:
            os.kill(self.pid, signal.SIGQUIT)
            try:
                self.process.wait(machine.STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                pass
        super().kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database):
        return f"postgres://turnout@127.0.0.1:{self.port}/{database}"

    def sql(self, database, text, timeout=1800):
        """A script to its end; what it printed, unaligned."""
        return run([self.bin / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.url(database),
                    "-c", text], timeout).strip()

    def _psql(self, database, path, variables):
        command = [self.bin / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.url(database),
                   "-f", path]
        for name, value in variables.items():
            command += ["-v", f"{name}={value}"]
        return [str(part) for part in command]

    def script(self, database, path, variables):
        """A file with psql's variables, to its end."""
        run(self._psql(database, path, variables), 1800)

    def start_script(self, database, path, variables):
        return subprocess.Popen(self._psql(database, path, variables), stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True)

    def start(self, database, text):
        return subprocess.Popen(
            [self.bin / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.url(database), "-c",
             text], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def vacuum(self, database):
        """Every table of a database, two at once: frozen, and with fresh statistics."""
        run([self.bin / "vacuumdb", "-q", "-j", 2, "--freeze", "--analyze", "--dbname",
             self.url(database)], 1800)

    def finish_script(self, process):
        _, errors = process.communicate(timeout=1800)
        if process.returncode != 0:
            raise Failed(f"psql: {errors[-2000:]}")

    def number(self, database, text):
        return int(self.sql(database, text))

    def copy(self, template, database, strategy="WAL_LOG"):
        """A database like another that nobody is connected to; both are on disk then. FILE_COPY
        suits large ones."""
        self.sql("postgres",
                 f"CREATE DATABASE {database} TEMPLATE {template} STRATEGY {strategy}")
        self.sql("postgres", "CHECKPOINT")

    def drop(self, database):
        self.sql("postgres", f"DROP DATABASE {database} WITH (FORCE)")

    def pgbench(self, database, script, seconds, variables):
        """Transactions a second with 32 clients and prepared statements; how many in all."""
        command = [self.bin / "pgbench", "-n", "-M", "prepared", "-c", 32, "-j", 2, "-T", seconds,
                   "-f", script]
        for name, value in variables.items():
            command += ["-D", f"{name}={value}"]
        output = run([*command, self.url(database)])
        rate = re.search(r"^tps = ([0-9.]+)", output, re.M)
        done = re.search(r"actually processed: (\d+)", output)
        failed = re.search(r"failed transactions: (\d+)", output)
        if rate is None or done is None or (failed is not None and int(failed[1]) > 0):
            raise Failed(f"pgbench: {output[-2000:]}")
        return float(rate[1]), int(done[1])
