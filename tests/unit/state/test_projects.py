from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from exporter.api.errors import ApiError, InternalError, InvalidResponse, NotFound, ServerError
from exporter.api.listing import Item, Listing, Unreadable
from exporter.api.models import Deployment, Dropped, Queue, Replica
from exporter.api.reading import Reading, read_object
from exporter.state.instant import Instant
from exporter.state.projects import (
    after_failed_list,
    after_failed_one,
    after_failed_queue,
    after_list,
    after_one,
    after_queue,
    queues_of,
    reconfigured,
)
from exporter.state.records import Limits, Project, Record, Target
from tests.pipeline import at, run

DOWN = ServerError("HTTP 503")
GONE = NotFound("HTTP 404")
LISTED = Target("p", stale_after=60.0, has_scaling_queues=True)
EACH = Target("p", ("a",), is_listed=False)
SCALED = {"metric": "QueueBacklogPerWorker", "target": 1.0}


def item(id_: str | None, name: str | None = None, **more: Any) -> Reading:
    return Reading(Deployment(id=id_, name=name, **more))


def listed(before: Project, *items: Item, second: float = 0.0, **more: Any) -> Project:
    return run(after_list(before, Listing(items, **more), at(second)))


def polled(before: Project, key: str, reading: Reading, second: float = 0.0) -> Project:
    return run(after_one(before, key, reading, at(second)))


def errors(project: Project) -> dict[str, str | None]:
    """The reason of each record's failed poll."""
    return {key: record.poll.error.reason if record.poll.error else None for key, record in project.records.items()}


def state_of(record: Record) -> Deployment:
    assert record.state is not None
    return record.state.deployment


def test_a_good_answer_makes_a_record() -> None:
    project = polled(Project(EACH), "a", item("1", "a", status="Ready"), 5)
    record = project.records["a"]
    assert (record.name, record.poll.error, record.poll.succeeded) == ("a", None, at(5))
    assert state_of(record).status == "Ready"


def test_one_by_one_too_a_replica_takes_the_time_from_its_first_sight_to_start() -> None:
    waiting = polled(
        polled(Project(EACH), "a", item("1", replica_events={})), "a", item("1", replica_events={"r": Replica()}), 10
    )
    ready = Replica(replica_status="Running", replica_ready_since=datetime.fromtimestamp(at(25).unix, UTC).isoformat())
    counts = polled(waiting, "a", item("1", replica_events={"r": ready}), 30).records["a"].history.counts
    assert (counts.startups, counts.startup_seconds) == (1, 15.0)


def test_an_equal_answer_keeps_the_very_state_and_history() -> None:
    before = polled(Project(EACH), "a", item("1", "a", status="Ready"), 0)
    after = polled(before, "a", item("1", "a", status="Ready"), 5)
    assert after.records["a"].state is before.records["a"].state
    assert after.records["a"].history is before.records["a"].history
    assert after.records["a"].poll.succeeded == at(5)


@pytest.mark.parametrize(("name", "id_", "shown"), [("n", "1", "n"), (None, "1", "1"), (None, None, "a")])
def test_a_deployment_is_called_by_its_name_else_its_id_else_its_key(
    name: str | None, id_: str | None, shown: str
) -> None:
    assert polled(Project(EACH), "a", item(id_, name, status="Ready")).records["a"].name == shown


@pytest.mark.parametrize("error", [DOWN, InvalidResponse("no JSON"), InternalError("KeyError")], ids=lambda e: e.reason)
def test_a_failed_poll_keeps_the_state_and_the_time_of_the_last_success(error: ApiError) -> None:
    before = polled(Project(EACH), "a", item("1", "n"), 5)
    record = after_failed_one(before, "a", error).records["a"]
    assert record.state is before.records["a"].state
    assert (record.name, record.poll.error, record.poll.succeeded) == ("n", error, at(5))


def test_a_404_ends_the_state_at_once() -> None:
    before = polled(Project(EACH), "a", item("1", "a"), 5)
    record = after_failed_one(before, "a", GONE).records["a"]
    assert (record.state, record.poll.error, record.poll.succeeded) == (None, GONE, at(5))


