"""Whatever comes, goes and changes, what is drawn bit by bit is what prometheus_client would write, byte for byte."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from exporter.api.errors import ApiError, NotFound, ServerError
from exporter.api.listing import read_list
from exporter.metrics.collector import ViewCollector
from exporter.metrics.exposition import Exposition
from exporter.records import Instant, Target, View
from exporter.store import Store
from tests.hostile import WELL

NAMES = ["a", "b", 'c "quoted"', "d\\é", "e%s"]
replicas = st.dictionaries(st.sampled_from(["r-0", "r-1", "r-%d"]), st.sampled_from(["Running", "Waiting", "New"]))
item = st.fixed_dictionaries(
    {"name": st.sampled_from(NAMES), "status": st.sampled_from(["Ready", "Failed", "100%"]), "replicas": replicas}
)
poll = st.one_of(st.lists(item, max_size=6), st.sampled_from([NotFound("gone"), ServerError("HTTP 500")]))


def body(items: list[dict[str, Any]]) -> bytes:
    data = [
        {
            **WELL,
            "id": each["name"],
            **each,
            "replica_events": {r: {"replica_status": s} for r, s in each["replicas"].items()},
        }
        for each in items
    ]
    return json.dumps({"data": data}).encode()


def oracle(view: View) -> bytes:
    registry = CollectorRegistry()
    registry.register(ViewCollector(view, {}))
    return generate_latest(registry)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.lists(poll, min_size=1, max_size=8))
def test_drawing_bit_by_bit_is_drawing_anew(polls: list[list[dict[str, Any]] | ApiError]) -> None:
    store, exposition = Store([Target("p")]), Exposition({})
    for number, outcome in enumerate(polls):
        now = Instant(float(number), 1775001600.0 + number)
        if isinstance(outcome, ApiError):
            store.fail_list("p", outcome)
        else:
            store.apply_list("p", read_list(body(outcome)), now)
        view = store.view(now)
        assert exposition.render(view, "text") == Exposition({}).render(view, "text") == oracle(view)
