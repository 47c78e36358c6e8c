# SPDX-License-Identifier: Apache-2.0
"""Kubernetes, Nomad and Docker's engine as far as scaling asks them, played over HTTP.

Replies are those that the real ones give: Kubernetes 1.20 and Docker 20.10 as they were recorded,
Nomad as its documentation says. Each keeps its state, so that a change is seen by the next look.
"""

import http.server
import json
import os
import pathlib
import socketserver
import threading
import urllib.parse


class Answer(Exception):
    def __init__(self, status, body):
        super().__init__(status)
        self.status, self.body = status, body


class Platform:
    """One server; `requests` keeps what it was asked, `fault` is answered instead of the truth."""

    def __init__(self, socket_path=None):
        self.requests = []
        self.fault = None        # (status, text)
        self.silent = False      # takes requests and answers nothing
        self.released = threading.Event()
        platform = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length).decode()
                platform.requests.append((self.command, self.path, dict(self.headers), body))
                if platform.silent:
                    platform.released.wait(60)
                if platform.released.is_set():
                    self.close_connection = True
                    return
                try:
                    if platform.fault:
                        raise Answer(*platform.fault)
                    status, answer = 200, platform.answer(self.command, self.path, self.headers,
                                                          body)
                except Answer as other:
                    status, answer = other.status, other.body
                text = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PATCH = handle_one

            def address_string(self):
                return "-"

            def log_message(self, *_):
                pass

        class Threaded(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True

        class Local(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True
            server_name, server_port = "docker", 0

            def get_request(self):
                link, _ = super().get_request()
                return link, ("-", 0)

        if socket_path:
            pathlib.Path(socket_path).unlink(missing_ok=True)
            self.server = Local(str(socket_path), Handler)
        else:
            self.server = Threaded(("127.0.0.1", 0), Handler)
            self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def stop(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()


class Kubernetes(Platform):
    def __init__(self, kind="deployment", replicas=2, token="good"):
        super().__init__()
        self.kind, self.replicas, self.token = kind, replicas, token
        self.rolling, self.autoscalers, self.marked = False, [], []

    def status(self, code, reason):
        return Answer(code, {"kind": "Status", "status": "Failure", "reason": reason,
                             "message": f"{reason} as the API server says it", "code": code})

    def answer(self, method, path, headers, body):
        if headers.get("Authorization") != f"Bearer {self.token}":
            raise self.status(401, "Unauthorized")
        path = path.partition("?")[0]
        base = f"/apis/apps/v1/namespaces/door/{self.kind}s/checkin"
        if (method, path) == ("GET", base):
            updated = 0 if self.rolling else self.replicas
            return {"metadata": {"generation": 7, "resourceVersion": "122"},
                    "spec": {"replicas": self.replicas},
                    "status": {"replicas": self.replicas, "readyReplicas": self.replicas - 1,
                               "updatedReplicas": updated, "observedGeneration": 7}}
        if (method, path) == ("GET", "/apis/autoscaling/v1/namespaces/door/"
                              "horizontalpodautoscalers"):
            return {"items": self.autoscalers}
        if (method, path) == ("PATCH", base + "/scale"):
            return self.patch(headers, json.loads(body))
        if method == "PATCH" and path.startswith("/api/v1/namespaces/door/pods/"):
            assert headers["Content-Type"] == "application/merge-patch+json"
            self.marked.append(path.rpartition("/")[2])
            return {}
        raise self.status(404, "NotFound")

    def patch(self, headers, operations):
        if headers["Content-Type"] != "application/json-patch+json":
            raise self.status(415, "UnsupportedMediaType")
        for operation in operations:
            assert operation["path"] == "/spec/replicas"
            if operation["op"] == "test" and operation["value"] != self.replicas:
                raise self.status(422, "Invalid")
            if operation["op"] == "replace":
                self.replicas = operation["value"]
        return {"kind": "Scale", "spec": {"replicas": self.replicas}}


class Nomad(Platform):
    def __init__(self, count=2):
        super().__init__()
        self.count, self.stopped, self.deploying = count, False, False

    def answer(self, method, path, headers, body):
        if headers.get("X-Nomad-Token") != "good":
            raise Answer(403, "Permission denied")
        if path != "/v1/job/checkin/scale?namespace=default":
            raise Answer(404, "job not found")
        if method == "GET":
            return {"JobModifyIndex": 18, "JobStopped": self.stopped, "TaskGroups": {
                "web": {"Desired": self.count, "Placed": self.count, "Running": self.count,
                        "Healthy": self.count - 1, "Unhealthy": 0}}}
        if self.deploying:
            raise Answer(400, "job scaling blocked due to active deployment")
        wanted = json.loads(body)
        if wanted["Target"] != {"Group": "web"} or not wanted["Message"]:
            raise Answer(400, "must specify message or error")
        self.count = wanted["Count"]
        return {"EvalID": "e", "EvalCreateIndex": 45, "Index": 45, "JobModifyIndex": 44,
                "Warnings": ""}


class Docker(Platform):
    # fields that nobody here knows, numbers that a parser would write otherwise, odd spacing
    SPEC = ('{"Name":"checkin","Labels":{},"TaskTemplate":{"Odd":1.50,"Big":12345678901234567890,'
            '"Text":"Replicas\\": 9"} , "Mode" : {"Replicated":{ "Replicas": %d }},"Future":[1,2]}')

    def __init__(self, socket_path, replicas=2):
        super().__init__(socket_path)
        self.spec, self.version, self.state = self.SPEC % replicas, 13, "completed"

    def replicas(self):
        return json.loads(self.spec)["Mode"]["Replicated"]["Replicas"]

    def answer(self, method, path, headers, body):
        url = urllib.parse.urlsplit(path)
        if (method, url.path) == ("GET", "/v1.41/services/checkin"):
            return ('{"ID":"abc","Version":{"Index":%d},"Spec":%s,"UpdateStatus":{"State":"%s"}}'
                    % (self.version, self.spec, self.state))
        if (method, url.path) == ("GET", "/v1.41/tasks"):
            filters = json.loads(urllib.parse.parse_qs(url.query)["filters"][0])
            assert filters == {"service": ["checkin"], "desired-state": ["running"]}
            return [{"Status": {"State": "running"}}] * (self.replicas() - 1) + \
                [{"Status": {"State": "starting"}}]
        if (method, url.path) == ("POST", "/v1.41/services/checkin/update"):
            if urllib.parse.parse_qs(url.query)["version"] != [str(self.version)]:
                raise Answer(500, {"message": "rpc error: code = Unknown desc = update out of "
                                              "sequence"})
            json.loads(body)
            self.spec, self.version = body, self.version + 1
            return {"Warnings": None}
        raise Answer(404, {"message": "service nope not found"})


def write_program(path, text):
    path.write_text(text)
    os.chmod(path, 0o755)
    return path
