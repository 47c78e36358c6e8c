# SPDX-License-Identifier: Apache-2.0
"""The README is true: each of its curl calls, run against the demo event, answers as printed.

What differs from run to run is held to its shape: record ids and times.
"""

import json
import pathlib
import re
import shlex
import subprocess

import rig

README = (rig.ROOT / "README.md").read_text()
CALL = re.compile(r"```console\n\$ (?P<command>.+)\n(?P<answer>.+)\n```")
RECORD_ID = re.compile(r"\d{19}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def masked(value):
    if isinstance(value, dict):
        return {key: masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    if isinstance(value, str) and RECORD_ID.fullmatch(value):
        return "RECORD"
    if isinstance(value, str) and TIME.fullmatch(value):
        return "TIME"
    return value


def test_the_curl_calls_answer_as_printed(make_server):
    server = make_server("--demo")
    calls = CALL.findall(README)
    assert len(calls) == 3
    for command, printed in calls:
        argv = shlex.split(command.replace("http://127.0.0.1:8080", server.url))
        answer = subprocess.run(argv, capture_output=True, check=True, timeout=30).stdout
        assert masked(json.loads(answer)) == masked(json.loads(printed)), command


def test_the_example_of_an_event_of_ones_own_works(make_server, tmp_path):
    """The last block: a key, an event, a gate, an import."""
    server = make_server(auth="required")
    people = tmp_path / "people.csv"
    people.write_text("token,name,email\nA-1,김민수,minsu@example.com\n")
    block = re.search(r"For an event of your own:\n\n```\n(?P<lines>.+?)\n```", README, re.DOTALL)
    serve, *lines = block["lines"].splitlines()
    assert serve.startswith("build/turnout serve ")
    script = "\n".join(["set -e", *lines])
    for here, there in (("build/turnout", shlex.quote(rig.BIN)),
                        ("http://127.0.0.1:8080", server.url),
                        ("sqlite:event.db", shlex.quote(f"sqlite:{server.store}")),
                        ("people.csv", shlex.quote(str(people))), ("curl ", "curl -sf ")):
        assert here in script
        script = script.replace(here, there)
    subprocess.run(["bash", "-c", script], check=True, timeout=30, capture_output=True)
    with server.client() as client:
        assert client.get("/v1/events/expo").status == 401
    assert pathlib.Path(server.store).exists()
