# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL primary and its synchronous streaming standby, as an operator would set them up:
real initdb, passwords, replication by pg_basebackup. On loopback, in a folder, ended by pid.

Programs run as nobody when root starts them, since PostgreSQL refuses to run as root. Data stays
in the folder: a later start takes up what is there, also after a failover or a kill -9.
"""

import contextlib
import glob
import os
import pathlib
import re
import secrets
import shutil
import signal
import subprocess
import time
import tempfile

from processes import Missing, children, end, program, until
from redis_cluster import free_ports

NAMES = ("pg1", "pg2")
ROLES = ("postgres", "turnout", "replicator")
DATABASE = "turnout"

SETTINGS = """\
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
cluster_name = '{name}'
max_connections = 250
shared_buffers = 64MB
max_wal_size = 512MB
wal_keep_size = 256MB
shared_preload_libraries = 'pg_stat_statements'
password_encryption = scram-sha-256
log_line_prefix = '%m [%p] %q%u@%d '
log_connections = on
# Commits wait for the standby's disk: a failover then loses nothing that was acknowledged.
synchronous_commit = on
synchronous_standby_names = '{synchronous}'
# Broken connections are noticed in seconds, and the standby is back soon after.
wal_sender_timeout = 5s
wal_receiver_timeout = 5s
wal_receiver_status_interval = 1s
wal_retrieve_retry_interval = 500ms
tcp_keepalives_idle = 10
tcp_keepalives_interval = 5
tcp_keepalives_count = 3
tcp_user_timeout = 20s
# Reads on the standby neither hold its replay back for long nor are cancelled by vacuum.
hot_standby = on
hot_standby_feedback = on
max_standby_streaming_delay = 500ms
primary_conninfo = '{upstream}'
"""

ACCESS = """\
host all         all        127.0.0.1/32 scram-sha-256
host replication replicator 127.0.0.1/32 scram-sha-256
"""


STARTS = 10


class SqlError(OSError):
    """What the server, or the connection to it, said."""


def newest_programs():
    """The folder of the newest PostgreSQL's programs."""
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"),
                     key=lambda path: int(re.sub(r"\D", "", path) or 0))
    own = os.environ.get("TURNOUT_PG_BIN")
    initdb = program("initdb", *([own] if own else []), *reversed(folders))
    return pathlib.Path(initdb).parent


