from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from exporter.api.errors import ApiError, NotFound, ServerError
from exporter.api.listing import Listing
from exporter.api.models import DROP_REASONS, Queue
from exporter.api.reading import read_object
from exporter.state.projects import after_failed_list, after_list, after_queue
from exporter.state.records import Limits, Project, Target
from exporter.state.store import Store
from tests.pipeline import Pipeline, answer, at, deployment, failure, listing, run
from tests.unit.state.stepping import cancelled_everywhere, stepped

DOWN = ServerError("HTTP 503")
LISTED = Target("p", stale_after=60.0, has_scaling_queues=True)
QUEUED = {"metric": "QueueBacklogPerWorker", "target": 1.0}


def each(*keys: str, project: str = "p") -> Target:
    return Target(project, keys, is_listed=False, stale_after=60.0)


def with_list(*items: dict[str, Any], target: Target = LISTED) -> Pipeline:
    pipeline = Pipeline(target)
    pipeline.list("p", listing(*items))
    return pipeline


def value(store: Store, project: str = "p") -> Project:
    found = store.project(project)
    assert found is not None
    return found


def test_a_commit_on_the_value_it_was_built_on_succeeds() -> None:
    store = Store([LISTED])
    before = value(store)
    after = replace(before, dropped=())
    assert store.commit(before, after)
    assert store.project("p") is after


def test_a_commit_on_another_value_changes_nothing() -> None:
    store = Store([LISTED])
    before = value(store)
    in_between = after_failed_list(before, DOWN)
    assert store.commit(before, in_between)
    assert not store.commit(before, after_failed_list(before, NotFound("late")))
    assert store.project("p") is in_between


def test_a_commit_of_a_project_that_is_not_configured_any_more_is_refused() -> None:
    store = Store([LISTED])
    before = value(store)
    store.configure([Target("other")])
    assert not store.commit(before, after_failed_list(before, DOWN))
    assert list(store.projects) == ["other"]


def test_a_commit_for_one_project_stands_beside_those_of_others() -> None:
    store = Store([LISTED, Target("q")])
    p, q = value(store), value(store, "q")
    assert store.commit(q, after_failed_list(q, DOWN))
    assert store.commit(p, after_failed_list(p, DOWN))


def test_a_reload_with_the_same_target_does_not_disturb_a_poll_under_way() -> None:
    store = Store([LISTED])
    before = value(store)
    store.configure([LISTED, Target("new")])
    assert store.commit(before, after_failed_list(before, DOWN))


def test_the_state_is_shown_until_it_is_stale() -> None:
    pipeline = with_list(deployment("1", "a"))
    pipeline.list("p", DOWN, 10)
    assert pipeline.shown(59.9)["a"].state is not None
    assert pipeline.shown(60)["a"].state is None
    assert pipeline.shown(60)["a"].record.poll.succeeded == at(0)


def test_a_snapshot_knows_when_something_of_it_is_stale() -> None:
    pipeline = Pipeline(each("a", "b"))
    pipeline.one("p", "a", answer(deployment("1", "a")), 0)
    pipeline.one("p", "b", answer(deployment("2", "b")), 10)
    assert pipeline.snapshot(20).expires == 60
    assert pipeline.snapshot(65).expires == 70
    assert pipeline.snapshot(70).expires == float("inf")
    pipeline.one("p", "a", NotFound("gone"), 80)
    assert pipeline.snapshot(80).expires == float("inf")


def test_a_snapshot_is_taken_again_only_where_something_is_new() -> None:
    pipeline = with_list(deployment("1", "a"))
    first = pipeline.snapshot(0)
    assert pipeline.snapshot(59) is first
    assert pipeline.store.is_current(first, at(59))
    assert not pipeline.store.is_current(first, at(60))
    assert pipeline.snapshot(60) is not first
    pipeline.list("p", listing(deployment("1", "a")), 61)
    assert not pipeline.store.is_current(first, at(1))


def test_deployments_are_sorted_by_project_and_name() -> None:
    pipeline = Pipeline(Target("q"), Target("p"))
    for project in ("q", "p"):
        pipeline.list(project, listing(deployment("1", "b"), deployment("2", "a"), deployment("3", "c")))
    assert [shown.project + shown.name for shown in pipeline.snapshot().deployments] == [
        "pa",
        "pb",
        "pc",
        "qa",
        "qb",
        "qc",
    ]


