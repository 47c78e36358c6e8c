# SPDX-License-Identifier: Apache-2.0
"""The dashboard as a browser gets it: its files, its login, its session; over real HTTP."""

import gzip
import http.cookies
import re

import pytest

import rig


def assets_of(page):
    return re.findall(r'(?:src|href)="(/assets/[^"]+)"', page)


@pytest.fixture(scope="module")
def page(secured):
    with secured.client() as link:
        return link.get("/").body.decode()


def test_the_page_comes_without_a_key_and_allows_its_own_files_alone(secured, page):
    with secured.client() as link:
        answer = link.get("/")
    assert answer.status == 200 and answer.type == "text/html"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'self';") and "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy and "http" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-cache"
    assert "<style" not in page and not re.search(r"<script(?![^>]*\ssrc=)", page)
    assert not re.search(r"\son\w+=|\sstyle=", page) and "//" not in page


def test_every_file_of_the_page_is_there_with_its_type_and_kept_for_ever(secured, page):
    types = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
    assets = assets_of(page)
    assert {path.rsplit(".", 1)[1] for path in assets} == set(types)
    with secured.client() as link:
        for path in assets:
            answer = link.get(path)
            assert answer.status == 200 and answer.type == types[path.rsplit(".", 1)[1]], path
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert b"https://" not in answer.body.replace(b"https://github.com", b""), path


def test_gzip_is_sent_to_who_takes_it_and_says_the_same(secured, page):
    with secured.client() as link:
        for path in ["/", *assets_of(page)]:
            plain = link.get(path)
            packed = link.get(path, Accept_Encoding="br, gzip;q=0.5")
            assert plain.headers.get("content-encoding") is None
            assert plain.headers["vary"] == packed.headers["vary"] == "accept-encoding"
            if packed.headers.get("content-encoding") == "gzip":
                assert len(packed.body) < len(plain.body)
                assert gzip.decompress(packed.body) == plain.body
                assert packed.headers["etag"] != plain.headers["etag"]
            else:
                assert len(plain.body) < 1000, path


def test_the_whole_page_is_below_150_kilobytes_compressed(secured, page):
    total = 0
    with secured.client() as link:
        for path in ["/", *assets_of(page)]:
            total += len(link.get(path, Accept_Encoding="gzip").body)
    assert 1000 < total < 150_000


def test_what_is_known_is_not_sent_again(secured, page):
    with secured.client() as link:
        for path in ["/", *assets_of(page)]:
            for encoding in ("identity", "gzip"):
                etag = link.get(path, Accept_Encoding=encoding).headers["etag"]
                again = link.get(path, Accept_Encoding=encoding, If_None_Match=f'"x", W/{etag}')
                assert again.status == 304 and again.body == b""
                assert again.headers["etag"] == etag
                assert link.get(path, If_None_Match='"x"').status == 200


def test_head_says_what_get_would_without_a_body(secured, page):
    with secured.client() as link:
        for path in ["/", *assets_of(page)]:
            get, head = link.get(path), link.request("HEAD", path)
            assert head.status == 200 and head.body == b""
            for name in ("content-length", "content-type", "etag"):
                assert head.headers[name] == get.headers[name]


@pytest.mark.parametrize("path", ["/assets/no.js", "/assets/", "/assets", "/index.html",
                                  "/assets/..%2findex.html", "/assets/%2e%2e/index.html",
                                  "/assets/" + "a" * 300 + ".js", "//", "/favicon.ico"])
def test_other_paths_are_not_files(secured, path):
    with secured.client() as link:
        answer = link.get(path)
    assert answer.status == 404 and answer.code == "not_found"


def test_other_methods_are_refused(secured):
    with secured.client() as link:
        answer = link.post("/", {})
    assert answer.status == 405 and answer.headers["allow"] == "GET, HEAD"


# The session ----------------------------------------------------------------------------------

class Browser:
    """A client that keeps the cookie it is given."""

    def __init__(self, link):
        self.link = link
        self.jar = http.cookies.SimpleCookie()

    def log_in(self, key, **headers):
        answer = self.link.post("/v1/session", {"key": key}, **headers)
        self._keep(answer)
        return answer

    def log_out(self):
        answer = self.link.delete("/v1/session", Cookie=self.cookie)
        self._keep(answer)
        return answer

    def _keep(self, answer):
        for field in answer.headers.get_all("set-cookie") or []:
            self.jar.load(field)

    @property
    def morsel(self):
        return self.jar["turnout_session"]

    @property
    def cookie(self):
        return f"turnout_session={self.morsel.value}"

    def get(self, path):
        return self.link.get(path, Cookie=self.cookie)


@pytest.fixture
def browser(secured):
    with secured.stranger() as link:
        yield Browser(link)


