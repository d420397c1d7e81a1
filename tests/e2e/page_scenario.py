"""What the tests of the status page show: a small api, a fleet with some trouble, an exporter and a proxy."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from exporter.simulator.fleet import Fleet as SimulatedFleet
from exporter.simulator.scenario import DeploymentScenario, Fleet, Scenario, Step
from tests import fetch
from tests.canaries import API_KEY
from tests.conftest import SimulatorServer, until
from tests.e2e.conftest import Process, Start
from tests.e2e.test_daemon import listing

BROKEN = 25.0  # simulated seconds; when a replica crashes and the status is Failed
EXPIRY = 864_000.0  # s; of secrets, more than the page warns about
CALM = 1e15  # simulated seconds between two events of a deployment: nothing by chance
SCENARIO = Scenario(
    deployments=(
        DeploymentScenario(name="well", replicas=3, min_replicas=2, max_replicas=6, gpu_count=8),
        DeploymentScenario(
            name="crashes",
            replicas=2,
            gpu_type="h200-140gb",
            volume="weights",
            timeline=(Step(at=10, crash=1), Step(at=20, fail=True), Step(at=100, recover=True, fail=False)),
        ),
        DeploymentScenario(name="rests", replicas=0, min_replicas=0, gpu_type=None, gpu_count=0),
    )
)
# What has gone wrong in a fleet of the simulator's in which nothing else happens.
TROUBLE = {
    "chat-000": Step(at=0, crash=1, fail=True),
    "embed-001": Step(at=0, crash=1),
    "rerank-002": Step(at=0, pull_error=1),
    "whisper-003": Step(at=0, rollout="registry.example/whisper:2"),
}


@contextmanager
def fleet_in_trouble(deployments: int) -> Iterator[SimulatorServer]:
    """A fleet of the simulator's whose secrets expire in ten days; four of its deployments are as in TROUBLE."""
    scenario = Scenario(fleet=Fleet(deployments=deployments, event_interval=CALM))
    with SimulatorServer(scenario) as server:
        fleet = server.simulator.fleet = SimulatedFleet(scenario, seed=1, started=time.time())
        for secret in fleet.secrets:
            fleet.set_expiry(secret, EXPIRY)
        for name, step in TROUBLE.items():
            fleet.deployments[name].apply(step)
        yield server


def serving(start: Start, server: SimulatorServer, *arguments: str, path: str = "", more: str = "") -> Process:
    daemon = start(listing(server) + more, *arguments, TOGETHER_API_KEY=API_KEY)
    until(lambda: daemon.get(f"{path}/-/ready").status_code == HTTPStatus.OK, "it is polled")
    return daemon


class Front:
    """A proxy in front of the exporter. `path`: it strips this one. `status`, `body`, `location`: what it answers
    itself from now on; else it passes on what the exporter says, with `swaps` made in it."""

    def __init__(self, exporter: str, path: str = "") -> None:
        self.exporter, self.path = exporter, path
        self.status: int | None = None
        self.body = ""
        self.location = ""
        self.swaps: dict[str, str] = {}
        self.url = ""

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        if self.status is not None:
            headers = {"Location": self.location} if self.location else {}
            return self.status, {"Content-Type": "text/html", **headers}, self.body.encode()
        if not path.startswith(f"{self.path}/"):
            return HTTPStatus.NOT_FOUND, {}, b""
        answer = fetch.get(self.exporter + path.removeprefix(self.path))
        text = answer.text
        for old, new in self.swaps.items():
            text = text.replace(old, new)
        kept = ("content-type", "content-security-policy", "cache-control")
        return answer.status_code, {key: answer.headers[key] for key in kept if key in answer.headers}, text.encode()


@contextmanager
def front(exporter: str, path: str = "") -> Iterator[Front]:
    """Its `url` ends with the path."""
    made = Front(exporter, path)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = made.answer(self.path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: the default writes to stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_address[1]}{path}/"
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