def test_two_under_one_name_are_both_shown_and_the_other_takes_it_with_the_list_in_which_the_first_is_gone() -> None:
    old, new = deployment("2", "a", created_at="2026-01-01T00:00:00Z"), deployment("1", "a")
    pipeline = with_list(new, old)
    assert {name: shown.record.key for name, shown in pipeline.shown().items()} == {"a": "2", "1": "1"}
    pipeline.list("p", listing(new), 1)
    assert {name: shown.record.key for name, shown in pipeline.shown(1).items()} == {"a": "1"}
    pipeline.list("p", listing(new, {**old, "name": "b"}), 2)
    assert {name: shown.record.key for name, shown in pipeline.shown(2).items()} == {"a": "1", "b": "2"}


def test_names_that_move_in_one_list_move_on_the_page_with_it() -> None:
    pipeline = with_list(deployment("2", "chat-new"), deployment("1", "chat"))
    pipeline.list("p", listing(deployment("2", "chat"), deployment("1", "chat-old")), 1)
    assert {name: shown.record.key for name, shown in pipeline.shown(1).items()} == {"chat": "2", "chat-old": "1"}


def changes(pipeline: Pipeline, second: float) -> dict[str, dict[str, int]]:
    return {name: dict(shown.history.counts.status_changes) for name, shown in pipeline.shown(second).items()}


def test_counters_start_again_under_another_name_and_another_id() -> None:
    pipeline = with_list(deployment("1", "a", status="Ready"))
    assert changes(pipeline, 0) == {"a": {}}
    pipeline.list("p", listing(deployment("1", "a", status="Failed")), 1)
    assert changes(pipeline, 1) == {"a": {"Failed": 1}}
    pipeline.list("p", listing(deployment("1", "b", status="Failed")), 2)
    assert changes(pipeline, 2) == {"b": {}}
    pipeline.list("p", listing(deployment("1", "b", status="Ready")), 3)
    assert changes(pipeline, 3) == {"b": {"Ready": 1}}
    pipeline.list("p", listing(deployment("2", "b", status="Failed")), 4)
    assert changes(pipeline, 4) == {"b": {}}


def test_counters_that_were_started_again_stay_so() -> None:
    pipeline = with_list(deployment("1", "a", status="Ready"))
    pipeline.snapshot(0)
    pipeline.list("p", listing(deployment("1", "b", status="Failed")), 1)
    assert changes(pipeline, 1) == {"b": {}}
    pipeline.list("p", listing(deployment("1", "b", status="Failed")), 2)
    assert changes(pipeline, 2) == {"b": {}}
    assert pipeline.shown(2)["b"].history is pipeline.shown(3)["b"].history


def test_a_deployment_whose_state_is_stale_keeps_its_counters() -> None:
    pipeline = with_list(deployment("1", "a", status="Ready"))
    pipeline.list("p", listing(deployment("1", "a", status="Failed")), 1)
    pipeline.list("p", DOWN, 2)
    assert changes(pipeline, 100) == {"a": {"Failed": 1}}


@pytest.mark.parametrize(
    ("answers", "reason", "succeeded"),
    [
        pytest.param([deployment("1", "a"), deployment("2", "b")], None, at(1), id="both"),
        pytest.param([deployment("1", "a"), DOWN], None, at(0), id="one"),
        pytest.param([NotFound("gone"), DOWN], None, None, id="a 404 is an answer"),
        pytest.param([DOWN, failure("timeout")], "server_error", None, id="none"),
    ],
)
def test_a_project_that_is_polled_one_by_one_succeeds_where_one_got_an_answer(
    answers: list[Any], reason: str | None, succeeded: object
) -> None:
    pipeline = Pipeline(each("a", "b"))
    for second, (key, each_answer) in enumerate(zip("ab", answers, strict=True)):
        assert pipeline.snapshot(second).projects == ()
        pipeline.one("p", key, each_answer if isinstance(each_answer, ApiError) else answer(each_answer), second)
    (project,) = pipeline.snapshot(5).projects
    assert (project.poll.error and project.poll.error.reason) == reason
    assert project.poll.succeeded == succeeded
    assert project.deployments == sum(isinstance(each_answer, dict) for each_answer in answers)


def test_a_reload_that_adds_a_deployment_hides_no_series_of_the_project() -> None:
    pipeline = Pipeline(each("a"))
    pipeline.one("p", "a", answer(deployment("1", "a")))
    assert len(pipeline.snapshot(0).projects) == 1
    pipeline.configure(each("a", "b"))
    assert len(pipeline.snapshot(1).projects) == 1
    assert pipeline.snapshot(1).is_ready
    pipeline.configure(each("a", "b", "c"))
    assert len(pipeline.snapshot(2).projects) == 1


def test_a_reload_that_replaces_all_deployments_waits_for_their_first_poll() -> None:
    pipeline = Pipeline(each("a"))
    pipeline.one("p", "a", answer(deployment("1", "a")))
    pipeline.configure(each("b"))
    assert (pipeline.snapshot(1).projects, pipeline.snapshot(1).is_ready) == ((), False)