def test_a_first_poll_that_fails_makes_a_record_too() -> None:
    record = after_failed_one(Project(EACH), "a", DOWN).records["a"]
    assert (record.name, record.state, record.poll.succeeded) == ("a", None, None)


@pytest.mark.parametrize("target", [Target("p"), Target("p", ("b",), is_listed=False)], ids=["listed", "another key"])
def test_an_answer_that_nobody_asks_for_any_more_changes_nothing(target: Target) -> None:
    before = Project(target)
    assert polled(before, "a", item("1", "a")) is before
    assert after_failed_one(before, "a", DOWN) is before


def test_a_list_for_a_project_that_is_polled_one_by_one_changes_nothing() -> None:
    before = Project(EACH)
    assert listed(before, item("1", "a")) is before
    assert after_failed_list(before, DOWN) is before


def test_what_a_complete_list_lacks_is_gone() -> None:
    before = listed(Project(LISTED), item("1", "a"), item("2", "b"))
    after = listed(before, item("2", "b"), second=1)
    assert list(after.records) == ["2"]
    assert list(after.absent) == ["1"]


def test_what_is_configured_and_listed_beyond_the_limit_is_not_taken_for_gone() -> None:
    target = Target("p", ("a", "b"), limits=Limits(max_deployments_per_project=1))
    project = listed(Project(target), item("1", "a"), item("2", "b"))
    assert project.dropped == (Dropped("deployment_limit"),)
    assert errors(project) == {"a": None}
    assert errors(listed(project, item("2", "b"), second=1)) == {"b": None, "a": "not_found"}
    incomplete = listed(project, item("1", "a"), item("2", "b"), second=1, is_complete=False)
    assert errors(incomplete) == {"a": None}


def test_what_is_configured_and_comes_beyond_the_limit_goes_on_with_its_counters_when_there_is_room() -> None:
    target = Target("p", ("a", "b"), limits=Limits(max_deployments_per_project=1))
    project = listed(Project(target), item("2", "b", status="Ready"))
    project = listed(project, item("1", "a"), item("2", "b", status="Ready"), second=1)
    assert list(project.absent) == ["b"]
    project = listed(project, item("2", "b", status="Failed"), second=2)
    assert project.records["b"].history.counts.status_changes == {"Failed": 1}


def test_a_failed_list_stays_within_the_limit_too() -> None:
    target = Target("p", ("b", "a", "c"), limits=Limits(max_deployments_per_project=2))
    assert errors(after_failed_list(Project(target), DOWN)) == {"a": "server_error", "b": "server_error"}
    project = listed(Project(target), item("1", "a"), item("2", "b"), item("3", "c"))
    assert errors(after_failed_list(project, DOWN)) == {"a": "server_error", "b": "server_error"}


def test_what_is_configured_and_not_listed_is_not_found() -> None:
    target = Target("p", ("a", "2"))
    before = listed(Project(target), item("1", "a"), item("2", "b"))
    after = listed(before, item("2", "b"), second=1)
    assert errors(after) == {"2": None, "a": "not_found"}
    assert after.records["a"].state is None
    assert errors(listed(Project(target), item("2", "b"))) == {"2": None, "a": "not_found"}


@pytest.mark.parametrize("target", [LISTED, Target("p", ("a", "2"))], ids=["discovered", "configured"])
def test_what_an_incomplete_list_lacks_is_kept_as_in_a_failed_poll(target: Target) -> None:
    before = listed(Project(target), item("1", "a"), item("2", "b"))
    after = listed(before, item("2", "b"), second=1, is_complete=False)
    kept = "1" if target is LISTED else "a"
    assert errors(after) == {"2": None, kept: "invalid_response"}
    assert after.records[kept].state is before.records[kept].state
    assert after.records[kept].poll.succeeded == at(0)
    assert after.listing is not None
    assert after.listing.error is None


def test_what_an_incomplete_list_lacks_stays_within_the_limit() -> None:
    """Else a list that is never complete would grow by each deployment that ever was."""
    target = replace(LISTED, limits=Limits(max_deployments_per_project=3))
    project = listed(Project(target), item("1"), item("2"), item("3"))
    project = listed(project, item("4"), item("5"), second=1, is_complete=False)
    assert list(project.records) == ["4", "5", "1"]
    assert errors(project) == {"4": None, "5": None, "1": "invalid_response"}


