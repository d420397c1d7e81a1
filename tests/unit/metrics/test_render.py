from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.api.errors import ApiError
from exporter.metrics.page import FORMATS, Page
from exporter.metrics.render import Renderer
from exporter.state.records import Snapshot, Target
from tests.examples import examples
from tests.hostile import WELL
from tests.pipeline import Pipeline, deployment, failure, listing, run
from tests.unit.metrics.client_library import generated
from tests.unit.metrics.goldens import snapshot_of
from tests.unit.state.stepping import cancelled_everywhere, stepped

PRICES = {"h100-80gb": 2.5, "b200-192gb": 0.0}
LISTED = Target("p", stale_after=60.0)


def rendered(renderer: Renderer, snapshot: Snapshot) -> Page:
    return run(renderer.render(snapshot))


def whole(page: Page) -> bytes:
    return b"".join(page.pieces("text"))


def test_a_page_says_whether_everything_has_been_polled() -> None:
    pipeline = Pipeline(LISTED)
    assert not pipeline.page().is_ready
    pipeline.list("p", failure("timeout"))
    assert pipeline.page().is_ready


def test_prices_are_on_the_page_and_families_without_samples_are_not() -> None:
    text = whole(rendered(Renderer(PRICES), Snapshot())).decode()
    assert [line for line in text.splitlines() if not line.startswith("# HELP")] == [
        "# TYPE together_gpu_hourly_cost gauge",
        'together_gpu_hourly_cost{gpu_type="b200-192gb"} 0.0',
        'together_gpu_hourly_cost{gpu_type="h100-80gb"} 2.5',
    ]
    assert whole(rendered(Renderer({}), Snapshot())) == b""


def rows(page: Page, family: str) -> dict[bytes, bytes]:
    (block,) = [block for block in page.blocks if block.family.name == family]
    lines = [row[block.index] for row in block.rows]
    return {line.partition(b'deployment="')[2].partition(b'"')[0]: line for line in lines}


def test_a_deployment_that_did_not_change_keeps_its_very_lines() -> None:
    pipeline = Pipeline(LISTED)
    pipeline.list("p", listing(deployment("1", "a", status="Ready"), deployment("2", "b", status="Ready")), 0)
    before = pipeline.page(0)
    pipeline.list("p", listing(deployment("1", "a", status="Ready"), deployment("2", "b", status="Failed")), 1)
    after = pipeline.page(1)
    for family in ("together_deployment_status", "together_deployment_replicas_started_total"):
        assert rows(after, family)[b"a"] is rows(before, family)[b"a"]
    assert rows(after, "together_deployment_status")[b"b"] != rows(before, "together_deployment_status")[b"b"]


def test_lines_go_with_the_name_not_with_the_place() -> None:
    pipeline = Pipeline(LISTED)
    pipeline.list("p", listing(deployment("1", "a", status="Ready"), deployment("2", "b", status="Failed")), 0)
    pipeline.page(0)
    pipeline.list("p", listing(deployment("1", "b", status="Ready"), deployment("2", "a", status="Failed")), 1)
    assert whole(pipeline.page(1)) == generated(pipeline.snapshot(1), {}, "text")


def test_a_page_stays_as_it_is_while_the_next_one_is_rendered() -> None:
    pipeline = Pipeline(LISTED)
    renderer = Renderer(PRICES)
    pipeline.list("p", listing(*({**WELL, **deployment(str(number))} for number in range(5))), 0)
    page = rendered(renderer, pipeline.snapshot(0))
    before = whole(page)
    pipeline.list("p", listing(*(deployment(str(number), status="Failed") for number in range(3, 8))), 1)
    turns: list[bytes] = []
    after = stepped(renderer.render(pipeline.snapshot(1)), lambda _: turns.append(whole(page)))
    assert len(turns) > 5
    assert set(turns) == {before} == {whole(page)}
    assert whole(after) == generated(pipeline.snapshot(1), PRICES, "text") != before


def test_rendering_that_is_cancelled_anywhere_begins_anew() -> None:
    renderer, snapshot = Renderer(PRICES), snapshot_of("states")
    rendered(renderer, snapshot_of("counted"))
    for turn, _ in cancelled_everywhere(lambda: renderer.render(snapshot)):
        assert turn < 500
    assert whole(rendered(renderer, snapshot)) == generated(snapshot, PRICES, "text")


@pytest.mark.parametrize("format_", FORMATS)
def test_what_is_rendered_before_does_not_show(format_: Any) -> None:
    renderer = Renderer(PRICES)
    for case in ("rollout", "unknown", "failures", "null", "rollout", "queues", "dropped", "failures"):
        page = rendered(renderer, snapshot_of(case))
        assert b"".join(page.pieces(format_)) == generated(snapshot_of(case), PRICES, format_), case
        assert page.length(format_) == len(b"".join(page.pieces(format_)))


def test_a_projects_name_may_be_any_text() -> None:
    odd = 'a "b" \\ %s\né'
    pipeline = Pipeline(replace(LISTED, project=odd))
    pipeline.list(odd, listing(deployment("1", odd)))
    assert whole(pipeline.page()) == generated(pipeline.snapshot(), {}, "text")


names = st.sampled_from(["a", "b", 'c "quoted"', "d\\é", "e%s"])
replicas = st.dictionaries(
    st.sampled_from(["r-0", "r-1", "r-%d"]),
    st.fixed_dictionaries({"replica_status": st.sampled_from(["Running", "Waiting", "New"])}),
)
item = st.builds(
    lambda name, status, events: {**WELL, **deployment(name, status=status, replica_events=events)},
    names,
    st.sampled_from(["Ready", "Failed", "100%"]),
    replicas,
)
poll = st.one_of(st.lists(item, max_size=6), st.sampled_from([failure("not_found"), failure("server_error")]))


@settings(max_examples=examples(60), deadline=None, derandomize=True, database=None)
@given(st.lists(st.tuples(poll, st.sampled_from([1, 70])), min_size=1, max_size=8))
def test_whatever_changes_the_page_is_what_prometheus_client_would_write(
    polls: list[tuple[list[dict[str, Any]] | ApiError, int]],
) -> None:
    pipeline, second = Pipeline(LISTED), 0
    for outcome, later in polls:
        second += later
        pipeline.list("p", outcome if isinstance(outcome, ApiError) else listing(*outcome), second)
        page, snapshot = pipeline.page(second), pipeline.snapshot(second)
        assert whole(page) == generated(snapshot, {}, "text")
        assert page.length("text") == len(whole(page))