def test_a_project_is_shown_after_its_first_list_whatever_the_result() -> None:
    pipeline = Pipeline(LISTED)
    assert (pipeline.snapshot(0).projects, pipeline.snapshot(0).is_ready) == ((), False)
    pipeline.list("p", DOWN, 1)
    snapshot = pipeline.snapshot(1)
    assert snapshot.is_ready
    (project,) = snapshot.projects
    assert (project.poll.error, project.poll.succeeded, project.deployments) == (DOWN, None, 0)


@pytest.mark.parametrize("target", [each(), replace(LISTED, keys=())], ids=["each", "list"])
def test_a_shard_without_deployments_says_nothing_about_the_project(target: Target) -> None:
    pipeline = Pipeline(target)
    assert (pipeline.snapshot(0).projects, pipeline.snapshot(0).is_ready) == ((), True)


def test_ready_when_every_project_has_been_polled_once() -> None:
    pipeline = Pipeline(LISTED, each("a", project="q"))
    pipeline.list("p", listing())
    assert not pipeline.snapshot(0).is_ready
    pipeline.one("q", "a", DOWN)
    assert pipeline.snapshot(0).is_ready
    assert Pipeline().snapshot(0).is_ready


def test_a_project_counts_what_is_known_and_not_stale() -> None:
    pipeline = Pipeline(each("a", "b", "c"))
    pipeline.one("p", "a", answer(deployment("1", "a")), 0)
    pipeline.one("p", "b", answer(deployment("2", "b")), 30)
    pipeline.one("p", "c", NotFound("gone"), 30)
    assert [pipeline.snapshot(second).projects[0].deployments for second in (30, 60, 90)] == [2, 1, 0]


def test_what_is_left_out_is_summed_over_the_project() -> None:
    target = replace(LISTED, limits=Limits(max_replicas_per_deployment=1, max_deployments_per_project=2))
    odd = deployment("1", "a", cpu="much", memory=-1, replica_events={"x": {}, "y": {}, "z": {}})
    pipeline = with_list(odd, deployment("2", "b", status="s" * 2000), deployment("3"), target=target)
    (project,) = pipeline.snapshot().projects
    expected: dict[str, int] = {"replica_limit": 2, "deployment_limit": 1, "invalid_value": 2, "label_length_limit": 1}
    assert project.dropped == {reason: expected.get(reason, 0) for reason in DROP_REASONS}
    assert list(project.dropped) == list(DROP_REASONS)


def queues(pipeline: Pipeline, second: float) -> dict[str, float | None]:
    return {queue.name: queue.counts.messages_waiting for queue in pipeline.snapshot(second).queues}


def test_a_queue_is_shown_until_it_is_stale_or_its_deployment_is_gone() -> None:
    pipeline = with_list(deployment("1", "a", autoscaling=QUEUED))
    pipeline.queue("p", "a", answer({"messages_waiting": 3}), 0)
    pipeline.queue("p", "unasked", answer({"messages_waiting": 4}), 0)
    assert queues(pipeline, 0) == {"a": 3}
    pipeline.list("p", listing(deployment("1", "a", autoscaling=QUEUED)), 50)
    pipeline.queue("p", "a", DOWN, 50)
    assert (queues(pipeline, 59), queues(pipeline, 60)) == ({"a": 3}, {})
    pipeline.queue("p", "a", answer({"messages_waiting": 5}), 61)
    assert queues(pipeline, 61) == {"a": 5}
    pipeline.list("p", listing(), 62)
    assert queues(pipeline, 62) == {}


def test_a_queue_that_was_read_while_a_list_ended_its_deployment_is_gone() -> None:
    pipeline = with_list(deployment("1", "a", autoscaling=QUEUED))
    before = value(pipeline.store)
    assert pipeline.store.commit(before, after_queue(before, "a", Queue(messages_waiting=1), at(0)))
    assert pipeline.store.commit(before, run(after_list(before, Listing(()), at(1))))
    assert value(pipeline.store).queues == {}


def test_a_list_that_is_cancelled_anywhere_commits_nothing() -> None:
    pipeline = with_list(deployment("1"), deployment("2"))
    before = pipeline.snapshot(0)
    late = listing(deployment("2"), deployment("3"))
    for turn, was_cancelled in cancelled_everywhere(lambda: pipeline.polled_list("p", late, 1)):
        assert (pipeline.snapshot(1) is before) == was_cancelled
        assert not was_cancelled or turn < 100
    assert turn > 5
    assert list(pipeline.shown(1)) == ["2", "3"]


