"""Schemathesis makes requests of the OpenAPI document and checks the answers of a running server
against it: no 5xx but what the document has, no answer that is not in it. Open and with keys.
`cargo xtask test --only schema` runs it; with `SFU_SCHEMA_BUDGET=10` for ten times as long."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.request
from urllib.parse import urlsplit

ADMIN = "the administrator's own secret key"
# Seconds of each run, but for what it takes to begin.
OPEN, DRAINS, KEYED = (int(os.environ.get("SFU_SCHEMA_BUDGET", 1)) * one for one in (30, 5, 30))

# What the answers are held to. Others are not: `positive_data_acceptance`, for a name may be taken or
# unknown however well it is formed.
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
]
CONFIG = """
[generation]
deterministic = true

[checks.not_a_server_error]
# 503 is in the document, and is what the server says when it is told to drain.
expected-statuses = ["2xx", "4xx", "503"]

[checks.missing_required_header]
# RFC 6585 §3: 428 says that If-Match is missing.
expected-statuses = ["400", "401", "403", "406", "415", "422", "428"]
"""


# What each run must have reached at the least, a fraction of what it does. `operations`: all but the
# drains, if it does not say. Whether a made-up If-Match is another tag (412) or none (428) is chance,
# on a busy machine; `doors/statuses.rs` has both for sure.
EVERYTHING = {"requests": 100, "statuses": {200, 201, 204, 400, 404, 405, 415}}
ONLY_DRAINS = {"requests": 4, "statuses": {200, 405}, "operations": {"drain", "undrain"}}


class Server:
    """A server on free ports of loopback, with impairments so that all routes are there."""

    def __init__(self, binary, folder, config):
        path = pathlib.Path(folder) / "sfu.toml"
        path.write_text(config)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SFU_")}
        arguments = ["serve", "--config", path, "--http-addr", "127.0.0.1:0", "--udp-port", "0"]
        self.log = open(pathlib.Path(folder) / "log", "w")
        self.process = subprocess.Popen(
            [binary, *arguments, "--advertise", "127.0.0.1"],
            stdout=subprocess.PIPE, stderr=self.log, text=True, env=environment)
        self.url = self.process.stdout.readline().strip()

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()

    def make_room(self, credential):
        body = json.dumps({"name": "r", "empty_timeout": 3600}).encode()
        headers = {"Content-Type": "application/json", **credential}
        request = urllib.request.Request(f"{self.url}/api/v1/rooms", body, headers, method="POST")
        assert urllib.request.urlopen(request).status == 201


def reached(server, report):
    """How many requests were made, of which operations, and what statuses came back."""
    document = json.load(urllib.request.urlopen(f"{server.url}/openapi.json"))
    operations = [
        (method.upper(), path, operation["operationId"], re.compile(re.sub(r"\{[^}]*\}", "[^/]*", path)))
        for path, methods in document["paths"].items()
        for method, operation in methods.items() if "operationId" in operation]
    # The fixed paths first: they are also of the form of those with names in them.
    operations.sort(key=lambda operation: "{" in operation[1])
    entries = json.loads(report.read_text())["log"]["entries"]
    met, statuses = set(), set()
    for entry in entries:
        method, path = entry["request"]["method"], urlsplit(entry["request"]["url"]).path
        for wanted, _, name, form in operations:
            if method == wanted and form.fullmatch(path):
                met.add(name)
                break
        statuses.add(entry["response"]["status"])
    return len(entries), met, statuses, {name for _, _, name, _ in operations}


def hold_to(what, server, report, least):
    """A run that asked for nothing has found nothing wrong: it does not count as passed."""
    requests, met, statuses, there_are = reached(server, report)
    unmet = (least.get("operations") or there_are - {"drain", "undrain"}) - met
    print(f"schema: {what}: {requests} requests, {len(met)} operations, statuses {sorted(statuses)}")
    if requests < least["requests"] or unmet or not least["statuses"] <= statuses:
        sys.exit(f"schema: {what} reached too little: without {sorted(unmet)}, "
                 f"{least['requests']} requests and statuses {sorted(least['statuses'])} are the least")


def run(server, folder, what, budget, arguments, least, excluded=()):
    config = pathlib.Path(folder) / "schemathesis.toml"
    config.write_text(CONFIG)
    report = pathlib.Path(folder) / "report.har"
    checks = ",".join(check for check in CHECKS if check not in excluded)
    command = [
        str(pathlib.Path(sys.executable).with_name("schemathesis")),
        "--config-file", str(config), "run", f"{server.url}/openapi.json",
        "--checks", checks, "--phases", "examples,coverage,fuzzing", "--max-examples", "25",
        "--max-time", str(budget), "--generation-database", "none", "--request-timeout", "15",
        "--report", "har", "--report-har-path", str(report),
        "--continue-on-failure", "--warnings", "off", "--no-color", *arguments]
    print(f"schema: {what}", flush=True)
    done = subprocess.run(command, cwd=folder, timeout=60 + 2 * budget)
    if done.returncode:
        sys.exit(f"schema: {what} failed")
    if server.process.poll() is not None:
        sys.exit(f"schema: {what} ended the server")
    hold_to(what, server, report, least)


def main(binary):
    binary = str(pathlib.Path(binary).resolve())
    impairments = "[media]\nimpairments = true\n"
    keyed = impairments + f'[auth]\nadmin_key = "{ADMIN}"\n'
    others = ["--exclude-operation-id", "drain", "--exclude-operation-id", "undrain"]
    drains = ["--include-operation-id", "drain", "--include-operation-id", "undrain"]
    bearer = {"Authorization": f"Bearer {ADMIN}"}
    with tempfile.TemporaryDirectory() as folder:
        server = Server(binary, folder, impairments + "[auth]\nopen = true\n")
        try:
            server.make_room({})
            run(server, folder, "an open server", OPEN, others, EVERYTHING, ["ignored_auth"])
            run(server, folder, "drains", DRAINS, drains, ONLY_DRAINS, ["ignored_auth"])
        finally:
            server.stop()
        server = Server(binary, folder, keyed)
        try:
            server.make_room(bearer)
            header = f"Authorization:Bearer {ADMIN}"
            run(server, folder, "a server with keys", KEYED, [*others, "--header", header], EVERYTHING)
        finally:
            server.stop()
    print("schema: 3 passed")


if __name__ == "__main__":
    main(sys.argv[1])
