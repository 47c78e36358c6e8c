# SPDX-License-Identifier: Apache-2.0
"""A short chaos: the cluster under load while nodes die and freeze, commits and their answers are
lost on the way, PostgreSQL fails over and Redis goes away. `make chaos` plays it for longer."""

import json
import os
import subprocess
import sys

import pytest

import rig

CHAOS = rig.ROOT / "tests" / "chaos" / "chaos.py"
MINUTES = 0.35
# A choice that is dealt whole in that time; each of the three lanes has some.
FAULTS = ("kill_node", "freeze_node", "lose_commits", "lose_answers_of_commits", "fail_over",
          "kill_redis", "wipe_redis")


def chaos(*words):
    return subprocess.run([sys.executable, CHAOS, *map(str, words)], text=True, timeout=400,
                          capture_output=True, env={**os.environ, "TURNOUT_BIN": rig.BIN},
                          check=False)


def test_nothing_acknowledged_is_lost_while_everything_fails():
    seed = ["--seed", os.environ["TURNOUT_SEED"]] if "TURNOUT_SEED" in os.environ else []
    done = chaos("--minutes", MINUTES, "--only", ",".join(FAULTS), *seed)
    assert done.returncode == 0, done.stderr
    played = json.loads(done.stdout)
    assert played["holds"] is True and played["problems"] == []
    assert set(played["ledger"].values()) == {0}
    assert played["acknowledged"] == played["sent"] > 100
    assert played["retries"] > 0 and set(played["faults"]) <= set(FAULTS)
    for names in ({"kill_node", "freeze_node"}, {"kill_redis", "wipe_redis"},
                  {"lose_commits", "lose_answers_of_commits", "fail_over"}):
        assert names & set(played["faults"]), f"nothing of {names} happened: {done.stderr}"
    assert f"seed {played['seed']}" in done.stderr.splitlines()[0]


def test_commits_that_are_lost_are_not_acknowledged():
    """Alone, so that a busy machine deals it too."""
    done = chaos("--minutes", 0.15, "--only", "lose_commits")
    assert done.returncode == 0, done.stderr
    played = json.loads(done.stdout)
    assert played["holds"] is True and played["faults"]["lose_commits"] > 0


def test_a_full_disk_and_nodes_that_come_and_go_lose_nothing():
    done = chaos("--minutes", 0.3, "--only", "fill_disk,scale")
    assert done.returncode == 0, done.stderr
    played = json.loads(done.stdout)
    assert played["holds"] is True and played["retries"] > 0
    assert played["acknowledged"] == played["sent"] > 100
    assert played["faults"]["scale"] > 0
    assert played["faults"].get("fill_disk", 0) > 0 or "fill_disk is left out" in done.stderr


@pytest.mark.parametrize("words, told", [
    (["--only", "kill_nodes"], "unknown: kill_nodes; there are kill_node,"),
    (["--minutes", "0"], "above 0"),
    (["--nodes", "0"], "invalid choice"),
])
def test_what_cannot_be_played_is_told(words, told):
    done = chaos(*words)
    assert done.returncode == 2 and told in done.stderr