def test_a_snapshot_that_is_cancelled_anywhere_leaves_the_store_as_it_was() -> None:
    pipeline = with_list(deployment("1"), deployment("2"))
    pipeline.list("p", listing(deployment("1", "x"), deployment("2")), 1)
    project = value(pipeline.store)
    for turn, was_cancelled in cancelled_everywhere(lambda: pipeline.store.snapshot(at(1))):
        assert (value(pipeline.store) is project) == was_cancelled, turn
    assert turn > 3
    assert list(pipeline.shown(1)) == ["2", "x"]


def test_a_list_is_shown_whole_or_not_at_all_whatever_happens_meanwhile() -> None:
    """Looks, reloads and other projects' polls at each step of its application."""
    pipeline = Pipeline(LISTED, Target("q"))
    pipeline.list("p", listing(deployment("1"), deployment("2"), deployment("3")))
    before = [shown.record.key for shown in pipeline.snapshot().deployments]
    seen: list[list[str]] = []

    async def meanwhile(turn: int) -> None:
        snapshot = await pipeline.store.snapshot(at(1))
        seen.append([shown.record.key for shown in snapshot.deployments if shown.project == "p"])
        if turn < 10:
            pipeline.configure(replace(LISTED, stale_after=60.0 + turn), Target("q"))
        await pipeline.polled_list("q", listing(deployment(str(turn))), 1)

    stepped(pipeline.polled_list("p", listing(deployment("3"), deployment("4"), deployment("5")), 1), meanwhile)
    after = [shown.record.key for shown in pipeline.snapshot(1).deployments if shown.project == "p"]
    assert after == ["3", "4", "5"]
    assert before in seen
    assert all(each_look in (before, after) for each_look in seen)


def items(*ids: str) -> Listing:
    return Listing(tuple(read_object(deployment(id_)) for id_ in ids))


def test_a_queue_committed_while_a_list_is_built_stays_and_does_not_hold_it_up() -> None:
    pipeline = with_list(deployment("1", "a", autoscaling=QUEUED))
    before = value(pipeline.store)
    listed = run(after_list(before, items("1", "2"), at(1)))
    pipeline.queue("p", "a", answer({"messages_running": 1}), 1)
    now = value(pipeline.store)
    again = run(after_list(now, Listing((read_object(deployment("1", "a", autoscaling=QUEUED)),)), at(2)))
    assert pipeline.store.commit(before, listed)
    assert list(value(pipeline.store).records) == ["1", "2"]
    assert not value(pipeline.store).queues, "no deployment names it any more"
    assert not pipeline.store.commit(now, again), "both have changed the records"


def test_a_queue_committed_while_a_list_with_its_deployment_is_built_is_shown() -> None:
    pipeline = with_list(deployment("1", "a", autoscaling=QUEUED))
    before = value(pipeline.store)
    queued = Listing((read_object(deployment("1", "a", autoscaling=QUEUED)),))
    listed = run(after_list(before, queued, at(1)))
    pipeline.queue("p", "a", answer({"messages_running": 1}), 1)
    assert pipeline.store.commit(before, listed)
    assert list(value(pipeline.store).queues) == ["a"]


def test_a_commit_while_a_snapshot_is_taken_is_in_the_next_one() -> None:
    """And the names that are noted in the histories do not undo it."""
    pipeline = with_list(deployment("1", "a", autoscaling=QUEUED), deployment("2", "b"))
    late = listing(deployment("2", "a", autoscaling=QUEUED), deployment("3"))

    async def meanwhile(turn: int) -> None:
        if turn == 1:
            await pipeline.polled_list("p", late, 1)
            pipeline.queue("p", "a", answer({"messages_waiting": 3}), 1)

    taken = stepped(pipeline.store.snapshot(at(1)), meanwhile)
    assert [shown.name for shown in taken.deployments] == ["a", "b"]
    assert {name: shown.record.key for name, shown in pipeline.shown(1).items()} == {"3": "3", "a": "2"}
    assert queues(pipeline, 1) == {"a": 3}
    assert all(shown.history.shown_as == name for name, shown in pipeline.shown(1).items())


def test_what_is_counted_while_a_snapshot_is_taken_is_not_lost() -> None:
    pipeline = with_list(deployment("1", "a", status="Ready"), deployment("2"))
    before = value(pipeline.store)
    failed = Listing(tuple(read_object(deployment(id_, "a", status="Failed")) for id_ in "12"))
    after = run(after_list(before, failed, at(1)))
    committed: list[bool] = []

    def meanwhile(turn: int) -> None:
        if turn == 1:
            committed.append(pipeline.store.commit(before, after))

    stepped(pipeline.store.snapshot(at(0)), meanwhile)
    assert committed == [True]
    assert changes(pipeline, 1)["a"] == {"Failed": 1}
