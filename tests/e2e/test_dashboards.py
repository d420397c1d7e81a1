"""Every query on every dashboard is run by a real Prometheus, and returns data."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from dashboards.generate import BOARDS, written
from exporter.simulator.scenario import load
from tests.conftest import SimulatorServer, until
from tests.e2e.conftest import Start
from tests.e2e.monitoring import Prometheus

pytestmark = pytest.mark.needs("prometheus")

SCENARIO = """
deployments:
  - {name: chat, replicas: 2, volume: weights, secret_expires_in: 864000,
     story: [{at: 20, rollout: "registry.example/chat:2"}], repeat: 90}
  - {name: embed, replicas: 2, autoscaling: {metric: QueueBacklogPerWorker, target: 1.01}, queue: [5, 1],
     story: [{at: 10, crash: 1}, {at: 40, fail: true}, {at: 80, fail: false, recover: true}], repeat: 120}
"""
VALUES = {
    "$project": ".*",
    "$deployment": ".*",
    "$gpu_type": ".*",
    "$job": ".*",
    "$instance": ".*",
    "$__rate_interval": "5s",
    "$__range": "60s",
    "[$__range:1m]": "[60s:1s]",
    "[1m]": "[5s]",
    "offset 1m": "offset 2s",
}
WINDOW = 120  # s; what is asked for, up to now


def queries() -> Iterator[tuple[str, str]]:
    """(where, expression), annotations and variables among them."""
    for name in BOARDS:
        board = json.loads(written(name))
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                yield f"{name}: {panel['title']} {target['refId']}", target["expr"]
        for annotation in board.get("annotations", {}).get("list", ()):
            if "expr" in annotation:
                yield f"{name}: annotation {annotation['name']}", annotation["expr"]
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                metric = variable["query"].removeprefix("label_values(").rpartition(",")[0]
                yield f"{name}: variable {variable['name']}", metric


def filled(expr: str) -> str:
    for name, value in sorted(VALUES.items(), key=lambda item: -len(item[0])):
        expr = expr.replace(name, value)
    assert "$" not in expr, expr
    return expr


def answered(prometheus: Prometheus, expr: str) -> bool:
    now = time.time()
    parameters: dict[str, Any] = {"query": filled(expr), "start": now - WINDOW, "end": now, "step": "500ms"}
    answer = httpx.get(f"{prometheus.url}/api/v1/query_range", params=parameters, timeout=30)
    assert answer.status_code == 200, f"{expr}\n{answer.text}"
    return bool(answer.json()["data"]["result"])


def answer_all(prometheus: Prometheus, queries: Mapping[str, str], simulators: Sequence[SimulatorServer]) -> None:
    """Lives on until each query, by where it stands, has had data."""
    unanswered = dict(queries)

    def all_are_answered() -> bool:
        for simulator in simulators:
            simulator.now += 0.5
        for where in [where for where, expr in unanswered.items() if answered(prometheus, expr)]:
            del unanswered[where]
        return not unanswered

    try:
        until(all_are_answered, "all queries are answered")
    finally:
        answers = len(queries) - len(unanswered)
        sys.stdout.write(f"{answers} of {len(queries)} queries answered; not: {sorted(unanswered)}\n")


def test_every_query_is_answered(start: Start, tmp_path: Path) -> None:
    (tmp_path / "story.yml").write_text(SCENARIO)
    with ExitStack() as entered:
        simulators = [
            entered.enter_context(SimulatorServer(load(name))) for name in (str(tmp_path / "story.yml"), "outage")
        ]
        projects = [
            f"{{name: p{number}, base_url: '{simulator.url}', queue: true, max_requests_per_second: 100}}"
            for number, simulator in enumerate(simulators)
        ]
        config = "poll_interval: 250ms\ngpu_hourly_cost: {h100-80gb: 3.5}\nprojects:\n- " + "\n- ".join(projects) + "\n"
        daemon = start(config, TOGETHER_API_KEY="k")
        prometheus = entered.enter_context(Prometheus(daemon.url().removeprefix("http://"), tmp_path))
        until(lambda: bool(prometheus.query("together_deployment_poll_success")), "it is scraped")
        answer_all(prometheus, dict(queries()), simulators)