def test_what_an_incomplete_list_lacks_and_is_configured_has_a_record() -> None:
    after = listed(Project(Target("p", ("a",))), is_complete=False)
    assert errors(after) == {"a": "invalid_response"}


def test_a_failed_list_stands_for_all_deployments() -> None:
    before = listed(Project(Target("p", ("a", "b"))), item("1", "a"))
    after = after_failed_list(before, DOWN)
    assert errors(after) == {"a": "server_error", "b": "server_error"}
    assert after.records["a"].state is before.records["a"].state
    assert after.listing is not None
    assert (after.listing.error, after.listing.succeeded) == (DOWN, at(0))
    assert after_failed_list(Project(LISTED), DOWN).listing is not None


def test_a_404_for_the_list_is_never_taken_for_all_gone() -> None:
    before = listed(Project(LISTED), item("1", "a"))
    after = after_failed_list(before, GONE)
    assert errors(after) == {"1": "invalid_response"}
    assert after.records["1"].state is before.records["1"].state
    assert after.listing is not None
    assert after.listing.error is not None
    assert after.listing.error.reason == "invalid_response"


def test_an_unreadable_item_is_a_failed_poll_of_that_deployment_alone() -> None:
    before = listed(Project(LISTED), item("1", "a"), item("2", "b"))
    large = Unreadable("1", "c", InvalidResponse("too large"))
    after = listed(before, large, item("2", "b"), second=1)
    assert errors(after) == {"1": "invalid_response", "2": None}
    assert (after.records["1"].name, after.records["1"].state) == ("c", before.records["1"].state)
    new = listed(Project(LISTED), Unreadable("1", None, InvalidResponse("too large")))
    assert (new.records["1"].name, new.records["1"].state) == ("1", None)


def test_what_the_list_brought_and_is_left_out_is_remembered() -> None:
    target = replace(LISTED, limits=Limits(max_deployments_per_project=1))
    after = listed(Project(target), item("1"), item("2"), dropped=(Dropped("invalid_value"),))
    assert after.dropped == (Dropped("invalid_value"), Dropped("deployment_limit"))
    assert listed(after, item("1")).dropped == ()


def counted(project: Project) -> dict[str, int]:
    return dict(project.records["1"].history.counts.status_changes)


@pytest.mark.parametrize(
    ("back_at", "changes"), [(30.0, {"Failed": 1, "Ready": 1}), (89.9, {"Failed": 1, "Ready": 1}), (90.0, {})]
)
def test_counters_go_on_where_a_deployment_is_back_before_it_would_be_stale(
    back_at: float, changes: dict[str, int]
) -> None:
    project = listed(Project(LISTED), item("1", status="Ready"))
    project = listed(project, item("1", status="Failed"), second=10)
    project = listed(project, second=30)
    project = listed(project, item("1", status="Ready"), second=back_at)
    assert counted(project) == changes


def test_one_that_is_gone_for_long_is_forgotten() -> None:
    project = listed(listed(Project(LISTED), item("1")), second=10)
    assert list(listed(project, second=69).absent) == ["1"]
    assert list(listed(project, second=70).absent) == []


LIMITS = Limits(max_replicas_per_deployment=2)
REPLICAS = {name: Replica() for name in "dbca"}


@pytest.mark.parametrize(
    ("limits", "shown", "dropped"),
    [
        (Limits(), "abcd", ()),
        (LIMITS, "ab", (Dropped("replica_limit", "replica_events", 2),)),
        (Limits(replica_metrics=False), "", ()),
        (Limits(max_replicas_per_deployment=0), "", (Dropped("replica_limit", "replica_events", 4),)),
    ],
    ids=["all", "two", "none wanted", "none allowed"],
)
def test_replicas_beyond_the_limit_are_left_out(limits: Limits, shown: str, dropped: tuple[Dropped, ...]) -> None:
    before = polled(Project(replace(EACH, limits=limits)), "a", item("1", replica_events=REPLICAS))
    state = before.records["a"].state
    assert state is not None
    assert "".join(name for name, _ in state.replicas) == shown
    assert state.dropped == dropped
    others = polled(Project(EACH), "a", item("1", replica_events=REPLICAS))
    again = reconfigured(others, replace(EACH, limits=limits)).records["a"].state
    assert again == state


