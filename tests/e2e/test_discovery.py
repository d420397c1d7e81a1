"""A real Prometheus finds its targets at /api/v1/sd and probes them as the example says."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from exporter.simulator.scenario import Fault, load
from tests import fetch
from tests.conftest import ROOT, SimulatorServer, until
from tests.e2e.conftest import Process, Start
from tests.e2e.monitoring import Prometheus

pytestmark = pytest.mark.needs("prometheus")

EXAMPLE = ROOT / "deploy" / "prometheus" / "prometheus-health.yml"
MODULES = ROOT / "deploy" / "blackbox" / "blackbox.yml"
META, STATES = "__meta_together_deployment", ("active", "dropped")
API = "https://api.together.ai/v1"


class Blackbox:
    """Stands in for blackbox_exporter. `probed`: the targets, by module."""

    def __init__(self) -> None:
        self.probed: defaultdict[str, set[str]] = defaultdict(set)
        probed = self.probed

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = parse_qs(urlsplit(self.path).query)
                probed[query["module"][0]].add(query["target"][0])
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(b"probe_success 1\n")

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


SCENARIO = """
deployments:
  - {name: chat-prod, min_replicas: 1}
  - {name: search, min_replicas: 2}
  - {name: batch-embed, min_replicas: 0}
"""


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[SimulatorServer]:
    (tmp_path / "scenario.yml").write_text(SCENARIO)
    with SimulatorServer(load(str(tmp_path / "scenario.yml"))) as server:
        yield server


@pytest.fixture
def daemon(simulator: SimulatorServer, start: Start) -> Process:
    project = f"{{base_url: '{simulator.url}', max_requests_per_second: 100, labels: {{team: research}}}}"
    return start(f"poll_interval: 200ms\nstale_after: 1s\nprojects: [{project}]", TOGETHER_API_KEY="k")


def probing(daemon: Process, blackbox: Blackbox) -> dict[str, object]:
    """The example's second job, with the addresses of this test."""
    text = EXAMPLE.read_text(encoding="utf-8")
    text = text.replace("http://localhost:10170", daemon.url()).replace("localhost:9115", blackbox.address)
    (job,) = (job for job in yaml.safe_load(text)["scrape_configs"] if job["job_name"] == "together-health")
    job["http_sd_configs"][0]["refresh_interval"] = "1s"
    return {**job, "static_configs": [], "scrape_interval": "250ms", "scrape_timeout": "250ms"}


def test_each_deployment_that_may_be_probed_is_probed_with_its_projects_module(daemon: Process, tmp_path: Path) -> None:
    probed = {"chat-prod", "search"}
    with Blackbox() as blackbox, Prometheus("", tmp_path, probing(daemon, blackbox)) as prometheus:
        until(lambda: len(prometheus.query('probe_success{project="default"}')) == len(probed), "they are probed")
        series = [each["metric"] for each in prometheus.query("probe_success")]
        assert {labels["deployment"] for labels in series} == {labels["instance"] for labels in series} == probed
        targets = fetch.get(f"{prometheus.url}/api/v1/targets").json()["data"]
        active, dropped = ([each["discoveredLabels"] for each in targets[f"{kind}Targets"]] for kind in STATES)
        assert {labels[f"{META}_label_team"] for labels in active} == {"research"}
        assert {labels[META] for labels in dropped} == {"batch-embed"}
    assert blackbox.probed == {"together_default": {f"{API}/deployment-request/{name}/health" for name in probed}}


def test_targets_stay_while_the_api_is_away(simulator: SimulatorServer, daemon: Process) -> None:
    until(lambda: daemon.get("/api/v1/sd").status_code == 200, "it is ready")
    before = daemon.get("/api/v1/sd").json()
    simulator.simulator.faults.append(Fault(at=0, lasts=1e9, status=503))
    until(lambda: "together_deployment_replicas_ready{" not in daemon.metrics(), "the state is stale")
    assert daemon.get("/api/v1/sd").json() == before


def test_the_example_has_a_module_for_the_default_project() -> None:
    assert set(yaml.safe_load(MODULES.read_text(encoding="utf-8"))["modules"]) == {"together_default"}
