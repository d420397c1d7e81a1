"""Whatever stands in a field, the page is one that Prometheus reads, and the other fields are on it."""

from __future__ import annotations

import functools
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from exporter.api.models import MAX_LABEL
from exporter.api.reading import read_deployment
from exporter.state.records import Target
from tests.hostile import hostile
from tests.pipeline import Pipeline

HOSTILE = hostile()
ALL = [case for cases in HOSTILE.values() for case in cases]


def page_of(*bodies: bytes) -> str:
    pipeline = Pipeline(Target("p"))
    pipeline.list("p", b'{"data": [' + b",".join(bodies) + b"]}")
    openmetrics = pipeline.text(format_="openmetrics") + "# EOF\n"
    assert list(openmetrics_families(openmetrics))  # type: ignore[no-untyped-call]  # has no annotations
    return pipeline.text()


def series(page: str) -> Iterator[tuple[str, frozenset[tuple[str, str]]]]:
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            yield sample.name, frozenset(sample.labels.items())


@pytest.mark.parametrize("field", HOSTILE)
def test_an_odd_value_costs_no_more_than_its_field(field: str) -> None:
    absent, *odd = HOSTILE[field]
    found = list(series(page_of(*(case.body for case in HOSTILE[field]))))
    assert len(found) == len(set(found))
    assert max(len(value) for _, labels in found for _, value in labels) <= MAX_LABEL
    shown: defaultdict[str, set[str]] = defaultdict(set)
    for name, labels in found:
        shown[dict(labels).get("deployment", "")].add(name)
    assert len(shown[absent.name]) > 10
    for case in odd:
        assert shown[absent.name] <= shown[case.name], case.name


@pytest.mark.parametrize("field", ["ready_replicas", "gpu_count", "cpu", "memory", "storage", "volumes.version"])
@pytest.mark.parametrize(
    "value", ["text", "true", "negative", "beyond-float", "too-large", "nan", "infinity", "list", "object"]
)
def test_a_value_that_is_no_number_is_refused_by_name(field: str, value: str) -> None:
    body = next(case.body for case in HOSTILE[field] if case.value == value)
    dropped = read_deployment(body).dropped
    assert [(each.reason, each.field.replace(".*.", ".")) for each in dropped] == [("invalid_value", field)]


@functools.cache
def page_of_all() -> str:
    pipeline = Pipeline(Target("p"))
    pipeline.list("p", b'{"data": [' + b",".join(case.body for case in ALL) + b"]}")
    return pipeline.text()


def test_all_of_them_at_once() -> None:
    lines = [line.rpartition(" ")[0] for line in page_of_all().split("\n") if not line.startswith("#")]
    assert len(lines) == len(set(lines))
    info = [line for line in lines if line.startswith("together_deployment_info{")]
    assert {re.search('deployment="([^"]*)"', line)[1] for line in info} == {case.name for case in ALL}  # type: ignore[index]  # each has one


@pytest.mark.needs("promtool")
def test_promtool_reads_all_of_them_at_once() -> None:
    page = page_of_all().encode()
    done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
