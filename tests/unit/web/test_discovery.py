"""/api/v1/sd: its targets, and when it has none."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.labels import Labels
from exporter.state.records import Target
from exporter.web.discovery import PATH, build
from tests.pipeline import Pipeline, at, deployment, failure, listing, run
from tests.unit.web.asgi import serving

META = "__meta_together_deployment"
OWN = Labels(common={"label_team": "search"})


async def answer(pipeline: Pipeline, second: float = 0.0, *, is_ready: bool = True, method: str = "GET") -> Any:
    app = build(lambda: pipeline.store.snapshot(at(second)), lambda: is_ready)
    async with serving(app) as client:
        return await client.request(method, PATH)


def groups(pipeline: Pipeline, second: float = 0.0) -> list[dict[str, Any]]:
    response = run(answer(pipeline, second))
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    found: list[dict[str, Any]] = response.json()
    return found


def names(pipeline: Pipeline, second: float = 0.0) -> list[str]:
    return [name for group in groups(pipeline, second) for name in group["targets"]]


def with_list(*items: dict[str, Any], **target: Any) -> Pipeline:
    pipeline = Pipeline(Target("research", **{"stale_after": 60.0, **target}))
    pipeline.list("research", listing(*items))
    return pipeline


def test_a_deployment_is_one_target_with_what_one_relabels_by() -> None:
    item = deployment("dep-1", "chat", status="Ready", min_replicas="0", gpu_type="h100-80gb")
    assert groups(with_list(item, labels=OWN)) == [
        {
            "targets": ["chat"],
            "labels": {
                "__meta_together_project": "research",
                META: "chat",
                f"{META}_id": "dep-1",
                f"{META}_status": "Ready",
                f"{META}_min_replicas": "0",
                f"{META}_gpu_type": "h100-80gb",
                f"{META}_label_team": "search",
            },
        }
    ]


def test_what_the_api_leaves_out_is_left_out() -> None:
    (group,) = groups(with_list(deployment("dep-1", "chat")))
    assert set(group["labels"]) == {"__meta_together_project", META, f"{META}_id"}


def test_a_stale_deployment_stays_and_one_that_is_gone_does_not() -> None:
    pipeline = with_list(deployment("1", "a"), deployment("2", "b"))
    pipeline.list("research", listing(deployment("1", "a")), 10)
    pipeline.list("research", failure("timeout"), 70)
    assert pipeline.shown(71)["a"].state is None
    assert names(pipeline, 71) == ["a"]


def test_a_deployment_that_was_never_read_is_no_target() -> None:
    pipeline = Pipeline(Target("research", ("a",), is_listed=False))
    pipeline.one("research", "a", failure("timeout"))
    assert names(pipeline) == []


def test_until_everything_has_been_polled_there_is_no_answer() -> None:
    """An empty list would make Prometheus drop the targets it has."""
    assert run(answer(with_list(deployment("1")), is_ready=False)).status_code == 503


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("POST", 405)])
def test_other_methods(method: str, status: int) -> None:
    assert run(answer(with_list(deployment("1")), method=method)).status_code == status


@pytest.mark.parametrize("name", ['a"b\\c', "a\nb", "{}", "ä\u2028", "../x", "<script>"])
def test_any_name_is_a_string_in_the_answer(name: str) -> None:
    (group,) = groups(with_list(deployment("dep-1", name)))
    assert group["targets"] == [group["labels"][META]]
    assert group["labels"][META].replace("\N{REPLACEMENT CHARACTER}", "\u2028") == name
