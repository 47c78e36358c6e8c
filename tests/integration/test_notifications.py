# SPDX-License-Identifier: Apache-2.0
"""Notices as their receivers get them: real HTTP and SMTP receivers on the loopback, and a real
Alertmanager."""

import contextlib
import hashlib
import hmac
import json
import shutil
import sqlite3
import subprocess
import urllib.request

import pytest

import rig
from receivers import Hook, Mailbox, free_port, make_certificate
from rig import create_key, eventually

WAIT_S = 60
BUSY = """[alert.busy]
metric = connections_total
threshold = 0
severity = critical
"""
QUICK = """group_wait = 0s
group_interval = 1s
"""


def receiver(name, kind, url, more=""):
    return f"[notify.{name}]\ntype = {kind}\nurl = {url}\n{QUICK}{more}"


def config(folder, *parts):
    path = folder / "turnout.ini"
    path.write_text("".join(parts))
    return "--config", str(path)


def notifications(client, **query):
    answer = client.get("/v1/notifications" + rig.query(**query))
    assert answer.status == 200, answer
    return answer.json


def rows_become(server, want):
    with server.client() as client:
        return eventually(lambda: notifications(client)["items"], want, WAIT_S)


@contextlib.contextmanager
def asked(server):
    """A connection that stays open: the rule of these tests fires."""
    with server.client() as client:
        client.post("/v1/events", {"code": "e1", "name": "One"})
        yield client


# Webhook ---------------------------------------------------------------------------------------