class Server:
    """One PostgreSQL server; `folder` has its data and its log."""

    def __init__(self, name, folder, port, passwords, notice=lambda name, pid: None):
        self.name = name
        self.folder = pathlib.Path(folder)
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        self.port = port
        self.passwords = passwords
        self.notice = notice
        self.bin = newest_programs()
        self.process = None

    # Running its programs ----------------------------------------------------------------------

    def own(self, *paths):
        """Gives files to the user that the server runs as."""
        if os.getuid() == 0:
            for path in paths:
                shutil.chown(path, "nobody", "nogroup")

    def command(self, name, *arguments):
        words = [str(self.bin / name), *map(str, arguments)]
        if os.getuid() != 0:
            return words
        return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "env",
                f"HOME={self.folder}", *words]

    def run(self, name, *arguments, seconds=120):
        done = subprocess.run(self.command(name, *arguments), cwd=self.folder, text=True,
                              capture_output=True, timeout=seconds, check=False)
        if done.returncode != 0:
            raise AssertionError(f"{self.name}: {name}: {done.stderr or done.stdout}")
        return done.stdout

    def sql(self, text, database="postgres", user="postgres", seconds=30):
        """What psql prints. The text may hold a password, so it shows nowhere: not in a list of
        processes, not in an error."""
        where = f"host=127.0.0.1 port={self.port} user={user} dbname={database} connect_timeout=3"
        done = subprocess.run([program("psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", where],
                              env={**os.environ, "PGPASSFILE": str(self.passwords.path)},
                              input=text, capture_output=True, text=True, timeout=seconds,
                              check=False)
        if done.returncode != 0:
            raise SqlError(f"{self.name}: {done.stderr.strip()}")
        return done.stdout.strip()

    # Making it ---------------------------------------------------------------------------------

    @property
    def is_made(self):
        return (self.data / "PG_VERSION").exists()

    @property
    def follows(self):
        """Whether it would start as a standby."""
        return (self.data / "standby.signal").exists()

    def make_folder(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        self.own(self.folder)
        # Not even half a server of an earlier run that was killed is taken for a whole one.
        shutil.rmtree(self.folder / "new", ignore_errors=True)

    def initialise(self):
        self.make_folder()
        secret = self.folder / "secret"
        secret.write_text(self.passwords["postgres"] + "\n")
        secret.chmod(0o600)
        self.own(secret)
        try:
            self.run("initdb", "-D", self.folder / "new", "-U", "postgres", "-E", "UTF8",
                     "--locale=C.UTF-8", "--auth=scram-sha-256", f"--pwfile={secret}",
                     "--data-checksums", "--no-instructions")
        finally:
            secret.unlink()
        (self.folder / "new" / "pg_hba.conf").write_text(ACCESS)
        with open(self.folder / "new" / "postgresql.conf", "a") as settings:
            settings.write("include 'turnout.conf'\n")
        (self.folder / "new").rename(self.data)

    def copy_from(self, primary):
        """Becomes a standby of `primary`, whatever it was."""
        self.make_folder()
        self.write_passfile()
        self.run("pg_basebackup", "-D", self.folder / "new", "-d", self.upstream(primary),
                 "--checkpoint=fast", "--wal-method=stream", "--no-password")
        shutil.rmtree(self.data, ignore_errors=True)
        (self.folder / "new").rename(self.data)
        self.follow()

    def follow(self):
        (self.data / "standby.signal").touch()
        self.own(self.data / "standby.signal")

    def write_passfile(self):
        passfile = self.folder / "passfile"
        passfile.write_text(self.passwords.line("replicator"))
        passfile.chmod(0o600)
        self.own(passfile)

    def upstream(self, primary):
        return (f"host=127.0.0.1 port={primary.port} user=replicator"
                f" passfile={self.folder}/passfile application_name={self.name}")

    def configure(self, synchronous="", primary=None, more=""):
        """Writes its settings; a running server takes most of them after `reload`."""
        upstream = "" if primary is None else self.upstream(primary)
        path = self.data / "turnout.conf"
        path.write_text(SETTINGS.format(port=self.port, name=self.name, synchronous=synchronous,
                                        upstream=upstream.replace("'", "''")) + more)
        self.own(path)
        if primary is not None:
            self.write_passfile()

    # Its life ----------------------------------------------------------------------------------

    @property
    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def start(self, seconds=60):
        """After a crash the old server's last processes may hold its memory: then once more."""
        for _ in range(STARTS):
            with open(self.log, "ab") as log:
                self.process = subprocess.Popen(
                    self.command("postgres", "-D", self.data), cwd=self.folder,
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
            self.notice(self.name, self.process.pid)
            until(self.answers_or_ended, seconds)
            if self.is_running:
                break
            time.sleep(1)
        if not self.is_running:
            raise AssertionError(f"{self.name} did not start: {self.log_tail()}")
        return self

    def answers(self):
        try:
            return self.sql("SELECT 1") == "1"
        except SqlError:
            return False

    def answers_or_ended(self):
        return self.answers() or not self.is_running

    def stop(self):
        """Fast: sessions end, what is committed is written and sent to the standby."""
        if self.process is not None:
            if self.is_running:
                end(self.process.pid, signal.SIGINT)
            self.process.wait()
            self.process = None

    def kill(self):
        """kill -9 of the whole server, as a power cut to its processes."""
        for pid in (self.process.pid, *children(self.process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def reload(self):
        os.kill(self.process.pid, signal.SIGHUP)

    def restart(self):
        self.stop()
        return self.start()

    def promote(self):
        assert self.sql("SELECT pg_promote(wait_seconds => 60)") == "t"

    def timeline(self):
        """(timeline, position) of its last checkpoint: whoever was primary later has the higher."""
        said = self.run("pg_controldata", "-D", self.data)
        line = re.search(r"Latest checkpoint's TimeLineID:\s+(\d+)", said)
        high, low = re.search(r"Latest checkpoint location:\s+(\w+)/(\w+)", said).groups()
        return int(line[1]), int(high, 16) << 32 | int(low, 16)

    def log_tail(self, size=4000):
        return self.log.read_bytes()[-size:].decode(errors="replace") if self.log.exists() else ""


class Passwords:
    """One for each role, made up once, in a file as libpq reads it (PGPASSFILE)."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        if not self.path.exists():
            made = "".join(f"127.0.0.1:*:*:{role}:{secrets.token_urlsafe(18)}\n" for role in ROLES)
            with open(os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
                file.write(made)

    def line(self, role):
        return next(line for line in self.path.read_text().splitlines(keepends=True)
                    if line.split(":")[3] == role)

    def __getitem__(self, role):
        return self.line(role).rstrip("\n").split(":")[4]


@contextlib.contextmanager
def temporary_pair(start=True):
    """On free ports and in a folder of its own that PostgreSQL's user can reach."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="turnout-pair-"))
    folder.chmod(0o755)
    pair = Pair(folder / "postgres", free_ports(2))
    try:
        yield pair.start() if start else pair
    finally:
        pair.stop()
        shutil.rmtree(folder)


class Pair:
    """The primary and its synchronous standby."""

    def __init__(self, folder, ports, notice=lambda name, pid: None, say=lambda text: None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.passwords = Passwords(self.folder / "passwords")
        self.servers = [Server(name, self.folder / name, port, self.passwords, notice)
                        for name, port in zip(NAMES, ports)]
        self.say = say
        self.primary, self.standby = self.servers

    def check_reach(self):
        """The server's user must be able to go through every folder above its own."""
        test = self.primary.command("postgres", "--version")
        done = subprocess.run([*test[:-2], "test", "-x", str(self.folder)], check=False) \
            if os.getuid() == 0 else None
        if done is not None and done.returncode != 0:
            raise Missing(f"PostgreSQL runs as nobody, who cannot reach {self.folder}: choose"
                          " another folder with --dir")

    def start(self):
        self.start_primary()
        self.start_standby()
        return self

    def start_primary(self):
        """Alone: no commit waits for anybody."""
        self.check_reach()
        if not any(server.is_made for server in self.servers):
            self.say("initialising the primary")
            self.primary.initialise()
        self.choose()
        self.primary.configure()
        self.say(f"starting {self.primary.name}, the primary, on port {self.primary.port}")
        self.primary.start()
        self.make_roles()

    def choose(self):
        """Who was primary last goes on as primary."""
        made = [server for server in self.servers if server.is_made]
        leading = [server for server in made if not server.follows] or made
        self.primary = max(leading, key=Server.timeline)
        self.standby = next(server for server in self.servers if server is not self.primary)
        (self.primary.data / "standby.signal").unlink(missing_ok=True)

    def make_roles(self):
        sql = self.primary.sql
        for role, options in (("turnout", "LOGIN"), ("replicator", "LOGIN REPLICATION")):
            if not sql(f"SELECT 1 FROM pg_roles WHERE rolname = '{role}'"):
                sql(f"CREATE ROLE {role} {options} PASSWORD '{self.passwords[role]}'")
        # So that doctor and the optimizer see the standbys and the statements of others.
        sql("GRANT pg_monitor TO turnout")
        if not sql(f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'"):
            sql(f"CREATE DATABASE {DATABASE} OWNER turnout")
        sql("CREATE EXTENSION IF NOT EXISTS pg_stat_statements", DATABASE)

    def start_standby(self):
        """Streams from the primary, copied from it where what is there is of no use."""
        if self.standby.is_made and self.standby.follows:
            self.standby.configure(primary=self.primary)
            self.say(f"starting {self.standby.name}, the standby, on port {self.standby.port}")
            self.standby.start()
            try:
                until(self.streams, 15)
            except AssertionError:
                self.say(f"{self.standby.name} cannot follow: copying it from the primary")
                self.standby.stop()
                self.copy_standby()
        else:
            self.say(f"copying the primary to {self.standby.name}")
            self.copy_standby()
        self.be_synchronous()

    def copy_standby(self):
        self.standby.copy_from(self.primary)
        self.standby.configure(primary=self.primary)
        self.standby.start()
        until(self.streams, 30)

    def be_synchronous(self):
        """Only now: before it streams, every commit would wait for it."""
        self.primary.configure(synchronous=self.standby.name)
        self.primary.reload()
        until(self.is_synchronous, 30)

    def streams(self):
        return self.primary.sql("SELECT count(*) FROM pg_stat_replication WHERE state ="
                                f" 'streaming' AND application_name = '{self.standby.name}'") == "1"

    def is_synchronous(self):
        return self.primary.sql("SELECT sync_state FROM pg_stat_replication WHERE"
                                f" application_name = '{self.standby.name}'") == "sync"

    def promote(self):
        """The standby takes over; commits do not wait for the one that is gone."""
        self.standby.promote()
        self.primary, self.standby = self.standby, self.primary

    def rejoin(self):
        """The former primary becomes the standby of the new one."""
        assert not self.standby.is_running
        self.copy_standby()
        self.be_synchronous()

    def create(self, name):
        """A database that both servers have: a client that asks the standby first and does not
        find it looks no further."""
        self.primary.sql(f"CREATE DATABASE {name} OWNER turnout")
        until(lambda: all(server.sql(f"SELECT 1 FROM pg_database WHERE datname = '{name}'") == "1"
                          for server in self.servers))

    def url(self, database=DATABASE, user="turnout"):
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in self.servers)
        return f"postgres://{user}@{hosts}/{database}"

    def environment(self):
        """Where a program finds the passwords."""
        return {"PGPASSFILE": str(self.passwords.path)}

    def stop(self):
        """The primary first: it sends the standby what is left."""
        for server in (self.primary, self.standby):
            server.stop()
