# SPDX-License-Identifier: Apache-2.0
"""tools/test counts what ran; tools/setup asks dpkg first; tools/build knows its variants."""
import os
import subprocess
from pathlib import Path

import pytest

from made_up import ROOT, TOOLS, load, make

test_tool = load("test")


def count(stdout="", result="OK"):
    tally = test_tool.count_cases({"name": "unit/a", "result": result, "stdout": stdout})
    return tally.passed, tally.failed, tally.skipped


def cmocka(*cases):
    lines = ["[==========] Running %d test(s)." % len(cases)]
    for name, outcome in cases:
        lines.append(f"[ RUN      ] {name}")
        lines += {"ok": [f"[       OK ] {name}"], "failed": [f"[  FAILED  ] {name}"],
                  "skipped": [f"[  SKIPPED ] {name}"], "crashed": []}[outcome]
    return "\n".join(lines) + "\n"


def test_each_case_of_a_program_counts():
    assert count(cmocka(("a", "ok"), ("b", "ok"))) == (2, 0, 0)


def test_failed_skipped_and_crashed_cases_are_told_apart():
    output = cmocka(("a", "ok"), ("b", "failed"), ("c", "skipped"), ("d", "crashed"))
    assert count(output, "FAIL") == (1, 2, 1)


def test_cases_of_the_same_name_are_not_mixed_up():
    assert count(cmocka(("a", "ok"), ("a", "crashed")), "FAIL") == (1, 1, 0)


@pytest.mark.parametrize("result", ["FAIL", "TIMEOUT", "ERROR"])
def test_a_program_that_fails_behind_its_cases_is_one_failure(result):
    assert count(cmocka(("a", "ok")), result) == (1, 1, 0)


def test_a_program_of_another_kind_is_one_case():
    assert count("14 inputs\n") == (1, 0, 0)
    assert count("", "FAIL") == (0, 1, 0)
    assert count("", "SKIP") == (0, 0, 1)


def test_a_suite_in_which_nothing_ran_has_failed(capsys, monkeypatch):
    monkeypatch.setitem(test_tool.SUITES, "unit", ("empty", lambda deadline: test_tool.Tally()))
    tally = test_tool.run_suite("unit", test_tool.Deadline(1))
    assert (tally.passed, tally.failed) == (0, 1)
    assert tally.problems == ["unit: no test ran"]


def test_what_was_skipped_is_told_with_its_reason_before_the_last_line(capsys, monkeypatch,
                                                                       tmp_path):
    text = ("import pytest\n"
            "@pytest.mark.parametrize('n', [1, 2])\n"
            "def test_a(n):\n    pytest.skip('swarm: no dockerd')\n"
            "def test_b():\n    pass\n")
    monkeypatch.setattr(test_tool, "ROOT", make(tmp_path, {"tests/test_a.py": text}))
    monkeypatch.setattr(test_tool, "RESULTS", tmp_path)
    monkeypatch.setitem(test_tool.SUITES, "slow", (
        "some", lambda deadline: test_tool.pytest(["tests/test_a.py"], "slow", deadline)))
    monkeypatch.setattr("sys.argv", ["test", "--only", "slow"])
    assert test_tool.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == ["SKIPPED 2 of slow: swarm: no dockerd", "1 passed, 0 failed"]


def test_what_wants_engines_runs_only_when_it_is_asked_for(monkeypatch):
    monkeypatch.setattr("sys.argv", ["test"])
    wanted, _ = test_tool.parse_arguments()
    assert "slow" not in wanted and "integration" in wanted


def test_what_runs_too_long_is_ended_with_all_it_started(tmp_path):
    code, _ = test_tool.run(["sh", "-c", f"sleep 60 & echo $! >{tmp_path}/pid; wait"],
                            test_tool.Deadline(0.5 / 60), capture=True)
    assert code is None
    status = Path("/proc", (tmp_path / "pid").read_text().strip(), "status")
    while status.exists() and "State:\tZ" not in status.read_text():
        os.sched_yield()  # the kill is sent; the test's own time limit ends this if it was not


def test_plants_are_read_with_their_patterns():
    text = "# why\nskip_ledger  contract/*  # all\n\nskip_ledger tests/integration -k twice\n"
    assert test_tool.read_plants(text) == [("skip_ledger", "contract/*"),
                                           ("skip_ledger", "tests/integration -k twice")]