def queue(waiting: float) -> Queue:
    return Queue(messages_waiting=waiting)


def test_queues_are_those_that_scale_a_deployment_and_those_configured() -> None:
    project = listed(
        Project(replace(LISTED, queues=("extra", "b"))),
        item("1", "b", autoscaling=SCALED),
        item("2", "c", autoscaling={**SCALED, "model": "m"}),
        item("3", "d", autoscaling={"metric": "HTTPTotalRequests"}),
        item("4", "e"),
    )
    assert queues_of(project.records, project.target) == ["b", "extra", "m"]


@pytest.mark.parametrize(("error", "kept"), [(DOWN, queue(3)), (GONE, None)], ids=["503", "404"])
def test_a_queue_that_fails_keeps_its_counts_but_for_a_404(error: ApiError, kept: Queue | None) -> None:
    before = after_queue(Project(LISTED), "q", queue(3), at(5))
    after = after_failed_queue(before, "q", error, at(9)).queues["q"]
    assert (after.counts, after.poll.error, after.poll.succeeded) == (kept, error, at(5))
    assert after_failed_queue(Project(LISTED), "q", error, at(9)).queues["q"].counts is None


def test_a_reload_ends_queues_that_nobody_asks_for() -> None:
    target = replace(LISTED, queues=("x", "y"))
    before = after_queue(after_queue(Project(target), "x", queue(1), at(0)), "y", queue(2), at(0))
    assert list(reconfigured(before, replace(LISTED, queues=("y",))).queues) == ["y"]


def test_a_reload_without_scaling_queues_ends_them_at_once() -> None:
    target = replace(LISTED, queues=("extra",))
    project = listed(Project(target), item("1", "a", autoscaling=SCALED))
    for name in ("a", "extra"):
        project = after_queue(project, name, queue(1), at(0))
    assert list(reconfigured(project, replace(target, has_scaling_queues=False)).queues) == ["extra"]


def test_a_list_forgets_the_queues_of_deployments_that_are_gone() -> None:
    """Else memory would grow with each queue that ever was."""
    project = listed(Project(LISTED), item("1", "a", autoscaling=SCALED), item("2", "b", autoscaling=SCALED))
    for name in ("a", "b"):
        project = after_queue(project, name, queue(1), at(0))
    project = listed(project, item("2", "b", autoscaling=SCALED), second=1)
    assert list(project.queues) == ["b"]


def test_what_is_built_changes_nothing_of_what_was() -> None:
    moment: Instant = at(1)
    before = listed(Project(LISTED), item("1", "a"), item("2", "b"))
    records, absent = dict(before.records), dict(before.absent)
    listed(before, item("2", "c", status="Failed"), second=1)
    after_failed_list(before, DOWN)
    after_queue(before, "q", queue(1), moment)
    reconfigured(before, Target("p", include=("b",)))
    assert (before.records, before.absent, before.queues) == (records, absent, {})


def test_a_name_or_an_id_that_is_left_out_once_changes_nothing() -> None:
    before = listed(Project(Target("p")), item("1", "chat"), item("2", "embed"))
    without_name = listed(before, read_object({"id": "1", "status": "Ready"}), item("2", "embed"))
    assert [record.name for record in without_name.records.values()] == ["chat", "embed"]
    without_id = listed(before, read_object({"name": "chat", "status": "Ready"}), item("2", "embed"))
    assert sorted(without_id.records) == ["1", "2"]
    too_large = listed(before, Unreadable("1", None, InvalidResponse("too large")), item("2", "embed"))
    assert too_large.records["1"].name == "chat"


def test_a_deployment_polled_alone_keeps_its_name_where_id_and_name_are_left_out() -> None:
    before = polled(Project(EACH), "a", item("1", "chat"))
    assert polled(before, "a", read_object({"status": "Ready"})).records["a"].name == "chat"
    assert polled(before, "a", read_object({"id": "2"})).records["a"].name == "2"
