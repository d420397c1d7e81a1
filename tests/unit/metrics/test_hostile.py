"""Whatever stands in a field, the page is one that Prometheus reads, and the other fields are on it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from exporter.api.listing import read_list
from exporter.api.models import MAX_LABEL, read_deployment
from exporter.metrics.exposition import Exposition
from exporter.records import Instant, Target
from exporter.store import Store
from tests.hostile import hostile

NOW = Instant(0.0, 1775001600.0)
HOSTILE = hostile()
ALL = [case for cases in HOSTILE.values() for case in cases]


def page_of(*bodies: bytes) -> str:
    store = Store([Target("p")])
    readings = read_list(b'{"data": [' + b",".join(bodies) + b"]}")
    store.apply_list("p", readings, NOW)
    view = store.view(NOW)
    openmetrics = Exposition({}).render(view, "openmetrics") + b"# EOF\n"
    assert list(openmetrics_families(openmetrics.decode()))  # type: ignore[no-untyped-call]  # has no annotations
    return Exposition({}).render(view, "text").decode()


def series(page: str) -> Iterator[tuple[str, frozenset[tuple[str, str]]]]:
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            yield sample.name, frozenset(sample.labels.items())


def families(page: str) -> set[str]:
    return {name for name, _ in series(page)}


@pytest.mark.parametrize("field", HOSTILE)
def test_an_odd_value_costs_no_more_than_its_field(field: str) -> None:
    absent, *odd = HOSTILE[field]
    expected = families(page_of(absent.body))
    for case in odd:
        found = list(series(page_of(case.body)))
        assert len(found) == len(set(found)), case.name
        assert expected <= {name for name, _ in found}, case.name
        assert max(len(value) for _, labels in found for _, value in labels) <= MAX_LABEL, case.name


@pytest.mark.parametrize("field", ["ready_replicas", "gpu_count", "cpu", "memory", "storage", "volumes.version"])
@pytest.mark.parametrize(
    "value", ["text", "digits", "true", "negative", "too-large", "nan", "infinity", "list", "object"]
)
def test_a_value_that_is_no_number_is_refused_by_name(field: str, value: str) -> None:
    body = next(case.body for case in HOSTILE[field] if case.value == value)
    assert {path.replace(".*.", ".") for path in read_deployment(body).refused} == {field}


def test_all_of_them_at_once() -> None:
    found = list(series(page_of(*(case.body for case in ALL))))
    assert len(found) == len(set(found))
    shown = {value for name, labels in found for label, value in labels if label == "deployment"}
    assert shown == {case.name for case in ALL}


@pytest.mark.needs("promtool")
def test_promtool_reads_all_of_them_at_once() -> None:
    page = page_of(*(case.body for case in ALL)).encode()
    done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