@pytest.mark.parametrize("text, said", [
    ("def test_a():\n    assert False\n", None),
    ("def test_a():\n    pass\n", "all 1 passed with the bug in"),
    ("import gone\n", "could not run"),
    ("import pytest\n@pytest.fixture\ndef server():\n    assert 0\n"
     "def test_a(server):\n    pass\n", "could not run"),
    ("", "nothing ran")])
def test_only_a_refuted_claim_catches_a_plant(tmp_path, monkeypatch, text, said):
    monkeypatch.setattr(test_tool, "ROOT", make(tmp_path, {"tests/test_a.py": text}))
    monkeypatch.setattr(test_tool, "RESULTS", tmp_path)
    why = test_tool.plant_is_caught(tmp_path, "tests/test_a.py", test_tool.Deadline(1))
    assert why is None if said is None else said in why


def test_a_pattern_that_names_no_file_catches_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(test_tool, "ROOT", make(tmp_path, {"tests/other.py": ""}))
    monkeypatch.setattr(test_tool, "RESULTS", tmp_path)
    why = test_tool.plant_is_caught(tmp_path, "tests/gone.py", test_tool.Deadline(1))
    assert why.startswith("could not run")


def test_every_plant_that_can_be_built_is_known():
    assert test_tool.declared_plants() == [
        "ack_before_commit", "skip_ledger", "skip_generation", "skip_mark", "guess_commit", "leak"]


def test_a_plant_for_bench_to_repair_is_not_built(tmp_path, monkeypatch):
    path = tmp_path / "plants.txt"
    path.write_text("leak bench recovery_memory\n")
    built = []
    monkeypatch.setattr(test_tool, "PLANTS", path)
    monkeypatch.setattr(test_tool, "declared_plants", lambda: ["leak"])
    monkeypatch.setattr(test_tool, "build", lambda name, *_: built.append(name))
    tally = test_tool.suite_plants(test_tool.Deadline(1))
    assert built == ["release"] and tally.failed == 0


# tools/setup, with a dpkg, an apt and a user of its own.

def run_setup(root, *arguments, installed="", uid=0, apt=0, sudo=False, fetched=True, npm=0):
    log = root / "apt.log"
    tools = {
        "dpkg-query": f'#!/bin/sh\nfor p in {installed or "none"}; do\n'
                      '    [ "$4" = "$p" ] && printf installed && exit 0\ndone\nexit 1\n'
        if installed != "all" else "#!/bin/sh\nprintf installed\n",
        "apt-get": f'#!/bin/sh\necho "$@" >>{log}\nexit {apt}\n',
        "id": f"#!/bin/sh\necho {uid}\n",
        "sleep": "#!/bin/sh\n",
        "systemctl": f'#!/bin/sh\n[ "$1" = disable ] && echo "stop $3" >>{log}\n',
        "update-rc.d": "#!/bin/sh\n",
        "service": f'#!/bin/sh\necho "$2 $1" >>{log}\n',
        "cmp": f"#!/bin/sh\nexit {0 if fetched else 1}\n",
        "npm": f'#!/bin/sh\necho "npm $@" >>{log}\nexit {npm}\n',
        "cp": f'#!/bin/sh\necho "cp ${{1##*/}}" >>{log}\n',
    }
    if sudo:
        tools["sudo"] = '#!/bin/sh\nexec "$@"\n'
    make(root / "bin", tools)
    for name in tools:
        (root / "bin" / name).chmod(0o755)
    for name in ("sh", "env", "sed"):
        (root / "bin" / name).symlink_to(f"/usr/bin/{name}")
    answer = subprocess.run(["/bin/sh", str(TOOLS / "setup"), *arguments], text=True,
                            capture_output=True, env={"PATH": str(root / "bin")})
    return answer, log.read_text().splitlines() if log.exists() else []


def test_setup_needs_neither_root_nor_network_when_all_is_there(tmp_path):
    answer, calls = run_setup(tmp_path, "test", "bench", installed="all", uid=1000)
    assert (answer.returncode, answer.stderr, calls) == (0, "", [])


def test_setup_installs_only_what_is_missing(tmp_path):
    listed = subprocess.check_output([str(TOOLS / "setup"), "--list"], text=True)
    there = " ".join(name for name in listed.split() if name != "sqlite3")
    answer, calls = run_setup(tmp_path, installed=there)
    assert answer.returncode == 0
    assert calls[0].startswith("update")
    assert calls[1].split()[-1] == "sqlite3" and "--no-install-recommends" in calls[1]
    assert "libuv1-dev" not in calls[1]


