# SPDX-License-Identifier: Apache-2.0
"""tools/gen-performance-docs shows what the results say, and wants reasons for misses."""
import json

import pytest

from made_up import load

page = load("gen-performance-docs")
MACHINE = {"cpu": "a processor", "cores": 2, "kernel": "6.1"}


def row(name, value, goal, status):
    return {"name": name, "unit": "ms", "value": value, "peer": None, "peer_value": None,
            "ratio": None, "spread": [value, value], "runs": 1, "goal": goal, "status": status}


@pytest.fixture(name="bench")
def _bench(tmp_path, monkeypatch):
    """Results and reasons of a test's own."""
    def fill(rows, reasons=(), **more):
        (tmp_path / "results").mkdir(exist_ok=True)
        document = {"commit": "abc", "load_before": 0.1, "machine": MACHINE, "rows": rows, **more}
        (tmp_path / "results" / "step1.json").write_text(json.dumps(document))
        (tmp_path / "reasons.toml").write_text("reason = []\n" if not reasons else "".join(
            f'[[reason]]\nset = "node"\nrow = "{name}"\nwhy = "{why}"\n' for name, why in reasons))
    monkeypatch.setattr(page, "BENCH", tmp_path)
    monkeypatch.setattr(page, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(page, "FRONT", ())
    return fill


def test_the_page_has_each_row_and_the_reasons_of_misses(bench):
    bench([row("fast", 2.0, "≤ 5", "met"), row("slow", 9.0, "≤ 5", "missed")],
          [("slow", "the disk")])
    text = page.build()[page.PAGE]
    assert "| fast | 2 ms |  |  |  | ≤ 5: met |" in text
    assert "| slow | 9 ms |  |  |  | ≤ 5: missed |" in text
    assert "- **slow.** the disk" in text


@pytest.mark.parametrize("more, told", [
    ({"took_s": 150.2}, "load 0.1 before the run, 2.5 minutes long (`"),
    ({}, "load 0.1 before the run (`"),
])
def test_the_page_says_how_long_a_set_took(bench, more, told):
    bench([row("fast", 2.0, "≤ 5", "met")], **more)
    assert told in page.build()[page.PAGE]


def test_a_reason_is_for_a_row_whatever_its_count(bench):
    bench([row("1,298 uploaded, disk", 9.0, "≤ 5", "missed")], [("* uploaded, disk", "it is full")])
    assert "- **1,298 uploaded, disk.** it is full" in page.build()[page.PAGE]
    bench([row("1,298 uploaded, net", 9.0, "≤ 5", "missed")], [("* uploaded, disk", "it is full")])
    with pytest.raises(page.Wrong, match="no reason"):
        page.build()


def test_a_missed_goal_without_a_reason_is_an_error(bench):
    bench([row("slow", 9.0, "≤ 5", "missed")])
    with pytest.raises(page.Wrong, match="no reason"):
        page.build()


def test_a_reason_for_what_was_met_is_an_error(bench):
    bench([row("fast", 2.0, "≤ 5", "met")], [("fast", "it was slow once")])
    with pytest.raises(page.Wrong, match="not missed"):
        page.build()


def test_no_result_at_all_is_an_error(bench, tmp_path):
    bench([])
    (tmp_path / "results" / "step1.json").unlink()
    with pytest.raises(page.Wrong, match="no result"):
        page.build()


@pytest.mark.parametrize("value, goal, right", [
    (2, ("≤", 5), True), (9, ("≤", 5), False), (5, ("≥", 3), True), (2, ("≥", 3), False)])
def test_what_met_its_goal_is_drawn_to_the_right_of_it(value, goal, right):
    assert (page.place(value, goal) > 0) == right
    assert page.place(0, goal) in (-1, 1) and page.place(1e9, goal) in (-1, 1)


@pytest.fixture(name="front")
def _front(monkeypatch, bench):  # behind bench, which has no rows for it
    assert bench is not None
    monkeypatch.setattr(page, "FRONT", (("step1.json", "fast", None, "how fast"),
                                        ("step1.json", "slow", None, "how slow")))


@pytest.mark.usefixtures("front")
def test_the_readme_has_its_rows_between_its_marks(bench):
    bench([row("fast", 2.0, "≤ 5", "met"), row("slow", 0.1, "≤ 5", "met")])
    text = page.build()[page.README]
    made = text.partition(page.BEGIN)[2].partition(page.END)[0]
    assert "| how fast | 2 ms |  |" in made and "| how slow | 0.1 ms |  |" in made
    assert "Commit abc, 2 cores (a processor)" in made
    before = (page.ROOT / page.README).read_text()
    assert text.partition(page.BEGIN)[0] == before.partition(page.BEGIN)[0]
    assert text.partition(page.END)[2] == before.partition(page.END)[2]


@pytest.mark.usefixtures("front")
def test_a_row_that_the_readme_wants_and_no_result_has_is_an_error(bench):
    bench([row("fast", 2.0, "≤ 5", "met")])
    with pytest.raises(page.Wrong, match="README.md wants one row 'slow'"):
        page.build()


def test_a_draft_tells_misses_without_a_reason_and_leaves_out_idle_ones(bench):
    bench([row("slow", 9.0, "≤ 5", "missed"), row("fast", 2.0, "≤ 5", "met")],
          [("fast", "it was not")])
    text = page.build(is_draft=True)[page.PAGE]
    assert "- **slow.** Not explained yet." in text and "it was not" not in text
