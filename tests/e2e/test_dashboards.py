"""Every query on every dashboard is run by a real Prometheus, and returns data."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from exporter.rules.build import build
from tests import fetch
from tests.conftest import SimulatorServer, until
from tests.e2e.conftest import Start
from tests.e2e.contract import Exporter
from tests.e2e.monitoring import Prometheus
from tools.boards import BOARDS, written

pytestmark = pytest.mark.needs("prometheus")

VALUES = {
    "$cluster": ".*",
    "$project|": ".+|",
    "$project": ".+",
    "$deployment": ".+",
    "$gpu_type": ".+",
    "$own_label": "label_team",
    "$own_value": "search",
    "$job": ".+",
    "$instance": ".+",
    "$__rate_interval": "5s",
    "$__range": "60s",
    "[$__range:1m]": "[60s:1s]",
    "[1m]": "[5s]",
    "[1h]": "[30s]",
    "offset 1m": "offset 2s",
}
FASTER = 200  # of the rules: an hour of GPU hours in 18 s
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
                metric = re.sub(r"^label_(values|names)\(|, \$?\w+\)$|\)$", "", variable["query"])
                yield f"{name}: variable {variable['name']}", metric


def filled(expr: str) -> str:
    for name, value in sorted(VALUES.items(), key=lambda item: -len(item[0])):
        expr = expr.replace(name, value)
    assert "$" not in expr, expr
    return expr


def answered(prometheus: Prometheus, expr: str) -> bool:
    now = time.time()
    parameters: dict[str, Any] = {"query": filled(expr), "start": now - WINDOW, "end": now, "step": "500ms"}
    answer = fetch.get(f"{prometheus.url}/api/v1/query_range", params=parameters, timeout=30)
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


def two(first: Exporter, second: Exporter) -> dict[str, Any]:
    """A scrape configuration for both."""
    targets = [first.address, second.address]
    return {"static_configs": [{"targets": targets, "labels": {"cluster": "x"}}]}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Exporter(["chat", "embed"]), Exporter(["chat", "embed"])),
        (Exporter(["chat"], (0, 2)), Exporter(["embed"], (1, 2))),
    ],
    ids=["identical", "shards"],
)
def test_every_query_is_answered(first: Exporter, second: Exporter, tmp_path: Path) -> None:
    with first, second, Prometheus("", tmp_path, two(first, second), rules=build(faster=FASTER)) as prometheus:
        until(lambda: bool(prometheus.query("together_deployment_poll_success")), "it is scraped")
        answer_all(prometheus, dict(queries()), ())


def test_the_exporter_shows_what_the_dashboards_filter_by(start: Start, steady: SimulatorServer) -> None:
    daemon = start(f"projects: [{{base_url: '{steady.url}'}}]\n", TOGETHER_API_KEY="k")
    until(lambda: "together_deployment_poll_success{" in daemon.metrics(), "it is polled")
    assert "together_deployment_labels{" in daemon.metrics()