def test_a_webhook_gets_signed_json_and_the_log_tells_it(make_server, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("very secret\n")
    with Hook() as hook:
        server = make_server(*config(tmp_path, BUSY, receiver(
            "team", "webhook", hook.url, f"secret = file:{secret}\n")))
        with asked(server):
            [first] = hook.kept.wait(1)[:1]
        assert first["path"] == "/hook"
        headers = {name.lower(): value for name, value in first["headers"].items()}
        assert headers["content-type"] == "application/json"
        parts = dict(part.split("=", 1) for part in headers["x-turnout-signature"].split(","))
        signed = parts["t"].encode() + b"\n" + first["body"]
        assert parts["v1"] == hmac.new(b"very secret", signed, hashlib.sha256).hexdigest()
        document = json.loads(first["body"])
        assert document["version"] == 1 and headers["x-turnout-id"] == document["id"]
        assert document["status"] == "firing" and document["receiver"] == "team"
        [alert] = document["alerts"]
        assert (alert["rule"], alert["severity"], alert["state"]) == ("busy", "critical", "firing")
        assert alert["text"].startswith("[critical] busy firing: connections_total ")
        [row] = rows_become(server, lambda rows: rows and rows[-1]["state"] == "delivered")[-1:]
        assert row["key"] == document["id"] and row["attempts"] == 1 and row["notice"] == document
        with server.client() as client:
            [one] = notifications(client)["receivers"]
        assert one["receiver"] == "team" and one["type"] == "webhook" and one["delivered"] >= 1
        assert one["trouble"] is None and one["delivered_at"]
        assert "very secret" not in server.log_path.read_text()


def test_what_resolves_is_told(make_server, tmp_path):
    with Hook() as hook:
        server = make_server(*config(tmp_path, BUSY.replace("threshold = 0", "threshold = 1"),
                                     receiver("team", "webhook", hook.url)))
        with asked(server), server.client() as second:
            second.get("/livez")
            hook.kept.wait(1)
        told = eventually(lambda: [json.loads(one["body"])["status"] for one in hook.kept.all()],
                          lambda statuses: "resolved" in statuses, WAIT_S)
        assert told[0] == "firing"


def test_a_receiver_that_fails_is_tried_again_with_the_same_id(make_server, tmp_path):
    with Hook(answer=503) as hook:
        server = make_server(*config(tmp_path, BUSY, receiver("team", "webhook", hook.url)))
        with asked(server):
            hook.kept.wait(2)
            rows_become(server, lambda rows: rows and rows[-1]["state"] == "waiting" and
                        rows[-1]["detail"] == "HTTP 503")
            hook.answer = 204
            eventually(hook.kept.all, lambda all_: all_[-1]["answer"] == 204, WAIT_S)
        [row] = rows_become(server, lambda rows: rows[-1]["state"] == "delivered")[-1:]
        tries = [one for one in hook.kept.all() if json.loads(one["body"])["id"] == row["key"]]
        assert row["attempts"] == len(tries) >= 3
        assert len({one["body"] for one in tries}) == 1


def test_what_is_refused_is_told_once_and_the_reason_kept(make_server, tmp_path):
    with Hook(answer=410) as hook:
        server = make_server(*config(tmp_path, BUSY, receiver("team", "webhook", hook.url)))
        with asked(server):
            [row] = rows_become(server, lambda rows: rows and
                                rows[-1]["state"] == "refused")[-1:]
        assert row["detail"] == "HTTP 410" and row["attempts"] == 1


def test_a_receiver_that_is_gone_or_hangs_holds_up_nobody(make_server, tmp_path):
    with Hook(answer="hang") as stuck, Hook() as well:
        server = make_server(*config(
            tmp_path, BUSY,
            receiver("gone", "webhook", f"http://127.0.0.1:{free_port()}/"),
            receiver("stuck", "webhook", stuck.url, "timeout = 1m\n"),
            receiver("well", "webhook", well.url)))
        with asked(server) as client:
            stuck.kept.wait(1)
            well.kept.wait(1)
            assert client.get("/v1/alerts").status == 200
            state = eventually(lambda: {one["receiver"]: one
                                        for one in notifications(client)["receivers"]},
                               lambda state: state["gone"]["trouble"] and
                               state["well"]["delivered"], WAIT_S)
            assert state["stuck"]["queued"] >= 1 and state["stuck"]["delivered"] == 0
            assert state["gone"]["trouble"].startswith("gone: ")  # not its address
        server.stop()  # which does not wait for the one that hangs


def test_what_was_under_way_when_the_node_died_is_told_by_the_next(make_server, tmp_path):
    with Hook(answer=503) as hook:
        server = make_server(*config(tmp_path, BUSY, receiver("team", "webhook", hook.url)))
        with asked(server):
            [row] = rows_become(server, lambda rows: rows and rows[-1]["detail"])[-1:]
        server.kill()
        hook.answer = 200
        server.start()
        done = rows_become(server, lambda rows: [one for one in rows if one["id"] == row["id"] and
                                                 one["state"] == "delivered"])
        assert row["key"] in [json.loads(one["body"])["id"] for one in hook.kept.all()
                              if one["answer"] == 200]
        assert done


def test_what_was_under_way_long_ago_is_no_news_any_more(make_server, tmp_path):
    with Hook(answer=503) as hook:
        server = make_server(*config(tmp_path, BUSY, receiver("team", "webhook", hook.url)))
        with asked(server):
            [row] = rows_become(server, lambda rows: rows and rows[-1]["detail"])[-1:]
        server.kill()
        with contextlib.closing(sqlite3.connect(server.store)) as db, db:
            db.execute("UPDATE notices SET at = at - 3600000")  # give_up
        hook.answer = 200
        server.start()
        [ended] = [one for one in rows_become(server, lambda rows: rows and
                                              rows[-1]["state"] != "waiting")
                   if one["id"] == row["id"]]
        assert ended["state"] == "given up" and "give_up has passed" in ended["detail"]
        with asked(server):  # it fires again: that is told anew
            eventually(lambda: [json.loads(one["body"]) for one in hook.kept.all()
                                if one["answer"] == 200],
                       lambda told: any(one["status"] == "firing" for one in told) and
                       row["key"] not in [one["id"] for one in told], WAIT_S)


def test_an_address_that_is_a_secret_is_never_told(make_server, tmp_path):
    with Hook(answer=503) as hook:
        folder = tmp_path / "secrets"
        folder.mkdir()
        (folder / "slack").write_text(hook.url + "/T0/SECRET-PART\n")
        server = make_server(
            *config(tmp_path, BUSY, receiver("a", "slack", f"file:{folder}/slack"),
                    receiver("b", "slack", "env:HOOK_ADDRESS")),
            env={"HOOK_ADDRESS": hook.url + "/T0/OTHER-SECRET"})
        with asked(server) as client:
            hook.kept.wait(2)
            rows_become(server, lambda rows: len(rows) >= 2 and
                        all(one["detail"] for one in rows[-2:]))
            shown = client.get("/v1/notifications").body.decode()
        assert {one["path"] for one in hook.kept.all()} >= {"/hook/T0/SECRET-PART",
                                                            "/hook/T0/OTHER-SECRET"}
        for text in shown, server.log_path.read_text():
            assert "SECRET-PART" not in text and "OTHER-SECRET" not in text


def test_a_secret_that_is_not_there_is_said_and_used_when_it_is(make_server, tmp_path):
    secret = tmp_path / "late"
    with Hook() as hook:
        server = make_server(*config(tmp_path, BUSY, receiver(
            "team", "webhook", hook.url, f"secret = file:{secret}\n")))
        with asked(server):
            [row] = rows_become(server, lambda rows: rows and rows[-1]["detail"])[-1:]
            assert row["detail"].startswith(f"cannot open {secret}") and hook.kept.all() == []
            secret.write_text("k\n")
            hook.kept.wait(1)


# Slack and languages ---------------------------------------------------------------------------

def test_slack_gets_a_text_in_korean(make_server, tmp_path):
    with Hook() as hook:
        server = make_server(*config(tmp_path, BUSY, receiver("team", "slack", hook.url,
                                                              "lang = ko\n")))
        with asked(server):
            [first] = hook.kept.wait(1)[:1]
    body = json.loads(first["body"])
    assert list(body) == ["text"]
    assert body["text"].startswith("*[심각] busy 발생*\n[심각] busy 발생: connections_total ")
    assert "&gt; 0" in body["text"]


# Alertmanager ----------------------------------------------------------------------------------

@contextlib.contextmanager
def alertmanager(folder):
    program = shutil.which("prometheus-alertmanager")
    assert program, "tools/setup test installs prometheus-alertmanager"
    port = free_port()
    (folder / "alertmanager.yml").write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    with open(folder / "alertmanager.log", "wb") as log:
        process = subprocess.Popen(
            [program, f"--config.file={folder}/alertmanager.yml",
             f"--storage.path={folder}/alertmanager", "--cluster.listen-address=",
             f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def ask_alertmanager(url):
    try:
        with urllib.request.urlopen(url + "/api/v2/alerts?active=true") as answer:
            return json.load(answer)
    except OSError:
        return None


def test_a_real_alertmanager_knows_the_alert_and_that_it_resolved(make_server, tmp_path):
    with alertmanager(tmp_path) as url:
        eventually(lambda: ask_alertmanager(url), lambda alerts: alerts is not None, WAIT_S)
        server = make_server(*config(
            tmp_path, BUSY.replace("threshold = 0", "threshold = 1"),
            "[alert.node]\nmetric = node_connections\nthreshold = 1\n",
            receiver("am", "alertmanager", url)))
        with asked(server), server.client() as second:
            second.get("/livez")
            alerts = eventually(lambda: ask_alertmanager(url), lambda alerts: len(alerts) == 2,
                                WAIT_S)
        known = {one["labels"]["alertname"]: one for one in alerts}
        assert known["busy"]["labels"] == {"alertname": "busy", "service": "turnout",
                                           "severity": "critical"}
        assert known["node"]["labels"]["node"].endswith(f":{server.port}")
        assert known["busy"]["annotations"]["summary"].startswith("[critical] busy firing: ")
        assert known["busy"]["startsAt"] < known["busy"]["endsAt"]
        eventually(lambda: ask_alertmanager(url), lambda alerts: alerts == [], WAIT_S)
        rows_become(server, lambda rows: all(one["state"] == "delivered" for one in rows))


# Mail ------------------------------------------------------------------------------------------

def mail(port, more="", scheme="smtp", host="127.0.0.1"):
    return receiver("desk", "email", f"{scheme}://{host}:{port}",
                    "from = turnout@example.org\nto = a@example.org, b@example.org\n" + more)


def test_mail_arrives_whole(make_server, tmp_path):
    with Mailbox() as box:
        server = make_server(*config(tmp_path, BUSY, mail(box.port, "tls = none\nlang = ko\n")))
        with asked(server):
            [one] = box.kept.wait(1)[:1]
        rows_become(server, lambda rows: rows[-1]["state"] == "delivered")
    assert one["from"] == "turnout@example.org"
    assert one["to"] == ["a@example.org", "b@example.org"]
    message = one["message"]
    assert message["Subject"] == "[심각] busy 발생"
    assert message["To"] == "a@example.org, b@example.org"
    assert message["Auto-Submitted"] == "auto-generated" and message["Date"]
    assert message["Message-ID"].startswith("<n-") and message.get_content_type() == "text/plain"
    text = message.get_content()
    assert text.startswith("[심각] busy 발생: connections_total ") and server.url in text
    assert all(len(line) <= 80 for line in one["raw"].split(b"\r\n"))


def test_mail_goes_over_tls_with_a_login(make_server, tmp_path):
    certificate = make_certificate(tmp_path)
    password = tmp_path / "password"
    password.write_text("pass word\n")
    with Mailbox(login=("turnout", "pass word"), certificate=certificate) as box:
        server = make_server(*config(tmp_path, BUSY, mail(
            box.port, f"ca_file = {certificate[1]}\nuser = turnout\npassword = file:{password}\n",
            host="localhost")))
        with asked(server):
            [one] = box.kept.wait(1)[:1]
        assert one["is_safe"] and one["user"] == "turnout"
        assert "pass word" not in server.log_path.read_text()


def test_mail_is_not_sent_in_the_clear_when_tls_is_required(make_server, tmp_path):
    with Mailbox(login=("turnout", "x")) as box:
        password = tmp_path / "password"
        password.write_text("x\n")
        server = make_server(*config(tmp_path, BUSY, mail(
            box.port, f"user = turnout\npassword = file:{password}\n")))
        with asked(server):
            [row] = rows_become(server, lambda rows: rows and rows[-1]["detail"])[-1:]
        assert row["state"] == "waiting" and box.kept.all() == []


def test_a_server_that_does_not_take_the_address_is_not_asked_again(make_server, tmp_path):
    with Mailbox(reply="550 nobody here") as box:
        server = make_server(*config(tmp_path, BUSY, mail(box.port, "tls = none\n")))
        with asked(server):
            [row] = rows_become(server, lambda rows: rows and
                                rows[-1]["state"] == "refused")[-1:]
        assert "550" in row["detail"] and row["attempts"] == 1


def test_a_server_that_is_busy_is_asked_again(make_server, tmp_path):
    with Mailbox(reply="451 later") as box:
        server = make_server(*config(tmp_path, BUSY, mail(box.port, "tls = none\n")))
        with asked(server):
            rows_become(server, lambda rows: rows and "451" in rows[-1]["detail"])
            box.reply = "250 ok"
            box.kept.wait(1)
        rows_become(server, lambda rows: rows[-1]["state"] == "delivered")


# The log and its keys --------------------------------------------------------------------------

def test_the_log_comes_in_pages_and_survives(make_server, tmp_path):
    with Hook() as hook:
        server = make_server(*config(tmp_path, BUSY.replace("threshold = 0", "threshold = 1"),
                                     receiver("team", "webhook", hook.url)))
        for round_ in range(3):
            with asked(server), server.client() as second:
                second.get("/livez")
                hook.kept.wait(2 * round_ + 1)
            hook.kept.wait(2 * round_ + 2)
        rows = rows_become(server, lambda rows: len(rows) >= 6 and
                           all(one["state"] == "delivered" for one in rows))
        with server.client() as client:
            seen, cursor = [], None
            while not seen or cursor:
                page = notifications(client, limit=2, **({"cursor": cursor} if cursor else {}))
                seen += [one["id"] for one in page["items"]]
                cursor = page["next"]
            assert seen == [one["id"] for one in rows] == sorted(seen, key=int, reverse=True)
            assert client.get("/v1/notifications?cursor=x").code == "invalid_cursor"
        server.restart()
        with server.client() as client:
            kept = {one["id"] for one in notifications(client)["items"]}
        assert kept >= set(seen)


@pytest.mark.parametrize("scope, status", [("admin", 200), ("analyst", 200), ("metrics", 200),
                                           ("scanner", 403)])
def test_who_may_see_notifications(secured, scope, status):
    with secured.stranger(create_key(secured, scope)) as client:
        assert client.get("/v1/notifications").status == status
    with secured.stranger() as client:
        assert client.get("/v1/notifications").status == 401


def test_without_receivers_there_is_nothing_to_see(server):
    with server.client() as client:
        assert notifications(client) == {"receivers": [], "items": [], "next": None}


# Configuration ---------------------------------------------------------------------------------

@pytest.mark.parametrize("lines, said", [
    ("url = http://a/", "turnout.ini:2: [notify.x] needs a type"),
    ("type = webhook", "turnout.ini:2: [notify.x] needs url = http://"),
    ("type = webhook\nurl = ftp://a/", "turnout.ini:3: [notify.x] needs url"),
    ("type = pager\nurl = http://a/", "turnout.ini:2: notify.x.type = pager: expected one of"),
    ("type = webhook\nurl = http://a/\nsecret = plain", "turnout.ini:4: [notify.x] secret says"),
    ("type = email\nurl = http://a/\nfrom = a@b\nto = c@d", "turnout.ini:3: [notify.x] needs url"),
    ("type = email\nurl = smtp://a:25\nfrom = a@b\nto = nobody", "turnout.ini:5: [notify.x] needs"
     " to"),
    ("type = email\nurl = smtp://a:25\nfrom = a@b> x\nto = c@d", "turnout.ini:4: [notify.x] needs"
     " from"),
    ("type = email\nurl = smtp://a:25\nfrom = a@b\nto = c@d\nuser = u", "[notify.x] user and"
     " password go together"),
    ("type = slack\nurl = http://a/\nrepeat_interval = 10s\ngroup_interval = 1m",
     "turnout.ini:4: [notify.x] repeat_interval must not be shorter"),
    ("type = slack\nurl = http://a/\nretries = 5", "unknown setting notify.x.retries"),
])
def test_a_receiver_that_makes_no_sense_is_refused_with_its_line(tmp_path, lines, said):
    path = tmp_path / "turnout.ini"
    path.write_text(f"[notify.x]\n{lines}\n")
    done = rig.run("doctor", "--config", str(path))
    assert done.returncode == 78 and said in done.stderr + done.stdout, done.stderr + done.stdout


def test_a_secret_in_the_file_is_not_repeated(tmp_path):
    path = tmp_path / "turnout.ini"
    path.write_text("[notify.x]\ntype = slack\nurl = http://a/SECRET\x01\nsecret = SECRET\n")
    done = rig.run("doctor", "--config", str(path))
    assert done.returncode == 78 and "SECRET" not in done.stderr + done.stdout
