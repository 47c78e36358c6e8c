# SPDX-License-Identifier: Apache-2.0
"""What packaging/ brings for Prometheus and Grafana is true of the running product."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from rig import eventually

PACKAGING = Path(__file__).resolve().parents[2] / "packaging"
RULES = PACKAGING / "prometheus" / "turnout.rules.yml"
TABLE = Path(__file__).resolve().parents[2] / "src" / "monitor" / "metric_table.h"
NAME = re.compile(r"\b(?:turnout|process)_[a-z0-9_]+\b")
RECORDED = re.compile(r"\bturnout:[a-z0-9_:]+\b")


def promtool(*arguments, **options):
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=120,
                          **options)


def dashboard():
    return json.loads((PACKAGING / "grafana" / "turnout.json").read_text())


def panels():
    return [one for one in dashboard()["panels"] if one["type"] != "row"]


def expressions():
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def samples_of(text):
    """Names of samples, those of a histogram with their endings."""
    return {re.match(r"[a-z0-9_]+", line)[0] for line in text.splitlines()
            if line and not line.startswith("#")}


def known_names():
    """Every name that the table of metrics can give, also of what a test node does not know."""
    known = set()
    for name, kind in re.findall(r'X\([a-z_0-9]+, "([a-z_]+)", ([A-Z]+),', TABLE.read_text()):
        known |= {f"{name}{ending}" for ending in ("_bucket", "_sum", "_count")} \
            if kind == "HISTOGRAM" else {name}
    assert len(known) > 40
    return known


def test_prometheus_takes_the_rules():
    done = promtool("check", "rules", str(RULES))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def test_the_rules_fire_and_keep_silent_as_their_tests_say():
    done = promtool("test", "rules", "turnout.test.yml", cwd=RULES.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def test_every_alert_has_a_test_a_summary_and_an_action():
    text, tests = RULES.read_text(), (RULES.parent / "turnout.test.yml").read_text()
    alerts = re.findall(r"- alert: (\w+)", text)
    assert len(alerts) == len(set(alerts)) >= 12
    for alert in alerts:
        healthy = f"alertname: {alert}}}" in tests
        raised = re.search(rf"alertname: {alert}\n +exp_alerts|alertname=\"{alert}\"", tests)
        assert healthy and raised, f"{alert} has no test"
    assert text.count("summary:") == text.count("action:") == len(alerts)


@pytest.mark.parametrize("source", ["rules", "dashboard"])
def test_every_metric_that_is_named_exists(source):
    text = RULES.read_text() if source == "rules" else json.dumps(dashboard())
    named = {name for name in NAME.findall(text)}
    assert len(named) >= 15
    assert named - known_names() == set()
    recorded = set(re.findall(r"- record: (\S+)", RULES.read_text()))
    assert set(RECORDED.findall(text)) - recorded == set()


def test_what_is_named_is_there_on_a_running_node(make_server):
    """All but what needs PostgreSQL, kernel figures that a machine may not have, and a cache."""
    server = make_server()
    with server.client() as client:
        client.post("/v1/events", {"code": "e1", "name": "One"})
        client.get("/v1/events")
        seen = eventually(lambda: samples_of(client.get("/metrics").body.decode()),
                          lambda names: "turnout_cpu_used_ratio" in names, 30)
    named = set(NAME.findall(RULES.read_text() + json.dumps(dashboard())))
    missing = named - seen
    assert missing <= {"turnout_database_partition_horizon_seconds", "turnout_pressure_ratio"} | \
        {name for name in named if name.startswith("turnout_cache_")}, missing


def test_the_dashboard_is_whole():
    seen = dashboard()
    ids = [one["id"] for one in seen["panels"]]
    assert len(ids) == len(set(ids)) and len(panels()) >= 20
    taken = set()
    for panel in seen["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                 for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
        assert at["x"] + at["w"] <= 24
    for panel in panels():
        assert panel["title"] and panel["description"] and panel["targets"]


def test_prometheus_parses_every_expression_of_the_dashboard(tmp_path):
    rules = {"groups": [{"name": "dashboard", "rules": [
        {"record": f"panel:{i}", "expr": expr.replace("$instance", ".*")}
        for i, expr in enumerate(expressions())]}]}
    path = tmp_path / "dashboard.yml"  # JSON is YAML
    path.write_text(json.dumps(rules))
    done = promtool("check", "rules", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
