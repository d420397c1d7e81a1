"""From the API's answer to what is committed, counted and returned: every row of the table, every outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import structlog

from exporter.api.errors import ERRORS, ApiError, InternalError, InvalidResponse, NotFound, PollTimeout
from exporter.api.models import Queue
from exporter.polling.fetches import Name
from exporter.polling.poller import MAX_REBUILDS
from exporter.state.projects import after_queue, reconfigured
from exporter.state.records import Poll, Project, Target
from tests.pipeline import at, run
from tests.unit.polling.harness import QUEUE_BODY, Answer, Gate, Harness, body, error, listed, one

IDENTITY = 'deployment="chat",project="p"'
READY = f"together_deployment_replicas_ready{{{IDENTITY}}} 3.0"
WAITING = 'together_queue_jobs{project="p",queue="jobs",state="waiting"} 7.0'
STALE_AFTER = 300.0


@dataclass(frozen=True)
class Row:
    """One fetch: how it is polled, and where its outcome is found."""

    fetch: Name
    key: str
    target: Target
    path: str
    good: bytes
    line: str
    poll: Callable[[Project], Poll]

    def harness(self, answer: Answer | None = None) -> Harness:
        return Harness(self.target, {self.path: self.good if answer is None else answer})


ROWS = (
    Row(
        "each",
        "chat",
        Target("p", ("chat",), is_listed=False, stale_after=STALE_AFTER, queues=("other",)),
        "deployments/chat",
        body(),
        READY,
        lambda project: project.records["chat"].poll,
    ),
    Row(
        "list",
        "",
        Target("p", stale_after=STALE_AFTER, queues=("other",)),
        "deployments",
        listed(one()),
        READY,
        lambda project: project.listing or Poll(),
    ),
    Row(
        "queue",
        "",
        Target("p", queues=("jobs",), stale_after=STALE_AFTER),
        "jobs",
        QUEUE_BODY,
        WAITING,
        lambda project: project.queues["jobs"].poll,
    ),
)
EACH, LIST, QUEUE = ROWS
rows = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.fetch)


def log_of(harness: Harness, row: Row) -> list[dict[str, Any]]:
    """The lines of one poll."""
    with structlog.testing.capture_logs() as lines:
        run(harness.poll(row.fetch, row.key))
    return [dict(line) for line in lines]


@rows
def test_a_good_answer_is_shown_and_counted(row: Row) -> None:
    harness = row.harness()
    assert run(harness.poll(row.fetch, row.key))
    assert run(harness.shows(row.line))
    assert row.poll(harness.project) == Poll(None, at(0))
    assert harness.count("together_exporter_polls_total", fetch=row.fetch) == 1
    assert harness.count("together_exporter_poll_duration_seconds_count", fetch=row.fetch) == 1
    assert harness.failures() == {}
    assert harness.poller.last_poll == at(0)
    assert harness.commits > 0
    assert harness.api.intervals == [30.0], "by which a 429 without Retry-After backs off"


@rows
@pytest.mark.parametrize("kind", ERRORS)
def test_a_failed_poll_keeps_the_last_state_until_it_is_stale(row: Row, kind: type[ApiError]) -> None:
    harness = row.harness()
    run(harness.poll(row.fetch, row.key))
    harness.api.answers[row.path] = error(kind)
    harness.second = 100.0
    assert not run(harness.poll(row.fetch, row.key))
    reason = "invalid_response" if row is LIST and kind is NotFound else kind.reason
    poll = row.poll(harness.project)
    assert poll.error is not None
    assert (poll.error.reason, poll.succeeded) == (reason, at(0))
    assert harness.failures() == {(row.fetch, reason): 1}
    assert harness.count("together_exporter_polls_total", fetch=row.fetch) == 2
    ends_at_once = kind is NotFound and row is not LIST
    assert run(harness.shows(row.line)) is not ends_at_once
    harness.second = STALE_AFTER - 1
    assert run(harness.shows(row.line)) is not ends_at_once
    harness.second = STALE_AFTER
    assert not run(harness.shows(row.line))


@rows
def test_after_a_failure_a_good_answer_is_shown_again(row: Row) -> None:
    harness = row.harness(error(PollTimeout))
    assert not run(harness.poll(row.fetch, row.key))
    assert not run(harness.shows(row.line))
    harness.api.answers[row.path] = row.good
    assert run(harness.poll(row.fetch, row.key))
    assert run(harness.shows(row.line))


BUGS: dict[str, Callable[[], Answer]] = {
    "in the client": lambda: RuntimeError("a secret: sk-live"),
    "while the answer is read": lambda: "not bytes",  # type: ignore[dict-item, return-value]  # what nobody expects
}


@rows
@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS)
def test_an_exception_of_ours_is_a_failed_poll_like_any_other(row: Row, bug: Callable[[], Answer]) -> None:
    harness = row.harness()
    run(harness.poll(row.fetch, row.key))
    harness.api.answers[row.path] = bug()
    harness.second = 100.0
    (line,) = log_of(harness, row)
    assert (line["event"], line["log_level"]) == ("unexpected exception in poll (please report)", "error")
    assert (line["project"], line["reason"], line["exc_info"]) == ("p", "internal_error", True)
    poll = row.poll(harness.project)
    assert isinstance(poll.error, InternalError)
    assert "sk-live" not in str(poll.error), "the text of an unexpected exception may hold anything"
    assert harness.failures() == {(row.fetch, "internal_error"): 1}
    assert run(harness.shows(row.line)), "the last state is kept"


@rows
def test_an_exception_while_the_value_is_built_is_a_failed_poll_too(row: Row) -> None:
    harness = row.harness()
    run(harness.poll(row.fetch, row.key))

    def fails(_: Project) -> Project:
        raise RuntimeError("a bug")

    harness.store.rivals = [fails]
    assert not run(harness.poll(row.fetch, row.key))
    assert harness.failures() == {(row.fetch, "internal_error"): 1}
    assert run(harness.shows(row.line))


def test_the_line_of_an_unexpected_exception_has_its_traceback() -> None:
    harness = EACH.harness(RuntimeError("this is it"))
    with structlog.testing.capture_logs(processors=[structlog.processors.format_exc_info]) as lines:
        run(harness.poll("each", "chat"))
    assert "RuntimeError: this is it" in lines[0]["exception"]
    assert "harness.py" in lines[0]["exception"]


@rows
def test_what_the_store_keeps_of_a_failure_holds_no_frames(row: Row) -> None:
    """Their locals hold the answer's body, which may be 64 MiB."""
    harness = row.harness(b"[" + b" " * 1000)
    run(harness.poll(row.fetch, row.key))
    failure = row.poll(harness.project).error
    assert isinstance(failure, InvalidResponse)
    assert (failure.__traceback__, failure.__context__, failure.__cause__) == (None, None, None)


