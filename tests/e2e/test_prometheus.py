"""A real Prometheus scrapes the real daemon, which polls the simulator; the answers come from Prometheus' own API."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from exporter.simulator.scenario import load
from tests import fetch
from tests.canaries import API_KEY
from tests.conftest import SimulatorServer, free_port, until
from tests.e2e.conftest import Start
from tests.e2e.faulty_api import FaultyApi, listed
from tests.e2e.monitoring import PROMETHEUS_3, ROOT, VMAGENT, Program, Prometheus
from tests.hostile import hostile
from tests.unit.settings.test_web_config import HASH, MUTUAL, certify

pytestmark = pytest.mark.needs("prometheus")


PROTOCOLS = (
    "PrometheusProto",
    "OpenMetricsText0.0.1",
    "OpenMetricsText1.0.0",
    "PrometheusText0.0.4",
    "PrometheusText1.0.0",
)
EXAMPLES = sorted((Path(__file__).parents[2] / "deploy" / "prometheus").glob("prometheus*.yml"))


@pytest.fixture
def crashing() -> Iterator[SimulatorServer]:
    with SimulatorServer(load("crashloop")) as server:
        yield server


def test_prometheus_knows_what_the_api_knows(crashing: SimulatorServer, start: Start, tmp_path: Path) -> None:
    config = f"poll_interval: 200ms\nprojects: [{{name: p, base_url: '{crashing.url}', max_requests_per_second: 100}}]"
    daemon = start(config, TOGETHER_API_KEY="k")
    with Prometheus(daemon.url().removeprefix("http://"), tmp_path) as prometheus:
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
        changes = 'together_deployment_status_changes_total{deployment="batch-embed",status="Failed"} > 0'
        until(lambda: bool(prometheus.query(changes)), "the change was counted")


def test_prometheus_reads_hostile_data_over_mutual_tls_with_a_password(start: Start, tmp_path: Path) -> None:
    authority = trustme.CA()
    certify(tmp_path, authority)
    authority.issue_cert("prometheus").private_key_and_cert_chain_pem.write_to_path(tmp_path / "client.pem")
    web = f"tls_server_config: {{{MUTUAL}, client_allowed_sans: [prometheus]}}\nbasic_auth_users: {{alice: '{HASH}'}}\n"
    (tmp_path / "web.yml").write_text(web)
    cases = [case for field in ("image", "status", "replica_events.image") for case in hostile()[field]]
    pem = tmp_path / "client.pem"
    tls = {"ca_file": str(tmp_path / "ca.pem"), "cert_file": str(pem), "key_file": str(pem)}
    scrape = {"scheme": "https", "basic_auth": {"username": "alice", "password": "pw"}, "tls_config": tls}
    with FaultyApi() as api:
        api.answers["p"] = listed(*(case.body for case in cases))
        config = f"poll_interval: 1s\nprojects: [{{name: p, base_url: '{api.url('p')}'}}]"
        daemon = start(config, f"--web.config.file={tmp_path / 'web.yml'}", TOGETHER_API_KEY=API_KEY)
        with Prometheus(daemon.url().removeprefix("http://"), tmp_path, scrape) as prometheus:
            known = "count(together_deployment_poll_success == 1)"
            until(lambda: bool(prometheus.query(known)), "Prometheus has the deployments")
            assert prometheus.query(known)[0]["value"][1] == str(len(cases))
            assert prometheus.query("up")[0]["value"][1] == "1"


@pytest.mark.needs(PROMETHEUS_3)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_each_scrape_protocol_of_prometheus_3(
    protocol: str, crashing: SimulatorServer, start: Start, tmp_path: Path
) -> None:
    """What it does not offer is answered in the text format, which such a Prometheus reads by its fallback."""
    config = f"poll_interval: 200ms\nprojects: [{{name: p, base_url: '{crashing.url}', max_requests_per_second: 100}}]"
    daemon = start(config, TOGETHER_API_KEY="k")
    scrape = {"scrape_protocols": [protocol], "fallback_scrape_protocol": "PrometheusText0.0.4"}
    options = ["--enable-feature=type-and-unit-labels"]
    with Prometheus(daemon.url().removeprefix("http://"), tmp_path, scrape, options=options) as prometheus:
        ready = 'together_deployment_replicas_ready{deployment="chat-prod",project="p"}'
        until(lambda: bool(prometheus.query(ready)), "Prometheus has the ready replicas")
        assert prometheus.query("up")[0]["value"][1] == "1"
        (memory,) = prometheus.query('together_deployment_memory_bytes{deployment="chat-prod"}')
        assert memory["metric"]["__type__"] == "gauge"
        assert memory["metric"].get("__unit__") == ("bytes" if protocol == "OpenMetricsText1.0.0" else None)
        assert prometheus.query('together_exporter_polls_total{__type__="counter"}')


@pytest.mark.needs(VMAGENT)
def test_vmagent_scrapes_too(crashing: SimulatorServer, start: Start, tmp_path: Path) -> None:
    config = f"poll_interval: 200ms\nprojects: [{{name: p, base_url: '{crashing.url}', max_requests_per_second: 100}}]"
    daemon = start(config, TOGETHER_API_KEY="k")
    address = f"127.0.0.1:{free_port()}"
    (tmp_path / "scrape.yml").write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\nrule_files: [rules.yml]\n"
        "scrape_configs:\n- job_name: together-exporter\n"
        f"  static_configs: [{{targets: ['{daemon.url().removeprefix('http://')}']}}]\n"
    )
    command = [
        str(ROOT / VMAGENT),
        f"-promscrape.config={tmp_path / 'scrape.yml'}",
        "-promscrape.config.strictParse=false",  # otherwise it refuses rule_files
        f"-httpListenAddr={address}",
        f"-remoteWrite.tmpDataPath={tmp_path}",
        "-remoteWrite.url=http://127.0.0.1:1/api/v1/write",
    ]
    with Program(command, tmp_path / "vmagent.log"):
        until(lambda: any(target["lastSamplesScraped"] > 100 for target in _targets(address)), "vmagent scrapes")
        (target,) = _targets(address)
        assert (target["health"], target["lastError"]) == ("up", "")
        metrics = _get(address, "/metrics").text
        assert re.findall(r'^vm_rows_invalid_total\{type="prometheus"\} (\d+)', metrics, re.MULTILINE) == ["0"]


def _get(address: str, path: str) -> httpx.Response:
    return fetch.get(f"http://{address}{path}", timeout=30)


def _targets(address: str) -> list[dict[str, Any]]:
    try:
        return list(_get(address, "/api/v1/targets").json()["data"]["activeTargets"])
    except httpx.TransportError:
        return []


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda file: file.stem)
def test_the_example_configurations_are_some(example: Path, tmp_path: Path) -> None:
    text = example.read_text().replace("rules.yml", str(example.with_name("rules.yml")))
    for name in re.findall(r"/etc/prometheus/(\S+)", text):
        trustme.CA().cert_pem.write_to_path(tmp_path / name)
    file = tmp_path / example.name
    file.write_text(text.replace("/etc/prometheus", str(tmp_path)))
    done = subprocess.run(["promtool", "check", "config", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "job_name: together-exporter\n" in text


@pytest.mark.needs("promtool")
def test_promtool_finds_nothing_wrong_with_the_whole_page(crashing: SimulatorServer, start: Start) -> None:
    config = f"poll_interval: 200ms\nprojects: [{{base_url: '{crashing.url}'}}]"
    daemon = start(config, TOGETHER_API_KEY="k")
    until(lambda: "together_deployment_poll_success" in daemon.metrics(), "it is polled")
    page = daemon.metrics().encode()
    done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
