"""Invariants for arbitrary API responses."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from exporter.api.models import MAX_ENTRIES, MAX_LABEL
from exporter.metrics.render import Renderer
from exporter.state.history import MAX_STATUSES
from exporter.state.records import Limits, Target
from tests.hostile import WELL
from tests.pipeline import Pipeline, run

MAX_REPLICAS, MAX_DEPLOYMENTS = 5, 4
LIMITS = Limits(max_replicas_per_deployment=MAX_REPLICAS, max_deployments_per_project=MAX_DEPLOYMENTS)
EACH, LIST = Target("each", ("x", "well"), is_listed=False, limits=LIMITS), Target("list", limits=LIMITS)
# Of one deployment: its scalar fields, states and counters, its replicas', and what comes in lists.
MOST_SERIES = 100 + 20 * MAX_REPLICAS + 2 * MAX_ENTRIES + 3 * MAX_STATUSES
GOOD = json.dumps({"id": "good", "name": "x", **WELL}).encode()
Series = tuple[str, frozenset[tuple[str, str]]]


def keeps_its_promises(answer: bytes) -> None:
    """The answer comes once for one deployment and once for a list, each beside another that is well."""
    pipeline = Pipeline(EACH, LIST)
    _poll(pipeline, "well", GOOD)
    well = _lines_of(pipeline.text(), "each", "well")
    assert well
    for _ in range(2):
        _poll(pipeline, "x", answer)
        _poll_list(pipeline, answer)
        page = pipeline.text()
        assert _lines_of(page, "each", "well") == well
        assert len(page.encode()) == pipeline.page().length("text")
    _check(page)
    openmetrics = pipeline.text(format_="openmetrics") + "# EOF\n"
    list(openmetrics_families(openmetrics))  # type: ignore[no-untyped-call]  # has no annotations
    assert page == b"".join(run(Renderer({}).render(pipeline.snapshot())).pieces("text")).decode()
    _poll(pipeline, "x", GOOD)
    fresh = Pipeline(replace(EACH, keys=("x",)))
    _poll(fresh, "x", GOOD)
    now, expected = (_lines_of(each.text(), "each", "x") for each in (pipeline, fresh))
    assert expected <= now | {line for line in expected if _is_counted(line)}


def _poll(pipeline: Pipeline, key: str, body: bytes) -> None:
    pipeline.one("each", key, body.replace(b'"name": "x"', b'"name": "%s"' % key.encode()) if body is GOOD else body)


def _poll_list(pipeline: Pipeline, body: bytes) -> None:
    for form in (body, b'{"data": [' + body + b"]}", b'{"data": [' + body + b"," + body + b"," + GOOD + b"]}"):
        pipeline.list("list", form)


def _is_counted(line: str) -> bool:
    """What depends on the answers before."""
    return "_total{" in line or "_startup_seconds_" in line


def _check(page: str) -> None:
    found: list[Series] = [
        (sample.name, frozenset(sample.labels.items())) for family in text_families(page) for sample in family.samples
    ]
    assert len(found) == len(set(found)), [series for series, count in Counter(found).items() if count > 1]
    assert all(len(value) <= MAX_LABEL for _, labels in found for _, value in labels)
    assert len(found) <= (2 + MAX_DEPLOYMENTS) * MOST_SERIES
    shown = {
        labels for name, labels in found if name == "together_deployment_poll_success" and ("project", "list") in labels
    }
    assert len(shown) <= MAX_DEPLOYMENTS
    assert set(page.splitlines()) == set(page.split("\n")) - {""}, "some parsers end a line at control characters"


def _lines_of(page: str, project: str, deployment: str) -> set[str]:
    wanted = (f'project="{project}"', f'deployment="{deployment}"')
    return {line for line in page.split("\n") if all(label in line for label in wanted)}
