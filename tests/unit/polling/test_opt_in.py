"""Endpoints that are read because the configuration says so: they follow the deployments and hold nobody up."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from exporter.api.errors import ApiError, Forbidden, NotFound, PollTimeout, ServerError
from exporter.polling.fetches import Name
from exporter.state.records import RETRY_REFUSED, Target
from tests.pipeline import run
from tests.unit.polling.harness import QUEUE_BODY, Answer, Harness, body, error, listed, one

READ = Target("p", stale_after=1e9, queues=("jobs", "more"), has_revisions=True)
SUCCESS = 'together_deployment_poll_success{deployment="a",project="p"} 1.0'
NUMBER = 'together_deployment_revision_number{deployment="a",project="p"} 4.0'
IDS = ("1", "2", "3")


def current(revision: str) -> list[dict[str, str]]:
    return [{"name": "TOGETHER_DEPLOYMENT_REVISION_ID", "value": revision}]


LIST = listed(*(one(name, id_, environment_variables=current("r1")) for name, id_ in zip("abc", IDS, strict=True)))
GOOD = b'{"data": [{"revision_id": "r1", "revision_number": 4, "action": "rollback"}]}'


def path(id_: str) -> str:
    return f"deployments/{id_}/revisions"


def harness(**answers: Answer) -> Harness:
    """`r1` to `r3`: the answers about the revisions of deployments 1 to 3."""
    revisions = {path(id_): answers.pop(f"r{id_}", GOOD) for id_ in IDS}
    return Harness(READ, {"deployments": LIST, "jobs": QUEUE_BODY, "more": QUEUE_BODY, **revisions, **answers})


def polled(harness: Harness, fetch: Name, second: float = 0.0) -> tuple[list[str], list[Any]]:
    """What was asked for, and the lines of the log."""
    harness.second, before = second, len(harness.api.requests)
    with structlog.testing.capture_logs() as lines:
        run(harness.poll(fetch))
    asked = [dict(request.query).get("model", request.path) for request in harness.api.requests[before:]]
    return asked, [dict(line) for line in lines]


def test_revisions_are_read_when_the_deployments_are_known_and_then_not_again() -> None:
    h = harness()
    assert polled(h, "revisions") == ([], [])
    polled(h, "list")
    assert polled(h, "revisions", 1) == ([path(id_) for id_ in IDS], [])
    assert polled(h, "revisions", 1e6) == ([], [])
    assert run(h.shows(NUMBER))
    h.api.answers["deployments"] = listed(one("a", "1", environment_variables=current("r2")))
    polled(h, "list", 1e6)
    assert polled(h, "revisions", 1e6)[0] == [path("1")]


def test_revisions_that_are_refused_are_one_line_an_hour_and_harm_nothing_else() -> None:
    h = harness(**{f"r{id_}": error(Forbidden) for id_ in IDS})
    polled(h, "list")
    asked, lines = polled(h, "revisions", 1)
    assert asked == [path("1")]
    (line,) = lines
    assert (line["event"], line["log_level"], line["fetch"], line["deployment"]) == (
        "poll failed",
        "warning",
        "revisions",
        "a",
    )
    assert (line["reason"], line["next_in"]) == ("forbidden", "3600s")
    for second in range(31, int(RETRY_REFUSED), 300):
        polled(h, "list", second)
        assert polled(h, "revisions", second) == ([], [])
        assert polled(h, "queue", second)[1] == []
    assert run(h.shows(SUCCESS))
    assert h.failures() == {("revisions", "forbidden"): 1}
    assert len(polled(h, "revisions", 1 + RETRY_REFUSED)[0]) == 1


def test_revisions_that_do_not_exist_are_one_request_a_poll_and_one_line() -> None:
    h = harness(**{f"r{id_}": error(NotFound) for id_ in IDS})
    polled(h, "list")
    polls = [polled(h, "revisions", second) for second in (1, 31, 61, 91)]
    assert [asked for asked, _ in polls] == [[path("1")], [path("2")], [path("3")], []]
    assert sum(len(lines) for _, lines in polls) == 1


def test_a_deployment_whose_revision_fails_does_not_hold_up_the_others() -> None:
    h = harness(r1=error(ServerError))
    polled(h, "list")
    assert polled(h, "revisions", 1)[0] == [path("1")]
    asked, _ = polled(h, "revisions", 31)
    assert asked == [path("2"), path("3"), path("1")]
    h.api.answers[path("1")] = GOOD
    asked, lines = polled(h, "revisions", 61)
    assert (asked, [line["event"] for line in lines]) == ([path("1")], ["poll recovered"])


def test_revisions_take_at_most_half_of_the_interval() -> None:
    """There may be 10,000 of them, and lists wait in the same line."""
    h = harness()

    async def slow() -> bytes:
        h.second += 10
        return GOOD

    h.api.answers |= {path(id_): slow for id_ in IDS}
    polled(h, "list")
    assert polled(h, "revisions", 0)[0] == [path("1"), path("2")]
    assert polled(h, "revisions", 30)[0] == [path("3")]


def test_revisions_are_read_one_after_another() -> None:
    h, under_way, most = harness(), [0], [0]

    async def counted() -> bytes:
        under_way[0] += 1
        most[0] = max(most[0], under_way[0])
        await asyncio.sleep(0)
        under_way[0] -= 1
        return GOOD

    h.api.answers |= {path(id_): counted for id_ in IDS}
    polled(h, "list")
    assert len(polled(h, "revisions")[0]) == 3
    assert most == [1]


def test_a_queue_that_is_refused_is_tried_again_after_an_hour_and_the_other_goes_on() -> None:
    for kind in (Forbidden, NotFound):
        h = harness(jobs=error(kind))
        asked, (line,) = polled(h, "queue")
        assert (asked, line["next_in"]) == (["jobs", "more"], "3600s")
        assert polled(h, "queue", RETRY_REFUSED - 1) == (["more"], [])
        h.api.answers["jobs"] = QUEUE_BODY
        asked, (line,) = polled(h, "queue", RETRY_REFUSED)
        assert (asked, line["event"]) == (["jobs", "more"], "poll recovered")


def test_a_queue_that_fails_otherwise_is_tried_at_every_poll() -> None:
    h = harness(jobs=error(PollTimeout))
    assert [polled(h, "queue", second)[0] for second in (0, 30)] == [["jobs", "more"]] * 2


def test_queues_that_the_key_may_not_read_are_one_line() -> None:
    h = harness(jobs=error(Forbidden), more=error(Forbidden))
    assert len(polled(h, "queue")[1]) == 1


def test_a_line_about_an_opt_in_endpoint_does_not_stand_for_the_deployments() -> None:
    """Nor the other way round: each fetch has its own cause."""
    kinds: list[type[ApiError]] = [Forbidden, Forbidden]
    target = Target("p", ("a",), is_listed=False, queues=("jobs",))
    h = Harness(target, {"jobs": error(kinds[0]), "deployments/a": error(kinds[1])})
    assert len(polled(h, "queue")[1]) == 1
    with structlog.testing.capture_logs() as lines:
        run(h.poll("each", "a"))
    assert [line["deployment"] for line in lines] == ["a"]
    h.api.answers["deployments/a"] = body()
    run(h.poll("each", "a"))
    assert polled(h, "queue", RETRY_REFUSED + 1)[1] != []
