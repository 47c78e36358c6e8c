# SPDX-License-Identifier: Apache-2.0
"""turnout db explain-file: the report of a plan, where a plan may come from, and how it refuses."""
import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("TURNOUT_BIN", str(ROOT / "build" / "turnout"))
PLANS = ROOT / "tests" / "data" / "plans"


def explain(*arguments, text=b""):
    return subprocess.run([BINARY, "db", "explain-file", *map(str, arguments)], input=text,
                          capture_output=True, timeout=60, check=False)


def report(*arguments, text=b""):
    answer = explain(*arguments, text=text)
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == b""
    return json.loads(answer.stdout)


def refusal(*arguments, text=b"", code=1):
    answer = explain(*arguments, text=text)
    assert answer.returncode == code
    assert answer.stdout == b""
    return answer.stderr.decode()


def test_a_finding_has_its_rule_severity_node_message_and_evidence():
    found = report(PLANS / "missing_index.json")
    assert sorted(found) == ["execution_ms", "findings", "indexes"]
    finding = next(f for f in found["findings"] if f["rule"] == "missing_index")
    assert sorted(finding) == ["evidence", "message", "node", "rule", "severity"]
    assert finding["severity"] == "warning"
    assert finding["node"] == "Seq Scan on scan_log"
    assert "999800 rows" in finding["message"]
    assert finding["evidence"]["columns"] == ["method", "device"]


def test_a_healthy_plan_has_no_finding_and_names_its_index():
    found = report(PLANS / "healthy_token.json")
    assert found["findings"] == []
    assert found["indexes"] == ["idx_participants_token_active"]
    assert found["execution_ms"] > 0


def test_without_analyze_the_time_is_null():
    assert report(PLANS / "estimate_only.json")["execution_ms"] is None


def test_a_dash_is_standard_input_and_json_is_what_it_prints_anyway():
    text = (PLANS / "jit.json").read_bytes()
    assert report("-", text=text) == report(PLANS / "jit.json") == report("--json", "-", text=text)


@pytest.mark.parametrize("text, reason", [
    (b"", "empty"),
    (b"not a plan", "not JSON"),
    (b"{}", "no plan of PostgreSQL"),
    (b"[]", "empty"),
    (b"Seq Scan on gates  (cost=0.00..1.40 rows=40 width=15)\n", "text format"),
    (b"- Plan: \n    Node Type: \"Seq Scan\"\n", "YAML"),
    (b"   QUERY PLAN   \n----------------\n [             +\n   {           +\n", "psql -XAt"),
])
def test_what_is_no_plan_is_named_for_what_it_is(text, reason):
    said = refusal("-", text=text)
    assert said.startswith("turnout db explain-file: standard input: ")
    assert reason in said
    assert said.count("\n") == 1


def test_a_plan_beyond_64_mib_is_refused():
    assert "larger than 64 MiB" in refusal("-", text=b" " * (64 * 1024 * 1024 + 1))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    assert "absent.json: cannot open it" in refusal(tmp_path / "absent.json")
    assert "cannot read it" in refusal(tmp_path)


def test_a_report_that_cannot_be_written_is_a_failure():
    with open("/dev/full", "wb") as full:
        answer = subprocess.run([BINARY, "db", "explain-file", str(PLANS / "jit.json")],
                                stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)
    assert answer.returncode == 1
    assert b"cannot write" in answer.stderr


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["--wrong", "a"]])
def test_a_wrong_call_is_a_usage_error(arguments):
    assert "--help" in refusal(*arguments, code=2)


def test_help_lists_what_there_is():
    answer = subprocess.run([BINARY, "db", "--help"], capture_output=True, timeout=60, check=False)
    assert answer.returncode == 0
    assert b"explain-file" in answer.stdout
    answer = explain("--help")
    assert answer.returncode == 0
    assert b"64 MiB" in answer.stdout
