# SPDX-License-Identifier: Apache-2.0
"""turnout cache simulate: figures of known traces, what counts as a key, and how it refuses."""
import json
import os
import pathlib
import random
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("TURNOUT_BIN", str(ROOT / "build" / "turnout"))
POLICIES = ["s3fifo", "lru", "sieve", "tinylfu"]


def simulate(trace, *flags):
    return subprocess.run([BINARY, "cache", "simulate", *flags], input=trace, capture_output=True,
                          timeout=60, check=False)


def figures(trace, *flags):
    answer = simulate(trace, "--json", *flags)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def lines(keys):
    return "".join(f"{key}\n" for key in keys).encode()


def zipf_trace(length=50000, universe=5000):
    chance = random.Random(3)
    weights = [1 / (rank + 1) for rank in range(universe)]
    return chance.choices(range(universe), weights, k=length)


def test_defaults_are_1000_entries_of_s3fifo():
    assert figures(b"a\nb\na\n") == {"policy": "s3fifo", "entries": 1000, "requests": 3, "hits": 1,
                                     "hit_ratio": 0.333333}


def test_text_is_one_figure_a_line():
    answer = simulate(b"a\na\n")
    assert answer.stdout.decode().splitlines() == [
        "policy=s3fifo", "entries=1000", "requests=2", "hits=1", "hit_ratio=0.500000"]


def test_lru_of_three_is_as_by_hand():
    trace = lines("123412512345")
    assert figures(trace, "--policy", "lru", "--entries", "3")["hits"] == 2


def test_lru_agrees_with_a_plain_model():
    keys = zipf_trace()
    queue, hits = {}, 0
    for key in keys:
        hits += queue.pop(key, None) is not None
        queue[key] = True
        if len(queue) > 500:
            del queue[next(iter(queue))]
    assert figures(lines(keys), "--policy=lru", "--entries=500")["hits"] == hits


def test_all_policies_in_one_pass_agree_with_each_alone():
    trace = lines(zipf_trace())
    items = figures(trace, "--policy", "all")["items"]
    assert [item["policy"] for item in items] == POLICIES
    for item in items:
        assert item == figures(trace, "--policy", item["policy"])
    by_name = {item["policy"]: item["hit_ratio"] for item in items}
    assert by_name["s3fifo"] > by_name["lru"]


def test_everything_hits_but_the_first_when_it_fits():
    keys = list(range(300)) * 3
    for policy in POLICIES:
        assert figures(lines(keys), "--policy", policy)["hits"] == 600


@pytest.mark.parametrize("trace,requests,hits", [
    (b"", 0, 0),
    (b"\n\n\r\n", 0, 0),
    (b"a\r\na\n", 2, 1),          # a carriage return at the end is not part of the key
    (b"a\na", 2, 1),              # the last line may lack its end
    (b"\xff\x00b\n\xff\x00b\n\xff\x00c\n", 3, 1),
    (b" a\na\n", 2, 0),           # white space is part of it
    (b"k" * 1024 + b"\r\n" + b"k" * 1024 + b"\n", 2, 1),
], ids=range(7))
def test_what_counts_as_a_key(trace, requests, hits):
    answer = figures(trace)
    assert (answer["requests"], answer["hits"]) == (requests, hits)


def test_keys_across_the_blocks_that_are_read_stay_whole():
    keys = [f"{number:07d}" * (1 + number % 9) for number in range(30000)]
    answer = figures(lines(keys + keys), "--entries", "30000", "--policy", "lru")
    assert (answer["requests"], answer["hits"]) == (60000, 30000)


def test_longer_key_is_refused_with_its_line():
    answer = simulate(b"a\n" + b"k" * 1025 + b"\n")
    assert answer.returncode == 1
    assert b"line 2" in answer.stderr and b"1024" in answer.stderr
    assert answer.stdout == b""


@pytest.mark.parametrize("flags", [
    ["--entries", "0"], ["--entries", "-1"], ["--entries", "16777217"], ["--entries", "1e3"],
    ["--entries", ""], ["--policy", "fifo"], ["--policy", ""], ["--policy", "lru,none"],
    ["--nonsense"], ["extra"],
])
def test_wrong_call_is_usage(flags):
    answer = simulate(b"a\n", *flags)
    assert answer.returncode == 2
    assert b"--help" in answer.stderr and answer.stdout == b""


def test_help_names_what_there_is():
    group = subprocess.run([BINARY, "cache", "--help"], capture_output=True, check=True)
    assert b"simulate" in group.stdout
    own = simulate(b"", "--help")
    assert own.returncode == 0
    for word in [b"--policy", b"--entries", b"--json", *(p.encode() for p in POLICIES)]:
        assert word in own.stdout
