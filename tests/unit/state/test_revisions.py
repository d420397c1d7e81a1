"""The current revision of each deployment: read once, shown while it is current, kept apart from the other fetches."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.api.errors import ApiError, Forbidden, InvalidResponse, NotFound, ServerError
from exporter.api.listing import Listing
from exporter.api.models import REVISION_VARIABLE, Revision
from exporter.api.reading import read_object
from exporter.state.projects import after_list, after_revision, due_revisions
from exporter.state.records import RETRY_REFUSED, Project, Target
from tests.pipeline import Pipeline, answer, at, deployment, listing, run

READ = Target("p", stale_after=1e9, has_revisions=True)


def at_revision(id_: str, revision: str, **more: Any) -> dict[str, Any]:
    return deployment(id_, environment_variables=[{"name": REVISION_VARIABLE, "value": revision}], **more)


def revisions(*ids: str) -> bytes:
    return answer({"data": [{"revision_id": each, "revision_number": 7, "action": "update"} for each in ids]})


@pytest.fixture
def pipeline() -> Pipeline:
    found = Pipeline(READ)
    found.list("p", listing(at_revision("1", "r1"), at_revision("2", "r1"), deployment("3")))
    return found


def value(pipeline: Pipeline) -> Project:
    project = pipeline.store.project("p")
    assert project is not None
    return project


def due(pipeline: Pipeline, second: float = 0.0) -> list[str]:
    return due_revisions(value(pipeline), at(second))


def shown(pipeline: Pipeline, key: str, second: float = 0.0) -> Revision | None:
    return pipeline.shown(second)[key].revision


def test_a_revision_is_read_once_and_again_when_it_changes(pipeline: Pipeline) -> None:
    assert due(pipeline) == ["1", "2"], "3 does not say which one is current"
    pipeline.revision("p", "1", revisions("r1"))
    assert due(pipeline, 1e6) == ["2"]
    assert shown(pipeline, "1") == Revision(revision_id="r1", revision_number=7, action="update")
    pipeline.list("p", listing(at_revision("1", "r2"), at_revision("2", "r1")), 30)
    assert due(pipeline, 30) == ["1", "2"]
    assert shown(pipeline, "1", 30) is None, "it is not the current one any more"


def test_a_list_that_changes_nothing_keeps_the_very_revision(pipeline: Pipeline) -> None:
    pipeline.revision("p", "1", revisions("r1"))
    before = shown(pipeline, "1")
    pipeline.list("p", listing(at_revision("1", "r1", status="Failed"), at_revision("2", "r1")), 30)
    assert shown(pipeline, "1", 30) is before


@pytest.mark.parametrize("error", [NotFound("HTTP 404"), InvalidResponse("not JSON")], ids=["404", "nonsense"])
def test_one_that_is_refused_is_tried_again_after_an_hour_and_after_the_others(
    error: ApiError, pipeline: Pipeline
) -> None:
    pipeline.revision("p", "1", error, 5)
    assert due(pipeline, 5) == ["2"]
    assert due(pipeline, 5 + RETRY_REFUSED - 1) == ["2"]
    assert due(pipeline, 5 + RETRY_REFUSED) == ["2", "1"]
    assert shown(pipeline, "1", 5) is None


def test_a_key_that_may_not_read_revisions_is_not_tried_for_any_for_an_hour(pipeline: Pipeline) -> None:
    pipeline.revision("p", "1", Forbidden("HTTP 403"), 5)
    assert (due(pipeline, 6), due(pipeline, 5 + RETRY_REFUSED)) == ([], ["2", "1"])


@pytest.mark.parametrize("outcome", [ServerError("HTTP 503"), revisions("older"), revisions("r9", "r1")])
def test_what_may_be_right_in_a_moment_is_read_again_at_the_next_poll(
    outcome: bytes | ApiError, pipeline: Pipeline
) -> None:
    pipeline.revision("p", "1", outcome, 5)
    assert due(pipeline, 6) == ["2", "1"]
    assert shown(pipeline, "1", 6) is None


def test_a_body_without_revisions_is_nonsense(pipeline: Pipeline) -> None:
    for body in (b"[]", b"{}", b'{"data": []}', b'{"data": null}', b'{"data": [3]}', b"<html>"):
        pipeline.revision("p", "1", body, 5)
        state = value(pipeline).revisions["1"]
        assert isinstance(state.poll.error, InvalidResponse), body


def test_an_answer_about_a_deployment_that_is_gone_changes_nothing(pipeline: Pipeline) -> None:
    before = value(pipeline)
    pipeline.revision("p", "gone", revisions("r1"))
    pipeline.revision("p", "3", revisions("r1"))
    assert value(pipeline) is before


def test_what_has_left_the_list_or_the_configuration_leaves_no_revision(pipeline: Pipeline) -> None:
    """Else memory would grow with each deployment that ever was."""
    for key in ("1", "2"):
        pipeline.revision("p", key, revisions("r1"))
    pipeline.list("p", listing(at_revision("2", "r1")), 30)
    assert list(value(pipeline).revisions) == ["2"]
    pipeline.configure(Target("p", stale_after=1e9))
    assert value(pipeline).revisions == {}
    assert due(pipeline, 30) == ["2"]


def test_a_reload_that_leaves_revisions_on_keeps_them(pipeline: Pipeline) -> None:
    pipeline.revision("p", "1", revisions("r1"))
    before = shown(pipeline, "1")
    pipeline.configure(Target("p", stale_after=60.0, has_revisions=True))
    assert shown(pipeline, "1") is before


def test_a_stale_deployment_shows_no_revision() -> None:
    pipeline = Pipeline(Target("p", stale_after=60.0, has_revisions=True))
    pipeline.list("p", listing(at_revision("1", "r1")))
    pipeline.revision("p", "1", revisions("r1"))
    assert shown(pipeline, "1", 59) is not None
    assert shown(pipeline, "1", 60) is None


@pytest.mark.parametrize(("listed", "kept"), [(("1", "2"), ["1"]), (("2",), [])], ids=["still listed", "gone"])
def test_a_revision_committed_while_a_list_is_built_does_not_hold_it_up(
    listed: tuple[str, ...], kept: list[str], pipeline: Pipeline
) -> None:
    before = value(pipeline)
    items = Listing(tuple(read_object(at_revision(id_, "r1")) for id_ in listed))
    after = run(after_list(before, items, at(30)))
    pipeline.revision("p", "1", revisions("r1"), 30)
    assert pipeline.store.commit(before, after)
    assert list(value(pipeline).revisions) == kept


def test_a_newest_revision_that_stays_another_one_is_asked_for_rarely() -> None:
    before = Project(Target("p", has_revisions=True))
    deployment = read_object({"id": "1", "environment_variables": [{"name": REVISION_VARIABLE, "value": "rev-1"}]})
    before = run(after_list(before, Listing((deployment,)), at(0)))
    assert due_revisions(before, at(0)) == ["1"]
    once = after_revision(before, "1", Revision(revision_id="rev-0"), at(1))
    assert due_revisions(once, at(2)) == ["1"], "the list may be older than the revision"
    twice = after_revision(once, "1", Revision(revision_id="rev-0"), at(2))
    assert due_revisions(twice, at(3)) == []
    assert due_revisions(twice, at(4000)) == ["1"]
