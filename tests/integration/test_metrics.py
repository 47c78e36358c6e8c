# SPDX-License-Identifier: Apache-2.0
"""The figures for Prometheus: who may read them, and that they are well-formed."""

import pytest

import rig
from rig import create_key

SCOPES = [("admin", 200), ("scanner", 403), ("analyst", 200), ("metrics", 200)]


@pytest.mark.parametrize("scope, status", SCOPES)
@pytest.mark.parametrize("path", ["/metrics", "/v1/performance"])
def test_figures_are_read_by_scope(secured, scope, status, path):
    with secured.stranger(create_key(secured, scope)) as client:
        assert client.get(path).status == status


@pytest.mark.parametrize("path", ["/metrics", "/v1/performance"])
def test_without_a_key_there_are_no_figures(secured, path):
    with secured.stranger() as client:
        assert client.get(path).status == 401


def samples(client):
    """{series: value}; a line that is no sample, or a series twice, fails."""
    answer = client.get("/metrics")
    assert answer.status == 200
    assert answer.type in ("text/plain", "application/openmetrics-text")
    found = {}
    for line in answer.body.decode().splitlines():
        if line and not line.startswith("#"):
            series, value = line.rsplit(" ", 1)
            assert series not in found, series
            found[series] = float(value)
    assert found
    return found


def test_the_metrics_are_prometheus_text(client):
    samples(client)


def test_no_counter_goes_back(client, venue):
    venue.person("t")
    before = samples(client)
    venue.admitted("t")
    after = samples(client)
    for series, value in before.items():
        if series.split("{")[0].endswith(("_total", "_count", "_bucket")):
            assert after[series] >= value, series


def test_the_metrics_name_nobody(client, venue):
    venue.person("metric-token-4711", name="Metricname", email="metricmail@example.org")
    venue.scan("metric-token-4711")
    text = rig.json.dumps(list(samples(client))).lower()
    for secret in ("metric-token", "metricname", "metricmail"):
        assert secret not in text
