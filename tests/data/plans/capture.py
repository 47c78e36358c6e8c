#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Renews the plans of this folder from a PostgreSQL server of its own.

    ./capture.py [--bin /usr/lib/postgresql/15/bin] [CASE...]

Runs initdb in a temporary folder (not as root), loads setup.sql, explains every case of cases.sql
(or the named ones) and writes CASE.json. Figures move a little from run to run: read the
differences, then the expectations in tests/unit/optimizer/test_explain.c.
"""
import argparse
import os
import pathlib
import re
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SETTINGS = """
listen_addresses = ''
shared_buffers = 128MB
autovacuum = off
fsync = off
max_parallel_workers_per_gather = 2
jit = on
timezone = 'UTC'
"""


def cases():
    """(name, options, settings, statement) of each case."""
    text = (HERE / "cases.sql").read_text()
    for part in re.split(r"^-- case ", text, flags=re.M)[1:]:
        head, _, body = part.partition("\n")
        name, _, options = head.partition(" ")
        body = "\n".join(line for line in body.splitlines() if not line.startswith("--")).strip()
        settings = "\n".join(line for line in body.splitlines() if line.startswith("SET "))
        statement = "\n".join(line for line in body.splitlines() if not line.startswith("SET "))
        yield name, options or "ANALYZE, BUFFERS", settings, statement.strip()


def psql(arguments, folder, text):
    command = [f"{arguments.bin}/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", folder, "postgres"]
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{done.stderr}\nin: {text[:400]}")
    return done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bin", default="/usr/lib/postgresql/15/bin")
    parser.add_argument("--into", default=str(HERE))
    parser.add_argument("case", nargs="*")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="turnout-plans-") as folder:
        data = f"{folder}/data"
        subprocess.run([f"{arguments.bin}/initdb", "-D", data, "-A", "trust", "-E", "UTF8",
                        "--locale=C"], check=True, stdout=subprocess.DEVNULL)
        with open(f"{data}/postgresql.conf", "a") as conf:
            conf.write(SETTINGS + f"unix_socket_directories = '{folder}'\n")
        start = [f"{arguments.bin}/pg_ctl", "-D", data, "-w", "-l", f"{folder}/log"]
        subprocess.run(start + ["start"], check=True, stdout=subprocess.DEVNULL)
        try:
            psql(arguments, folder, (HERE / "setup.sql").read_text())
            for name, options, settings, statement in cases():
                if arguments.case and name not in arguments.case:
                    continue
                # Twice: the first run fills the caches.
                explain = f"EXPLAIN ({options}, FORMAT JSON) {statement}"
                text = psql(arguments, folder,
                            f"BEGIN;\n{settings}\n\\o /dev/null\n{explain}\n;ROLLBACK;\n"
                            f"BEGIN;\n{settings}\n\\o\n{explain}\n;ROLLBACK;\n")
                pathlib.Path(arguments.into, name + ".json").write_text(text)
        finally:
            subprocess.run(start + ["-m", "immediate", "stop"], check=True,
                           stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    os.umask(0o022)
    main()
