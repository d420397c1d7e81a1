"""What must hold for any bytes that the API may answer, on their way to the page."""

from __future__ import annotations

import json
from collections import Counter

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from exporter.api.errors import InvalidResponse
from exporter.api.listing import read_list
from exporter.api.models import MAX_ENTRIES, MAX_LABEL, read_deployment
from exporter.metrics.exposition import Exposition
from exporter.metrics.families import MAX_STATUSES
from exporter.records import Instant, Limits, Target
from exporter.store import Store
from tests.hostile import WELL

MAX_REPLICAS, MAX_DEPLOYMENTS = 5, 4
LIMITS = Limits(max_replicas_per_deployment=MAX_REPLICAS, max_deployments_per_project=MAX_DEPLOYMENTS)
# Of one deployment: its scalar fields, states and counters, its replicas', and what comes in lists.
MOST_SERIES = 100 + 20 * MAX_REPLICAS + 2 * MAX_ENTRIES + 2 * MAX_STATUSES
NOW = Instant(1.0, 1775001600.0)
GOOD = json.dumps({"id": "good", "name": "x", **WELL}).encode()
Series = tuple[str, frozenset[tuple[str, str]]]


def keeps_its_promises(answer: bytes) -> None:
    """The answer comes once for one deployment and once for a list, each beside another that is well."""
    store = Store([Target("each", ("x", "well"), False, LIMITS), Target("list", None, True, LIMITS)])
    exposition = Exposition({})
    _poll(store, "well", GOOD)
    well = _lines_of(_page(exposition, store), "each", "well")
    assert well
    for _ in range(2):
        _poll(store, "x", answer)
        _poll_list(store, answer)
        page = _page(exposition, store)
        assert _lines_of(page, "each", "well") == well
    _check(page)
    openmetrics = exposition.render(store.view(NOW), "openmetrics") + b"# EOF\n"
    list(openmetrics_families(openmetrics.decode()))  # type: ignore[no-untyped-call]  # has no annotations
    assert exposition.render(store.view(NOW), "text") == Exposition({}).render(store.view(NOW), "text")
    _poll(store, "x", GOOD)
    fresh = Store([Target("each", ("x",), False, LIMITS)])
    _poll(fresh, "x", GOOD)
    now, expected = (_lines_of(_page(Exposition({}), each), "each", "x") for each in (store, fresh))
    assert expected <= now | {line for line in expected if "status_changes" in line}


def _poll(store: Store, key: str, body: bytes) -> None:
    body = body.replace(b'"name": "x"', b'"name": "%s"' % key.encode()) if body is GOOD else body
    try:
        store.apply("each", key, read_deployment(body).deployment, NOW)
    except InvalidResponse as error:
        store.fail("each", key, error)


def _poll_list(store: Store, body: bytes) -> None:
    for form in (body, b'{"data": [' + body + b"]}", b'{"data": [' + body + b"," + body + b"," + GOOD + b"]}"):
        try:
            store.apply_list("list", read_list(form), NOW)
        except InvalidResponse as error:
            store.fail_list("list", error)


def _page(exposition: Exposition, store: Store) -> str:
    return exposition.render(store.view(NOW), "text").decode()


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


def _lines_of(page: str, project: str, deployment: str) -> set[str]:
    wanted = (f'project="{project}"', f'deployment="{deployment}"')
    return {line for line in page.split("\n") if all(label in line for label in wanted)}
