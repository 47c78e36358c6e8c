# SPDX-License-Identifier: Apache-2.0
"""`turnout control test-rules` as an operator uses it: his rules, tried on series he made up."""

import json
from pathlib import Path

import pytest

import rig

SHIPPED = Path(__file__).resolve().parents[2] / "packaging" / "rules"


def run(*arguments, stdin=None):
    return rig.run("control", "test-rules", *map(str, arguments), stdin=stdin)


def test(name="one", series=None, expect=None, **more):
    return {"name": name, "series": series or {"memory_usage": "95x3"},
            "expect": expect or [{"at": "0s", "rule": "memory_usage_high", "state": "firing"}],
            **more}


test.__test__ = False


def write(path, *tests, **more):
    path.write_text(json.dumps({"tests": tests, **more}))
    return path


def test_the_rules_that_ship_pass_their_own_tests():
    done = run(SHIPPED / "turnout.test.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith(", 0 failed\n") and done.stdout.count("ok    ") >= 7


def test_each_rule_that_ships_is_named_by_a_test():
    document = json.loads((SHIPPED / "turnout.test.json").read_text())
    named = {one.get("rule") for test in document["tests"] for one in test["expect"]}
    named |= {call for test in document["tests"] for one in test["expect"]
              for call in one.get("calls", [])}
    rules = [line[7:line.index("]")] for line in
             (SHIPPED / "turnout.ini").read_text().splitlines() if line.startswith("[alert.")]
    assert rules and set(rules) <= named


def test_a_wrong_rule_fails_its_test_with_what_was_seen(tmp_path):
    (tmp_path / "mine.ini").write_text("[alert.memory_usage_high]\nthreshold = 97\n")
    path = write(tmp_path / "a.json", test(), config="mine.ini")
    done = run(path)
    assert done.returncode == 1
    assert done.stdout == ("FAIL  one\n"
                           "      at 0s: rule memory_usage_high: expected state firing, got"
                           " inactive\n"
                           "          it was: inactive 0s-3s\n"
                           "1 tests: 0 passed, 1 failed\n")
    built_in = run("--config", "/dev/null", path)  # wins over what the file names
    assert built_in.returncode == 0


def test_several_files_are_one_run_and_one_document(tmp_path):
    good = write(tmp_path / "good.json", test("good"))
    bad = write(tmp_path / "bad.json", test("bad", series={"memory_usage": "1"}))
    done = run("--json", good, bad)
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert (document["passed"], document["failed"]) == (1, 1)
    assert [(one["name"], one["passed"]) for one in document["tests"]] == [("good", True),
                                                                           ("bad", False)]
    [failure] = document["tests"][1]["failures"]
    assert failure["at_s"] == 0 and "expected state firing, got inactive" in failure["what"]


def test_standard_input_is_a_file():
    assert run("-", stdin=json.dumps({"tests": [test()]})).returncode == 0


@pytest.mark.parametrize("text, said", [
    ("", "standard input: "),
    ("{", "standard input: "),
    ('{"tests":[]}', "tests: expected one at least"),
    ('{"tests":[{"name":"a","series":{"memory_usage":"x"},"expect":[]}]}',
     "tests[0].series.memory_usage: \"x\": expected"),
    (json.dumps({"tests": [test(expect=[{"at": "1s", "rule": "gone", "state": "firing"}])]}),
     "tests[0].expect[0].rule: there is no rule gone"),
    (json.dumps({"tests": [test()], "config": "missing.ini"}), "missing.ini: cannot be read"),
])
def test_a_broken_file_is_refused_with_its_place(text, said):
    done = run("-", stdin=text)
    assert done.returncode in (1, 78) and said in done.stderr


def test_a_wrong_call_is_refused(tmp_path):
    assert run().returncode == 2
    missing = run(tmp_path / "none.json")
    assert missing.returncode == 1 and "cannot open it" in missing.stderr
    (tmp_path / "bad.ini").write_text("[alert.a]\nthen = SHED_LOAD\nmetric = cpu_avg\n"
                                      "threshold = 1\n")
    bad = run("--config", tmp_path / "bad.ini", "-", stdin=json.dumps({"tests": [test()]}))
    assert bad.returncode == 78 and "bad.ini:2: [alert.a] then needs an action" in bad.stderr
    assert run("--help").returncode == 0