def test_setup_stops_the_servers_that_it_installed_and_no_other(tmp_path):
    listed = subprocess.check_output([str(TOOLS / "setup"), "--list", "test", "bench"], text=True)
    names = set(listed.split())
    there = " ".join(names - {"postgresql-15", "prometheus", "curl"})
    _, calls = run_setup(tmp_path, "test", "bench", installed=there)
    stopped = [call for call in calls if call.startswith("stop ")]
    assert stopped == ["stop postgresql", "stop prometheus"]


def test_setup_fetches_what_the_lock_file_names_and_runs_no_scripts_of_it(tmp_path):
    answer, calls = run_setup(tmp_path, "web", installed="all", uid=1000, fetched=False)
    assert answer.returncode == 0
    assert calls[0].startswith("npm ci --ignore-scripts") and calls[1:] == ["cp package-lock.json"]


def test_setup_fetches_nothing_for_who_only_builds(tmp_path):
    answer, calls = run_setup(tmp_path, "build", installed="all", fetched=False)
    assert (answer.returncode, calls) == (0, [])


def test_setup_fetches_the_peer_and_the_dashboards_tools_for_who_measures_or_tests(tmp_path):
    for group, folders in (("bench", 2), ("test", 2)):
        (tmp_path / group).mkdir()
        answer, calls = run_setup(tmp_path / group, group, installed="all", fetched=False)
        assert answer.returncode == 0
        assert sum(call.startswith("npm ci --ignore-scripts") for call in calls) == folders


def test_setup_tries_npm_twice_and_remembers_no_failure(tmp_path):
    answer, calls = run_setup(tmp_path, "web", installed="all", fetched=False, npm=1)
    assert answer.returncode == 1 and "package-lock.json" in answer.stderr
    assert [call.split()[0] for call in calls] == ["npm", "npm"]


def test_setup_takes_a_node_from_elsewhere(tmp_path):
    listed = subprocess.check_output([str(TOOLS / "setup"), "--list", "web"], text=True)
    there = " ".join(name for name in listed.split() if name not in ("nodejs", "npm"))
    make(tmp_path / "bin", {"node": "#!/bin/sh\n"}).joinpath("node").chmod(0o755)
    answer, calls = run_setup(tmp_path, "web", installed=there)
    assert (answer.returncode, calls) == (0, [])


def test_setup_tries_apt_twice_and_then_names_what_is_missing(tmp_path):
    answer, calls = run_setup(tmp_path, apt=100)
    assert answer.returncode == 1
    assert sum(call.startswith("update") for call in calls) == 2
    assert "apt could not install: gcc" in answer.stderr


def test_setup_without_root_or_sudo_says_what_to_run(tmp_path):
    answer, calls = run_setup(tmp_path, uid=1000)
    assert (answer.returncode, calls) == (1, [])
    assert "apt-get install -y --no-install-recommends gcc" in answer.stderr


def test_setup_uses_sudo_where_it_is_not_root(tmp_path):
    answer, calls = run_setup(tmp_path, uid=1000, sudo=True)
    assert answer.returncode == 0 and len(calls) == 2


def test_setup_refuses_a_group_it_does_not_know(tmp_path):
    answer, _ = run_setup(tmp_path, "nonsense")
    assert answer.returncode == 1 and "unknown group 'nonsense'" in answer.stderr


@pytest.mark.parametrize("variant, folder", [("release", "build"), ("asan", "build-asan"),
                                             ("plant-skip_ledger", "build-plant-skip_ledger")])
def test_build_names_the_folder_of_a_variant(variant, folder):
    answer = subprocess.run([str(TOOLS / "build"), variant, "--print-dir"], capture_output=True,
                            text=True)
    assert answer.stdout == folder + "\n"


def test_build_refuses_a_variant_it_does_not_know():
    answer = subprocess.run([str(TOOLS / "build"), "fast"], capture_output=True, text=True)
    assert answer.returncode == 2 and "unknown variant 'fast'" in answer.stderr


def test_help_names_every_target_of_the_makefile():
    answer = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True,
                            env={**os.environ, "MAKEFLAGS": ""})
    targets = [name for line in (ROOT / "Makefile").read_text().splitlines()
               if line.startswith(".PHONY") for name in line.split(":")[1].split()]
    assert sorted(line.split()[1] for line in answer.stdout.splitlines()) == sorted(targets)