def test_a_key_is_shown_once_and_a_cookie_stands_for_it(secured, browser):
    key = rig.create_key(secured, "analyst")
    answer = browser.log_in(key)
    assert answer.status == 200
    who = answer.json
    assert who["auth"] == "required" and who["scope"] == "analyst" and who["event"] is None
    assert key.startswith(f"tk_{who['key']}.")
    assert 0 < rig.parse_time(who["ends_at"]) - rig.now_s() <= 12 * 3600
    morsel = browser.morsel
    assert morsel["httponly"] and morsel["samesite"] == "Strict" and morsel["path"] == "/"
    assert not morsel["secure"] and int(morsel["max-age"]) == 12 * 3600
    assert key.split(".")[1] not in morsel.value
    assert browser.get("/v1/performance").status == 200
    assert browser.get("/v1/session").json == who


def test_a_session_reads_and_changes_nothing(secured, browser):
    browser.log_in(rig.create_key(secured, "admin"))
    for method, path in [("POST", "/v1/events"), ("PATCH", "/v1/events/x"),
                         ("POST", "/v1/events/x/checkins"),
                         ("DELETE", "/v1/events/x/participants/1")]:
        body = None if method == "DELETE" else {"code": "x"}
        answer = browser.link.request(method, path, body, Cookie=browser.cookie)
        assert answer.status == 401, (method, path)


def test_a_revoked_key_ends_its_session(secured, browser):
    key = rig.create_key(secured, "analyst")
    browser.log_in(key)
    assert browser.get("/v1/performance").status == 200
    done = rig.run("key", "revoke", key[3:].split(".")[0], "--store", f"sqlite:{secured.store}")
    assert done.returncode == 0, done.stderr
    rig.eventually(lambda: browser.get("/v1/performance").status, lambda status: status == 401)


def test_a_logout_takes_the_cookie_back(secured, browser):
    browser.log_in(rig.create_key(secured, "analyst"))
    assert browser.log_out().status == 204
    assert browser.morsel.value == "" and browser.morsel["max-age"] == "0"
    assert browser.get("/v1/performance").status == 401


def test_wrong_keys_are_limited_as_everywhere(secured, browser):
    statuses = [browser.log_in("tk_aaaa.bbbb").status for _ in range(60)]
    assert statuses[0] == 401 and statuses[-1] == 429
    assert set(statuses) == {401, 429}


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Origin": "null"},
                                     {"Sec_Fetch_Site": "cross-site"},
                                     {"Sec_Fetch_Site": "same-site"}])
def test_a_page_of_another_site_logs_nobody_in(secured, browser, headers):
    answer = browser.log_in(rig.create_key(secured, "analyst"), **headers)
    assert answer.status == 403 and answer.code == "cross_site"
    assert answer.headers.get("set-cookie") is None


def test_the_cookie_is_kept_to_tls_when_the_browser_speaks_it(secured, browser):
    key = rig.create_key(secured, "analyst")
    origin = f"https://{secured.host}:{secured.port}"
    assert browser.log_in(key, Origin=origin).status == 200
    assert browser.morsel["secure"]


def test_a_session_lasts_as_long_as_is_configured_and_beyond_a_restart(make_server):
    own = make_server(auth="required", env={"TURNOUT_AUTH_SESSION": "90s"})
    key = rig.create_key(own, "analyst")
    with own.client() as link:
        browser = Browser(link)
        browser.log_in(key)
        assert browser.morsel["max-age"] == "90"
    own.restart()
    with own.client() as link:
        browser.link = link
        assert browser.get("/v1/performance").status == 200


def test_without_keys_nobody_logs_in(server):
    with server.client() as link:
        assert link.get("/v1/session").json == {
            "auth": "off", "key": None, "scope": "admin", "event": None, "ends_at": None}
        answer = link.post("/v1/session", {"key": "tk_a.b"})
        assert answer.status == 200 and answer.headers.get("set-cookie") is None


# Seconds ----------------------------------------------------------------------------------

def test_seconds_are_told_in_order_with_what_was_done_in_them(server):
    with server.client() as link:
        for _ in range(20):
            link.get("/v1/events")
        rows = rig.eventually(
            lambda: link.get("/v1/performance/history?step=1").json["items"],
            lambda items: sum(row["requests"] for row in items) >= 20)
        times = [rig.parse_time(row["at"]) for row in rows]
        assert times == sorted(times) and len(set(times)) == len(times) and len(rows) < 300
        busy = [row for row in rows if row["requests"] > 0]
        assert all(row["api_avg_ms"] > 0 for row in busy)
        assert all(row["api_avg_ms"] is None for row in rows if row["requests"] == 0)
        second = link.get("/v1/performance").json["second"]
        assert set(second) == set(rows[-1])
        assert link.get("/v1/performance/history").json["step_s"] == 60
        assert link.get("/v1/performance/history?step=60").json["step_s"] == 60
        answer = link.get("/v1/performance/history?step=5")
        assert answer.status == 400 and answer.field == "step"