@rows
def test_a_cancelled_poll_commits_and_counts_nothing(row: Row) -> None:
    async def cancelled(harness: Harness, gate: Gate) -> None:
        poll = asyncio.create_task(harness.poll(row.fetch, row.key))
        await gate.reached.wait()
        harness.poller.cancel()
        gate.open()
        with pytest.raises(asyncio.CancelledError):
            await poll

    gate = Gate(row.good)
    harness = row.harness(gate)
    before = harness.project
    run(cancelled(harness, gate))
    assert harness.project is before
    assert (harness.commits, harness.poller.last_poll) == (0, None)
    assert harness.count("together_exporter_polls_total", fetch=row.fetch) == 0
    assert harness.failures() == {}


@rows
def test_closing_cancels_what_is_under_way_and_waits_for_its_end(row: Row) -> None:
    async def closed(harness: Harness, gate: Gate) -> bool:
        poll = asyncio.create_task(harness.poll(row.fetch, row.key))
        await gate.reached.wait()
        await harness.poller.close()
        return poll.cancelled()

    gate = Gate(row.good)
    harness = row.harness(gate)
    assert run(closed(harness, gate))
    assert harness.api.is_closed


@rows
def test_what_another_commit_brought_meanwhile_is_kept(row: Row) -> None:
    harness = row.harness()
    harness.store.rivals = [another_queue] * 3
    assert run(harness.poll(row.fetch, row.key))
    assert harness.project.queues["other"].counts == Queue(messages_waiting=1)
    assert run(harness.shows(row.line))


def another_queue(project: Project) -> Project:
    return after_queue(project, "other", Queue(messages_waiting=1), at(0))


def test_a_reload_in_between_counts_for_the_answer() -> None:
    """The list that was asked for under the old configuration is chosen from by the new one."""
    harness = LIST.harness(listed(one(), one("gone", "dep_2")))
    new = Target("p", exclude=("gone",))
    harness.store.rivals = [lambda project: reconfigured(project, new)]
    run(harness.poll("list"))
    assert harness.project.target == new
    assert set(harness.project.records) == {"dep_1"}


