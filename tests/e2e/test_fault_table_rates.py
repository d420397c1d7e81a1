"""What hangs or refuses holds up nothing else and is not hammered; time is counted in polls of another project."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from tests.conftest import until
from tests.e2e.conftest import Process, Start
from tests.e2e.observed import FAILURES, POLLS, PROJECT_SUCCESS, SUCCESS, page, polled, project, soon, started
from tests.e2e.scripted_api import HANG, Answer, ScriptedApi, item, listed, one, refusal

CLOCK = "clock/deployments"  # a project that is well and polled at a known rate
QUEUES = "p/queue/metrics?model="
TOO_MANY = "429 Too Many Requests"


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi() as server:
        server.script[CLOCK] = listed(item("dep_c", "tick"))
        yield server


def clock(api: ScriptedApi, interval: str) -> dict[str, Any]:
    return project(api, "clock", poll_interval=interval)


def queued(name: str, model: str) -> dict[str, Any]:
    return item(f"dep_{name}", name, autoscaling={"metric": "QueueBacklogPerWorker", "model": model, "target": 10})


def hanging_queues(api: ScriptedApi, start: Start, number: int) -> Process:
    """Queues that hang, and one that is well, the last of the list."""
    names = [f"stuck{n}" for n in range(number)]
    api.script["p/deployments"] = listed(*(queued(name, name) for name in names), queued("well", "well"))
    api.script |= {f"{QUEUES}{name}": HANG for name in names}
    api.script[f"{QUEUES}well"] = Answer(b'{"messages_waiting": 5, "messages_running": 2}')
    pace = {"poll_interval": "500ms", "poll_timeout": "500ms"}
    return started(start, project(api, queue=True, **pace), clock(api, "500ms"))


def has_queue(daemon: Process) -> bool:
    return page(daemon).value("together_queue_jobs", queue="well", state="waiting") == 5


def of_queues(daemon: Process, metric: str) -> float:
    """Without deployments and lists."""
    found = page(daemon).series(metric, project="p")
    return sum(value for labels, value in found if labels.get("fetch") not in ("each", "list"))


def test_twelve_queues_that_hang_hide_no_healthy_one(api: ScriptedApi, start: Start) -> None:
    daemon = hanging_queues(api, start, 12)
    soon(lambda: has_queue(daemon), "the healthy queue is shown", api, CLOCK, 6)
    for _ in range(5):
        polled(api, CLOCK, 1)
        assert has_queue(daemon), "at each look"
    assert api.count(f"{QUEUES}well") >= 3


def test_twelve_queues_that_hang_are_polled_within_one_deadline(api: ScriptedApi, start: Start) -> None:
    daemon = hanging_queues(api, start, 12)
    soon(lambda: of_queues(daemon, POLLS) >= 3, "three polls of the queues have ended", api, CLOCK, 12)


def test_twelve_queues_that_hang_are_at_most_one_failure_a_poll(api: ScriptedApi, start: Start) -> None:
    daemon = hanging_queues(api, start, 12)
    polled(api, CLOCK, 8)
    failures = of_queues(daemon, FAILURES)
    assert 1 <= failures <= of_queues(daemon, POLLS)


def test_150_queues_at_the_rate_limit_hold_up_no_list(api: ScriptedApi, start: Start) -> None:
    deployments = [queued(f"d{n}", f"q{n}") for n in range(150)]
    api.script["p/deployments"] = listed(*deployments)
    api.script |= {f"{QUEUES}q{n}": Answer(b'{"messages_waiting": 5, "messages_running": 2}') for n in range(150)}
    pace: dict[str, Any] = {"poll_interval": "500ms", "max_requests_per_second": 10}
    daemon = started(start, project(api, queue=True, **pace), clock(api, "500ms"))
    soon(lambda: api.counts(QUEUES) >= 5, "queues are read", api, CLOCK, 12)
    before = api.count("p/deployments")
    polled(api, CLOCK, 12)
    assert api.count("p/deployments") - before >= 9
    assert len(page(daemon).names()) == 150


@pytest.mark.parametrize("headers", ["", "retry-after: 60\r\n"], ids=["plain", "retry-after"])
def test_a_429_for_a_queue_pauses_no_list(headers: str, api: ScriptedApi, start: Start) -> None:
    api.script["p/deployments"] = listed(queued("a", "limited"))
    api.script[f"{QUEUES}limited"] = refusal(TOO_MANY, headers)
    daemon = started(start, project(api, queue=True, poll_interval="300ms"), clock(api, "300ms"))
    soon(lambda: page(daemon).total(FAILURES, project="p", fetch="queue", reason="rate_limited") >= 1, "refused", api)
    before = api.count("p/deployments")
    polled(api, CLOCK, 12)
    assert api.count("p/deployments") - before >= 9
    assert page(daemon).value(PROJECT_SUCCESS) == page(daemon).value(SUCCESS, "a") == 1


def test_a_queue_that_scales_two_deployments_is_read_once(api: ScriptedApi, start: Start) -> None:
    api.script["p/deployments"] = listed(queued("a", "well"), queued("b", "well"))
    api.script[f"{QUEUES}well"] = Answer(b'{"messages_waiting": 5, "messages_running": 2}')
    daemon = started(start, project(api, queue=True, poll_interval="500ms"))
    soon(lambda: of_queues(daemon, POLLS) >= 4, "the queue is polled", api)
    assert has_queue(daemon)
    assert api.count(f"{QUEUES}well") <= of_queues(daemon, POLLS) + 1


def each(api: ScriptedApi, names: list[str], **settings: Any) -> dict[str, Any]:
    """Project p with these deployments, each polled by itself."""
    for name in names:
        api.script.setdefault(f"p/deployments/{name}", one(f"dep_{name}", name))
    return project(api, deployments=names, **settings)


def asked(api: ScriptedApi, name: str) -> int:
    return api.count(f"p/deployments/{name}")


@pytest.mark.parametrize("first", [True, False], ids=["hanging-first", "healthy-first"])
def test_two_that_are_well_keep_their_interval_beside_24_that_hang(
    api: ScriptedApi, start: Start, *, first: bool
) -> None:
    stuck, well = [f"stuck{n}" for n in range(24)], ["well0", "well1"]
    api.script |= {f"p/deployments/{name}": HANG for name in stuck}
    names = [*stuck, *well] if first else [*well, *stuck]
    daemon = started(start, each(api, names, poll_interval="500ms", poll_timeout="4s"), clock(api, "500ms"))
    until(lambda: all(asked(api, name) for name in stuck[:8]), "the first ones hang")
    before = [asked(api, name) for name in well]
    polled(api, CLOCK, 12)
    gained = [asked(api, name) - count for name, count in zip(well, before, strict=True)]
    assert min(gained) >= 8, gained
    assert {page(daemon).value(SUCCESS, name) for name in well} == {1}


def in_a_minute() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)


PAUSES: dict[str, tuple[str, Callable[[], str]]] = {
    "503": ("503 Service Unavailable", lambda: "retry-after: 60\r\n"),
    "503-date": ("503 Service Unavailable", lambda: f"retry-after: {in_a_minute()}\r\n"),
    "503-ms": ("503 Service Unavailable", lambda: "retry-after-ms: 60000\r\n"),
    "500": ("500 Internal Server Error", lambda: "retry-after: 60\r\n"),
    "529": ("529 Overloaded", lambda: "retry-after: 60\r\n"),
}


@pytest.mark.parametrize("kind", PAUSES)
def test_a_retry_after_of_one_deployment_pauses_no_other(kind: str, api: ScriptedApi, start: Start) -> None:
    status, headers = PAUSES[kind]
    api.script["p/deployments/bad"] = refusal(status, headers())
    daemon = started(start, each(api, ["a", "bad", "b"], poll_interval="200ms"), clock(api, "200ms"))
    until(lambda: page(daemon).reasons("bad") == {"server_error"}, "it is refused")
    before = {name: asked(api, name) for name in ("a", "b", "bad")}
    polled(api, CLOCK, 12)
    gained = {name: asked(api, name) - count for name, count in before.items()}
    assert min(gained["a"], gained["b"]) >= 8, gained
    assert gained["bad"] <= 16, "it is not asked more often than the others"
    assert page(daemon).value(SUCCESS, "a") == page(daemon).value(SUCCESS, "b") == 1


def test_a_429_with_retry_after_pauses_the_whole_project_and_no_other(api: ScriptedApi, start: Start) -> None:
    api.script["p/deployments/bad"] = refusal(TOO_MANY, "retry-after: 60\r\n")
    daemon = started(start, each(api, ["a", "bad", "b"], poll_interval="200ms"), clock(api, "200ms"))
    until(lambda: page(daemon).reasons("bad") == {"rate_limited"}, "it is refused")
    polled(api, CLOCK, 2)
    before = api.counts("p/")
    polled(api, CLOCK, 12)
    assert api.counts("p/") == before


def test_429s_without_retry_after_halve_the_requests_of_deployments(api: ScriptedApi, start: Start) -> None:
    names = [f"d{n}" for n in range(20)]
    daemon = started(start, each(api, names, poll_interval="3s"), clock(api, "300ms"))
    until(lambda: all(asked(api, name) for name in names), "all are polled")
    api.script |= {f"p/deployments/{name}": refusal(TOO_MANY) for name in names}
    until(lambda: page(daemon).total(FAILURES, project="p", reason="rate_limited") >= 1, "one is refused")
    before = api.counts("p/")
    polled(api, CLOCK, 20)  # two intervals: 40 requests at the normal rate
    assert api.counts("p/") - before <= 27
    assert api.counts("p/") > 0


def test_429s_without_retry_after_halve_the_requests_of_a_list(api: ScriptedApi, start: Start) -> None:
    path = "p/deployments"
    api.script[path] = listed(item("dep_a", "a"))
    daemon = started(start, project(api, poll_interval="1s"), clock(api, "1s"))
    soon(lambda: page(daemon).value(SUCCESS, "a") == 1, "it is polled", api)
    api.script[path] = refusal(TOO_MANY)
    before = api.count(path)
    until(lambda: api.count(path) > before, "it is refused")
    before = api.count(path)
    polled(api, CLOCK, 10)
    assert api.count(path) - before <= 7


def test_a_429_that_ends_is_followed_by_the_normal_rate(api: ScriptedApi, start: Start) -> None:
    path = "p/deployments"
    api.script[path] = lambda number: refusal(TOO_MANY) if number == 2 else listed(item("dep_a", "a"))
    daemon = started(start, project(api), clock(api, "100ms"))
    until(lambda: api.count(path) >= 4, "it is asked again")
    until(lambda: page(daemon).value(SUCCESS, "a") == 1, "it is well again")
    before = api.count(path)
    polled(api, CLOCK, 20)
    assert api.count(path) - before >= 12


def test_a_hanging_list_of_one_project_holds_up_no_other(api: ScriptedApi, start: Start) -> None:
    gate = threading.Event()
    api.script["p/deployments"] = Answer(listed(item("dep_a", "a")).body, gate=gate)
    daemon = started(start, project(api), clock(api, "100ms"))
    polled(api, CLOCK, 10)
    assert page(daemon).names() == set()
    gate.set()
    soon(lambda: page(daemon).names() == {"a"}, "the list has come", api)
