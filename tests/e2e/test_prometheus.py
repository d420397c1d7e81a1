"""A real Prometheus scrapes the real daemon, which polls the simulator; the answers come from Prometheus' own API."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from exporter.simulator.scenario import load
from tests.canaries import API_KEY
from tests.conftest import SimulatorServer, until
from tests.e2e.conftest import Start
from tests.e2e.faulty_api import FaultyApi, listed
from tests.hostile import hostile
from tests.unit.settings.test_web_config import HASH, MUTUAL, certify

pytestmark = pytest.mark.needs("prometheus")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


class Prometheus:
    def __init__(self, target: str, home: Path, more: str = "") -> None:
        """`more`: of the scrape configuration, each with a comma before it."""
        self.url = f"http://127.0.0.1:{free_port()}"
        config = home / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 250ms, scrape_timeout: 250ms}\n"
            f"scrape_configs: [{{job_name: together, static_configs: [{{targets: ['{target}']}}]{more}}}]\n"
        )
        command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={home / 'tsdb'}"]
        command.append(f"--web.listen-address={self.url.removeprefix('http://')}")
        self._log = (home / "prometheus.log").open("w")
        self.popen = subprocess.Popen(command, stdout=self._log, stderr=self._log)

    def query(self, promql: str) -> list[Any]:
        try:
            answer = httpx.get(f"{self.url}/api/v1/query", params={"query": promql})
        except httpx.ConnectError:
            return []
        return list(answer.json()["data"]["result"]) if answer.status_code == 200 else []

    def stop(self) -> None:
        self.popen.terminate()
        self.popen.wait(30)
        self._log.close()


@pytest.fixture
def crashing() -> Iterator[SimulatorServer]:
    with SimulatorServer(load("crashloop")) as server:
        yield server


def test_prometheus_knows_what_the_api_knows(crashing: SimulatorServer, start: Start, tmp_path: Path) -> None:
    config = f"poll_interval: 200ms\nprojects: [{{name: p, base_url: '{crashing.url}', max_requests_per_second: 100}}]"
    daemon = start(config, TOGETHER_API_KEY="k")
    prometheus = Prometheus(daemon.url().removeprefix("http://"), tmp_path)
    try:
        ready = 'together_deployment_replicas_ready{deployment="chat-prod",project="p"}'
        failed = 'together_deployment_status{status="Failed"} == 1'
        until(lambda: bool(prometheus.query(ready)), "Prometheus has the ready replicas")
        assert prometheus.query(ready)[0]["value"][1] == "3"
        assert prometheus.query(failed) == []
        crashing.now = 40
        until(lambda: bool(prometheus.query(failed)), "Prometheus sees the failed deployment")
        assert [r["metric"]["deployment"] for r in prometheus.query(failed)] == ["batch-embed"]
        reason = 'together_replica_status_reason{reason="CrashLoopBackOff"} == 1'
        until(lambda: len(prometheus.query(reason)) > 0, "Prometheus sees the crash loop")
        crashing.now = 170
        until(lambda: prometheus.query(failed) == [], "Prometheus sees the recovery")
        assert prometheus.query("up")[0]["value"][1] == "1"
        changes = 'together_deployment_status_changes_total{deployment="batch-embed",to="Failed"} > 0'
        until(lambda: bool(prometheus.query(changes)), "the change was counted")
    finally:
        prometheus.stop()


def test_prometheus_reads_hostile_data_over_mutual_tls_with_a_password(start: Start, tmp_path: Path) -> None:
    authority = trustme.CA()
    certify(tmp_path, authority)
    authority.issue_cert("prometheus").private_key_and_cert_chain_pem.write_to_path(tmp_path / "client.pem")
    web = f"tls_server_config: {{{MUTUAL}, client_allowed_sans: [prometheus]}}\nbasic_auth_users: {{alice: '{HASH}'}}\n"
    (tmp_path / "web.yml").write_text(web)
    cases = [case for field in ("image", "status", "replica_events.image") for case in hostile()[field]]
    pem = tmp_path / "client.pem"
    scrape = (
        f", scheme: https, basic_auth: {{username: alice, password: pw}}, "
        f"tls_config: {{ca_file: {tmp_path / 'ca.pem'}, cert_file: {pem}, key_file: {pem}}}"
    )
    with FaultyApi() as api:
        api.answers["p"] = listed(*(case.body for case in cases))
        config = f"poll_interval: 1s\nprojects: [{{name: p, base_url: '{api.url('p')}'}}]"
        daemon = start(config, f"--web.config.file={tmp_path / 'web.yml'}", TOGETHER_API_KEY=API_KEY)
        prometheus = Prometheus(daemon.url().removeprefix("http://"), tmp_path, scrape)
        try:
            known = "count(together_deployment_up == 1)"
            until(lambda: bool(prometheus.query(known)), "Prometheus has the deployments")
            assert prometheus.query(known)[0]["value"][1] == str(len(cases))
            assert prometheus.query("up")[0]["value"][1] == "1"
        finally:
            prometheus.stop()


@pytest.mark.needs("promtool")
def test_the_example_configuration_is_one() -> None:
    file = Path(__file__).parents[2] / "deploy" / "prometheus" / "prometheus.yml"
    done = subprocess.run(["promtool", "check", "config", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.needs("promtool")
def test_promtool_finds_nothing_wrong_with_the_whole_page(crashing: SimulatorServer, start: Start) -> None:
    config = f"poll_interval: 200ms\nprojects: [{{base_url: '{crashing.url}'}}]"
    daemon = start(config, TOGETHER_API_KEY="k")
    until(lambda: "together_deployment_up" in daemon.metrics(), "it is polled")
    page = daemon.metrics().encode()
    done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
