# SPDX-License-Identifier: Apache-2.0
"""`turnout control replay` as an operator uses it: recorded figures in, decisions out."""

import json
import os
import subprocess
from pathlib import Path

import pytest

BIN = os.environ.get("TURNOUT_BIN",
                     str(Path(__file__).resolve().parents[2] / "build" / "turnout"))
ACTIONS = {"AUTO_SCALE", "OPTIMIZE_QUERIES", "INVALIDATE_CACHE", "RESTART_SERVICE", "SHED_LOAD"}
BUILT_IN = ["high_response_time", "database_slow_query", "memory_usage_high"]


def run(arguments, text="", env=None):
    clean = {key: value for key, value in os.environ.items() if not key.startswith("TURNOUT_")}
    return subprocess.run([BIN, *arguments], input=text, text=True, capture_output=True,
                          env={**clean, **(env or {})}, timeout=60)


def lines_of(snapshots):
    return "".join(json.dumps(snapshot) + "\n" for snapshot in snapshots)


def replay(snapshots, config=None, env=None):
    arguments = ["control", "replay"] + (["--config", str(config)] if config else [])
    done = run(arguments, lines_of(snapshots), env)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    decisions = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(decisions) == len(snapshots)
    return decisions


def nodes(count, cpu=50, memory=50, **more):
    return [{"id": f"n{i}", "healthy": True, "cpu": cpu, "memory": memory, "connections": 10,
             "hit_rate": 0.9, **more} for i in range(1, count + 1)]


def snapshot(t, *arguments, metrics=None, **more):
    return {"t": t, "nodes": nodes(*arguments, **more), "metrics": metrics or {}}


@pytest.fixture
def config(tmp_path):
    def write(text):
        path = tmp_path / "turnout.ini"
        path.write_text(text)
        return path
    return write


def test_a_decision_has_the_promised_shape():
    [decision] = replay([snapshot(12.5, 4, metrics={"slow_query_count": 11})])
    assert set(decision) == {"t", "optimal", "scale", "alerts", "actions"}
    assert decision["t"] == 12.5
    assert set(decision["optimal"]) == {"analytics", "database", "cache", "general"}
    assert set(decision["scale"]) == {"current", "desired", "reason"}
    assert [alert["rule"] for alert in decision["alerts"]] == BUILT_IN
    for alert in decision["alerts"]:
        assert set(alert) - {"absent"} == {"rule", "state", "severity", "action"}
        assert alert["action"] in ACTIONS
    assert [action["action"] for action in decision["actions"]] == ["OPTIMIZE_QUERIES"]
    assert all(action["reason"] for action in decision["actions"])


def test_each_kind_of_request_gets_its_node():
    crowd = nodes(4)
    crowd[1]["cpu"] = 20
    crowd[2]["connections"] = 3
    crowd[3]["hit_rate"] = 0.99
    crowd.append({"id": "n0", "healthy": False, "cpu": 0, "memory": 0, "connections": 0,
                  "hit_rate": 1})
    [decision] = replay([{"t": 0, "nodes": crowd}])
    assert decision["optimal"]["analytics"] == "n2"
    assert decision["optimal"]["database"] == "n3"
    assert decision["optimal"]["cache"] == "n4"
    assert decision["optimal"]["general"] in ("n2", "n3")


@pytest.mark.parametrize("count,cpu,memory,desired", [
    (4, 90, 50, 6), (4, 80, 50, 4), (4, 80.01, 50, 6), (4, 50, 85, 4), (4, 50, 85.01, 6),
    (3, 90, 50, 5), (5, 90, 50, 8), (7, 90, 50, 10), (10, 90, 90, 10), (1, 50, 50, 2),
    (0, 0, 0, 2), (4, 10, 10, 4), (4, None, None, 4),
])
def test_the_first_snapshot_is_decided_by_the_rules_alone(count, cpu, memory, desired):
    [decision] = replay([snapshot(0, count, cpu, memory)])
    assert decision["scale"]["current"] == count
    assert decision["scale"]["desired"] == desired
    scales = [action["action"] for action in decision["actions"]].count("AUTO_SCALE")
    assert scales == (1 if desired != count else 0)


def test_fewer_nodes_need_five_quiet_minutes():
    decisions = replay([snapshot(t, 10, 10, 10) for t in range(0, 310, 10)])
    assert [decision["scale"]["desired"] for decision in decisions] == [10] * 30 + [7]
    assert decisions[-1]["actions"][0]["action"] == "AUTO_SCALE"


def test_the_settings_of_the_scaler_count(config):
    path = config("[scaler]\nmin = 3\nup_cpu = 60\nup_factor = 2\nhold_down = 0s\n"
                  "down_factor = 0.5\n")
    decisions = replay([snapshot(0, 4, 61), snapshot(400, 9, 10, 10), snapshot(401, 2)], path)
    assert [decision["scale"]["desired"] for decision in decisions] == [8, 4, 3]


def test_the_environment_overrides_the_file(config):
    path = config("[scaler]\nmin = 3\n")
    [decision] = replay([snapshot(0, 1)], path, env={"TURNOUT_SCALER_MIN": "5"})
    assert decision["scale"]["desired"] == 5


def test_the_settings_of_the_balancer_count(config):
    crowd = nodes(2)
    crowd[0].update(cpu=10, memory=90)
    crowd[1].update(cpu=30, memory=10)
    path = config("[balancer]\nweight_memory = 0\nweight_connections = 0\n")
    assert replay([{"t": 0, "nodes": crowd}])[0]["optimal"]["general"] == "n2"
    assert replay([{"t": 0, "nodes": crowd}], path)[0]["optimal"]["general"] == "n1"