@rows
def test_a_project_that_leaves_the_configuration_meanwhile_takes_its_answer_along(row: Row) -> None:
    harness = row.harness()

    def leaves(_: Project) -> None:
        harness.store.configure([])

    harness.store.rivals = [leaves]
    assert run(harness.poll(row.fetch, row.key))
    assert harness.store.projects == {}


@rows
def test_a_project_that_is_not_configured_is_not_asked_for(row: Row) -> None:
    harness = row.harness()
    harness.store.configure([])
    assert run(harness.poll(row.fetch, row.key))
    assert harness.api.requests == []


def test_a_value_that_never_stands_still_is_a_failed_poll() -> None:
    harness = EACH.harness()
    harness.store.rivals = [lambda project: replace(project, records=dict(project.records))] * MAX_REBUILDS
    assert not run(harness.poll("each", "chat"))
    assert harness.failures() == {("each", "internal_error"): 1}


QUEUES = tuple(f"q{number:02}" for number in range(12))
MANY_QUEUES = Target("p", queues=QUEUES)


def test_queues_are_read_at_the_same_time_and_a_failed_poll_is_counted_once() -> None:
    gates = {queue: Gate(error(PollTimeout)) for queue in QUEUES}
    harness = Harness(MANY_QUEUES, gates)

    async def poll() -> None:
        polling = asyncio.create_task(harness.poll("queue"))
        for gate in gates.values():
            await gate.reached.wait()  # would block if they were read one after another
        for gate in gates.values():
            gate.open()
        assert not await polling

    run(poll())
    assert harness.count("together_exporter_polls_total", fetch="queue") == 1
    assert harness.failures() == {("queue", "timeout"): 1}
    assert {name: queue.poll.error is not None for name, queue in harness.project.queues.items()} == dict.fromkeys(
        QUEUES, True
    )


def test_a_healthy_queue_is_shown_while_others_hang() -> None:
    gates = {queue: Gate(error(PollTimeout)) for queue in QUEUES[1:]}
    harness = Harness(MANY_QUEUES, {QUEUES[0]: QUEUE_BODY, **gates})

    async def poll() -> None:
        polling = asyncio.create_task(harness.poll("queue"))
        for gate in gates.values():
            await gate.reached.wait()
        assert await harness.shows(WAITING.replace('jobs"', 'q00"'))
        assert harness.commits == 1, "so that it is rendered now"
        for gate in gates.values():
            gate.open()
        await polling

    run(poll())


def test_a_deployment_that_hangs_holds_up_no_other() -> None:
    gate = Gate(body())
    target = Target("p", ("chat", "slow"), is_listed=False)
    harness = Harness(target, {"deployments/chat": body(), "deployments/slow": gate})

    async def poll() -> None:
        slow = asyncio.create_task(harness.poll("each", "slow"))
        await gate.reached.wait()
        assert await harness.poll("each", "chat")
        assert await harness.shows(READY)
        gate.open()
        assert await slow

    run(poll())


def test_names_are_all_that_the_key_sees_whatever_is_configured() -> None:
    target = Target("p", ("nope",), is_listed=False)
    harness = Harness(target, {"deployments": listed(one("a", "dep_1"), {"id": "dep_2"})})
    assert run(harness.poller.names()) == ["a", "dep_1", "dep_2"]
    assert harness.project == Project(target)


def test_names_that_cannot_be_read_are_none() -> None:
    harness = LIST.harness(error(PollTimeout))
    assert run(harness.poller.names()) == []
    harness.store.configure([])
    assert run(harness.poller.names()) == []


def test_a_reader_is_kept_from_poll_to_poll() -> None:
    harness = LIST.harness()
    run(harness.poll("list"))
    first = harness.project.records["dep_1"].state
    run(harness.poll("list"))
    assert harness.project.records["dep_1"].state is first


def test_the_time_that_a_poll_took_is_measured_on_the_clock() -> None:
    harness = EACH.harness()

    async def slow() -> bytes:
        harness.second = 7.0
        return EACH.good

    harness.api.answers[EACH.path] = slow
    run(harness.poll("each", "chat"))
    assert harness.count("together_exporter_poll_duration_seconds_sum", fetch="each") == 7.0
    assert harness.project.records["chat"].poll.succeeded == at(7.0), "the state is as old as the answer"
