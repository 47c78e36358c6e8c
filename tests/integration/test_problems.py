# SPDX-License-Identifier: Apache-2.0
"""Errors and the manners of HTTP: problem documents, methods, types, ids, health, OpenAPI."""

import json

import pytest

import rig
from rig import ok


def test_a_problem_has_its_shape(client):
    answer = client.get("/v1/events/nobody-made-this")
    assert answer.type == rig.PROBLEM
    body = answer.json
    assert body["status"] == 404
    assert body["code"] == "unknown_event"
    assert isinstance(body["title"], str) and isinstance(body["detail"], str)
    assert isinstance(body.get("type", "about:blank"), str)


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/v1/nothing", "/v2/events", "/v1/events/",
                                  "/v1/events/a/b/c", "/V1/events", "//v1/events",
                                  "/v1/events/x/checkins/y"])
def test_a_path_that_is_no_route_is_404(client, path):
    answer = client.get(path)
    if path == "/" and answer.status in (200, 302, 307, 308):
        return  # the dashboard may live here
    assert answer.status in (404, 405), answer
    assert answer.code in ("not_found", "unknown_event", "method_not_allowed")


@pytest.mark.parametrize("path, allowed", [
    ("/v1/events", {"GET", "POST"}), ("", {"GET", "PATCH"}), ("/gates", {"GET", "POST"}),
    ("/gates/g1", {"GET", "PATCH"}), ("/participants", {"GET", "POST"}), ("/checkins", {"POST"}),
    ("/participants/1", {"GET", "PATCH", "DELETE"}), ("/participants:import", {"POST"}),
    ("/checkins:batch", {"POST"}), ("/checkins/1:annul", {"POST"}), ("/attendance", {"GET"}),
    ("/stats", {"GET"}), ("/stats/timeline", {"GET"}),
])
def test_another_method_is_405_and_says_which_are_allowed(client, venue, path, allowed):
    url = path if path.startswith("/v1") else venue.path + path
    for method in ({"GET", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"} - allowed):
        answer = client.request(method, url, body=b"{}" if method != "GET" else None,
                                content_type="application/json")
        assert (answer.status, answer.code) == (405, "method_not_allowed"), method
        said = {name.strip() for name in answer.headers["Allow"].split(",")}
        assert allowed <= said and said - allowed <= {"HEAD", "OPTIONS"}


@pytest.mark.parametrize("path, body", [
    ("/v1/events", "{}"), ("/checkins", "{}"), ("/participants", "{}"), ("/gates", "{}"),
    ("/checkins:batch", "{}"), ("/participants:import", "x")])
@pytest.mark.parametrize("content_type", ["text/plain",
                         "application/xml", "multipart/form-data; boundary=x"])
def test_a_body_of_another_type_is_415(client, venue, path, body, content_type):
    url = path if path.startswith("/v1") else venue.path + path
    answer = client.post(url, body, content_type)
    assert (answer.status, answer.code) == (415, "unsupported_media_type")


def test_json_with_a_charset_is_json(client, venue):
    venue.person("t")
    answer = client.post(f"{venue.path}/checkins", json.dumps({"token": "t", "gate": "g1"}),
                         "application/json; charset=utf-8")
    assert ok(answer)["verdict"] == "admitted"


def test_the_request_id_of_the_client_comes_back(client):
    assert client.get("/livez", X_Request_Id="abc-123_4.5").headers["X-Request-Id"] == "abc-123_4.5"


@pytest.mark.parametrize("sent", ["x" * 65, "a b", "a;b", "<script>"])
def test_a_strange_request_id_is_replaced(client, sent):
    got = client.get("/livez", X_Request_Id=sent).headers["X-Request-Id"]
    assert got and got != sent


def test_every_answer_has_a_request_id_of_its_own(client):
    assert len({client.get("/livez").headers["X-Request-Id"] for _ in range(10)}) == 10


def test_head_is_get_without_a_body(client, venue):
    for path in ("/livez", venue.path):
        whole, head = client.get(path), client.request("HEAD", path)
        if head.status == 405:
            continue
        assert head.status == whole.status
        assert head.body == b""
        assert head.headers["Content-Length"] in (None, str(len(whole.body)))


def test_health_answers(client):
    assert client.get("/livez").status == 200
    assert client.get("/readyz").status == 200


def test_the_openapi_document_names_every_route(client):
    answer = client.get("/openapi.json")
    assert answer.status == 200
    document = answer.json
    assert document["openapi"].startswith("3.1")
    paths = set(document["paths"])
    base = "" if "/v1/events" in paths else "/v1"
    routes = ["/events", "/events/{event}", "/events/{event}/gates", "/events/{event}/gates/{gate}",
              "/events/{event}/participants", "/events/{event}/participants/{id}",
              "/events/{event}/participants:import", "/events/{event}/checkins",
              "/events/{event}/checkins:batch", "/events/{event}/checkins/{record_id}:annul",
              "/events/{event}/attendance", "/events/{event}/stats",
              "/events/{event}/stats/timeline"]
    prefix = "/v1" if base == "" else ""
    missing = [route for route in routes if prefix + route not in paths]
    assert missing == []


def test_every_reference_in_the_openapi_document_resolves(client):
    document = client.get("/openapi.json").json

    def walk(node):
        if isinstance(node, dict):
            for name, value in node.items():
                if name == "$ref":
                    target = document
                    for part in value.removeprefix("#/").split("/"):
                        target = target[part.replace("~1", "/").replace("~0", "~")]
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(document)


def test_a_percent_encoded_code_is_the_same_event(client, venue):
    encoded = "".join(f"%{ord(letter):02X}" for letter in venue.code)
    assert ok(client.get(f"/v1/events/{encoded}"))["code"] == venue.code


@pytest.mark.parametrize("path", ["/v1/events/%00", "/v1/events/%", "/v1/events/%zz",
                                  "/v1/events/..%2f..",
                                  "/v1/events/../../etc/passwd", "/v1/events/%c3%28"])
def test_a_strange_path_is_never_an_error_of_the_server(client, path):
    assert client.get(path).status in (400, 404)


def test_a_long_url_is_414_431_or_400(client):
    assert client.get("/v1/events/" + "x" * 100000).status in (400, 404, 414, 431)


def test_security_fields_are_set(client):
    answer = client.get("/livez")
    assert answer.headers.get("X-Content-Type-Options", "nosniff") == "nosniff"
    assert "turnout" in (answer.headers.get("Server") or "turnout")
