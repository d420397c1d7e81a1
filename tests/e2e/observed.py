"""What the tests of the fault table look at: the page by series, the log by lines, and time counted in polls."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.canaries import API_KEY
from tests.conftest import until
from tests.e2e.conftest import Process, Start
from tests.e2e.scripted_api import ScriptedApi

INFO = "together_deployment_info"  # there while a deployment's state is known
SUCCESS = "together_deployment_poll_success"
ERROR = "together_deployment_poll_error"
PROJECT_SUCCESS = "together_project_poll_success"
PROJECT_ERROR = "together_project_poll_error"
POLLS = "together_exporter_polls_total"
FAILURES = "together_exporter_poll_failures_total"
DROPPED = "together_project_items_dropped"

Labels = frozenset[tuple[str, str]]


@dataclass
class Page:
    """One answer of `/metrics`."""

    text: str

    @cached_property
    def samples(self) -> dict[str, dict[Labels, float]]:
        """By metric and labels; fails where the same series is there twice."""
        found: dict[str, dict[Labels, float]] = {}
        for family in text_string_to_metric_families(self.text):
            for sample in family.samples:
                series = found.setdefault(sample.name, {})
                labels = frozenset(sample.labels.items())
                assert labels not in series, sample
                series[labels] = sample.value
        return found

    def series(self, metric: str, **labels: str) -> list[tuple[dict[str, str], float]]:
        """Those that have at least these labels."""
        wanted = labels.items()
        return [(dict(found), value) for found, value in self.samples.get(metric, {}).items() if wanted <= set(found)]

    def total(self, metric: str, **labels: str) -> float:
        return sum(value for _, value in self.series(metric, **labels))

    def value(self, metric: str, deployment: str = "", project: str = "p", **labels: str) -> float | None:
        """Of exactly this series; None where there is none."""
        identity = {"project": project, **({"deployment": deployment} if deployment else {})}
        return self.samples.get(metric, {}).get(frozenset({**identity, **labels}.items()))

    def names(self, metric: str = INFO, project: str = "p") -> set[str]:
        """The deployments that have this series."""
        return {labels["deployment"] for labels, _ in self.series(metric, project=project)}

    def shown(self, project: str = "p") -> dict[str, str]:
        """The ID of each deployment whose state is shown, by its label."""
        return {labels["deployment"]: labels["id"] for labels, _ in self.series(INFO, project=project)}

    def reasons(self, deployment: str, project: str = "p") -> set[str]:
        """Why the deployment's last poll failed."""
        found = self.series(ERROR, project=project, deployment=deployment)
        return {labels["reason"] for labels, value in found if value == 1}

    def project_reasons(self, project: str = "p") -> set[str]:
        return {labels["reason"] for labels, value in self.series(PROJECT_ERROR, project=project) if value == 1}


def page(daemon: Process, *families: str) -> Page:
    """`families`: those of the page that are of interest, where reading all takes long."""
    return Page(daemon.get("/metrics", params={"name[]": families}).text)


def count_of(daemon: Process, metric: str = INFO) -> int:
    """How many series a metric has; for pages too large to be read sample by sample."""
    return len(re.findall(rf"^{metric}\{{", page(daemon, metric).text, re.MULTILINE))


def project(api: ScriptedApi, name: str = "p", **settings: Any) -> dict[str, Any]:
    """A project of the configuration, polled ten times a second."""
    pace = {"poll_interval": "100ms", "poll_timeout": "10s", "max_requests_per_second": 1000}
    return {"name": name, "base_url": api.url(name), **pace, **settings}


def config(*projects: dict[str, Any], **general: Any) -> str:
    """JSON is YAML."""
    return json.dumps({**general, "projects": projects})


def started(start: Start, *projects: dict[str, Any], **general: Any) -> Process:
    return start(config(*projects, **general), "--web.enable-lifecycle", TOGETHER_API_KEY=API_KEY)


def polled(api: ScriptedApi, path: str = "p/deployments", polls: int = 2) -> None:
    """Returns when so many polls have begun from now; with two, one that began from now has ended."""
    before = api.count(path)
    until(lambda: api.count(path) >= before + polls, f"{polls} polls of {path}")


def soon(
    condition: Callable[[], bool], what: str, api: ScriptedApi, path: str = "p/deployments", polls: int = 25
) -> None:
    """Waits for a condition, at most so many polls: time as the daemon lives it, on a slow machine too."""
    before = api.count(path)
    until(lambda: condition() or api.count(path) > before + polls, f"{what}, or {polls} polls of {path}")
    assert condition(), f"not after {polls} polls: {what}"


def news(daemon: Process, since: int = 0) -> list[str]:
    """The log's lines from that length on, without level debug."""
    return [line for line in daemon.log[since:].splitlines() if "level=debug" not in line]