def states(decisions, rule):
    return [alert["state"] for decision in decisions for alert in decision["alerts"]
            if alert["rule"] == rule]


def test_a_rule_lives_through_its_states():
    values = [3000, 3000, 2000, 3000, 3000, 3000, 1000, 1000]
    decisions = replay([snapshot(10 * i, 4, metrics={"avg_response_time_ms": value})
                        for i, value in enumerate(values)])
    assert states(decisions, "high_response_time") == [
        "pending", "pending", "inactive", "pending", "pending", "pending", "inactive", "inactive"]
    decisions = replay([snapshot(15 * i, 4, metrics={"avg_response_time_ms": value})
                        for i, value in enumerate([3000, 3000, 3000, 1000, 1000])])
    assert states(decisions, "high_response_time") == [
        "pending", "pending", "firing", "resolved", "inactive"]
    assert decisions[2]["scale"]["desired"] == 6
    assert [action["action"] for action in decisions[2]["actions"]] == ["AUTO_SCALE"]


def test_rules_of_ones_own_and_changed_built_in_ones(config):
    path = config("[alert.memory_usage_high]\ndisabled = yes\n\n"
                  "[alert.cold_cache]\nmetric = cache_hit_rate\nop = <\nthreshold = 0.7\n"
                  "severity = info\naction = INVALIDATE_CACHE\ncooldown = 20s\n")
    decisions = replay([snapshot(t, 4, 50, 95, metrics={"cache_hit_rate": 0.5})
                        for t in range(0, 50, 10)], path)
    assert states(decisions, "cold_cache") == ["firing"] * 5
    assert states(decisions, "memory_usage_high") == []
    ran = [any(action["action"] == "INVALIDATE_CACHE" for action in decision["actions"])
           for decision in decisions]
    assert ran == [True, False, True, False, True]


def test_broken_lines_are_named_and_the_others_decided():
    text = (lines_of([snapshot(0, 4)]) + "\n   \n{\"t\":\n" + '{"nodes":[]}\n'
            + '{"t":1,"nodes":[{"id":"a","cpu":"hot"}]}\n' + lines_of([snapshot(2, 4)]))
    done = run(["control", "replay"], text)
    assert done.returncode == 1
    assert [json.loads(line)["t"] for line in done.stdout.splitlines()] == [0, 2]
    complaints = done.stderr.splitlines()
    assert len(complaints) == 3
    assert "line 4:" in complaints[0]
    assert "line 5: t:" in complaints[1]
    assert "line 6: nodes[0].cpu:" in complaints[2]


def test_a_last_line_without_its_end_is_decided():
    done = run(["control", "replay"], json.dumps(snapshot(0, 4)))
    assert done.returncode == 0
    assert json.loads(done.stdout)["scale"]["current"] == 4


def test_an_empty_recording_has_no_decisions():
    done = run(["control", "replay"])
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_each_decision_is_out_before_the_next_snapshot_comes():
    with subprocess.Popen([BIN, "control", "replay"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:
        for t in range(3):
            process.stdin.write(lines_of([snapshot(t, 4)]))
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["t"] == t
        process.stdin.close()
        assert process.wait(timeout=30) == 0


def test_a_line_beyond_all_bounds_is_passed_over():
    done = run(["control", "replay"], "x" * (5 << 20) + "\n" + lines_of([snapshot(0, 4)]))
    assert done.returncode == 1
    assert "line 1: the line is too long" in done.stderr
    assert len(done.stdout.splitlines()) == 1


def test_a_replay_repeats_itself():
    recording = lines_of(snapshot(t, 4 + t % 5, (t * 37) % 100, (t * 53) % 100,
                                  metrics={"avg_response_time_ms": (t * 997) % 4000})
                         for t in range(0, 3000, 7))
    assert run(["control", "replay"], recording).stdout == run(["control", "replay"],
                                                               recording).stdout


def test_mistakes_in_the_policy_are_all_reported_with_their_lines(config):
    path = config("[scaler]\nmin = many\nup_cpus = 70\n\n[alert.slow]\nmetric = avg_respnse_time\n"
                  "threshold = 5\n")
    done = run(["control", "replay", "--config", str(path)], lines_of([snapshot(0, 4)]))
    assert done.returncode == 78
    assert done.stdout == ""
    assert f"{path}:2: scaler.min = many: expected a whole number" in done.stderr
    assert f"{path}:3: unknown setting scaler.up_cpus: did you mean up_cpu" in done.stderr
    assert f"{path}:6: alert.slow.metric" in done.stderr


@pytest.mark.parametrize("arguments,code", [
    (["control"], 78), (["control", "rewind"], 2), (["control", "replay", "--speed"], 2),
    (["control", "replay", "file"], 2), (["control", "--help"], 0),
    (["control", "replay", "--help"], 0), (["control", "replay", "--config", "/nowhere.ini"], 78),
])
def test_exit_codes_of_calls(arguments, code):
    done = run(arguments)
    assert done.returncode == code
    assert "Usage" in done.stdout if code == 0 else done.stderr


def test_help_lists_the_settings_of_the_deciders():
    settings = json.loads(run(["help", "config", "--json"]).stdout)["settings"]
    known = {(setting["section"], setting["key"]): setting for setting in settings}
    assert known["scaler", "hold_down"]["default"] == "300s"
    assert known["balancer", "stale_after"]["environment"] == "TURNOUT_BALANCER_STALE_AFTER"
    assert known["alert.NAME", "op"]["range"] == ">, >=, <, <=, ==, !="
