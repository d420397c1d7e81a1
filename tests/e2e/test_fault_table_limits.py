"""More than the limits allow, and bodies without measure: the same ones stay, the daemon stays responsive and small."""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from tests import fetch
from tests.conftest import until
from tests.e2e.conftest import Process, Start
from tests.e2e.observed import (
    DROPPED,
    FAILURES,
    POLLS,
    PROJECT_SUCCESS,
    SUCCESS,
    Page,
    page,
    polled,
    project,
    soon,
    started,
)
from tests.e2e.scripted_api import ScriptedApi, item, listed

LIST = "p/deployments"
DEADLINE = 10.0  # s; the daemon's poll_timeout in these tests
MAX_RESIDENT = 400 * 2**20  # bytes
MIB = 2**20


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi() as server:
        yield server


def shuffled(items: list[Any]) -> Callable[[int], list[Any]]:
    """Another order for each number, the same in each run."""
    return lambda number: random.Random(number).sample(items, len(items))  # noqa: S311 - an order, not a secret


def looks(daemon: Process, api: ScriptedApi, see: Callable[[Page], set[str]], times: int = 20) -> set[frozenset[str]]:
    """The different sets that are seen in so many polls."""
    seen = set()
    for _ in range(times):
        polled(api, LIST, 1)
        seen.add(frozenset(see(page(daemon))))
    return seen


def test_the_same_deployments_are_kept_within_the_limit_whatever_the_order(api: ScriptedApi, start: Start) -> None:
    order = shuffled([item(f"dep_{n}", f"d{n}") for n in range(12)])
    api.script[LIST] = lambda number: listed(*order(number))
    daemon = started(start, project(api), max_deployments_per_project=10)
    soon(lambda: len(page(daemon).names()) == 10, "ten are shown", api)
    assert len(looks(daemon, api, lambda each: each.names())) == 1
    assert page(daemon).names(SUCCESS) == page(daemon).names()


def test_one_that_leaves_makes_room_for_one_other(api: ScriptedApi, start: Start) -> None:
    items = [item(f"dep_{n}", f"d{n}") for n in range(12)]
    order = shuffled(items)
    api.script[LIST] = lambda number: listed(*order(number))
    daemon = started(start, project(api), max_deployments_per_project=10)
    soon(lambda: len(page(daemon).names()) == 10, "ten are shown", api)
    before = page(daemon).names()
    leaving = sorted(before)[4]
    fewer = shuffled([each for each in items if each["name"] != leaving])
    api.script[LIST] = lambda number: listed(*fewer(number))
    soon(lambda: leaving not in page(daemon).names() and len(page(daemon).names()) == 10, "another is shown", api)
    (after,) = looks(daemon, api, lambda each: each.names(), 5)
    assert before - {leaving} <= after


def test_what_is_excluded_takes_no_room_within_the_limit(api: ScriptedApi, start: Start) -> None:
    order = shuffled([item(f"dep_{n}", f"{'ab'[n % 2]}{n}") for n in range(20)])
    api.script[LIST] = lambda number: listed(*order(number))
    daemon = started(start, project(api, exclude=["a.*"]), max_deployments_per_project=10)
    expected = frozenset(f"b{n}" for n in range(1, 20, 2))
    soon(lambda: page(daemon).names() == expected, "all that are wanted are shown", api)
    assert looks(daemon, api, lambda each: each.names(), 5) == {expected}


def test_the_same_replicas_are_kept_within_the_limit_whatever_the_order(api: ScriptedApi, start: Start) -> None:
    order = shuffled([f"chat-{n}" for n in range(12)])

    def answer(number: int) -> Any:
        return listed(item("dep_1", "chat", replica_events={n: {"replica_status": "Running"} for n in order(number)}))

    def replicas(each: Page) -> set[str]:
        return {labels["replica"] for labels, _ in each.series("together_replica_ready")}

    api.script[LIST] = answer
    daemon = started(start, project(api), max_replicas_per_deployment=5)
    soon(lambda: len(replicas(page(daemon))) == 5, "five are shown", api)
    assert len(looks(daemon, api, replicas)) == 1
    assert page(daemon).value("together_deployment_replicas", "chat", status="Running") == 12


def test_what_is_beyond_a_limit_is_counted_as_the_last_poll_brought_it(api: ScriptedApi, start: Start) -> None:
    api.script[LIST] = listed(*(item(f"dep_{n}", f"d{n}") for n in range(12)))
    daemon = started(start, project(api), max_deployments_per_project=10)
    soon(lambda: len(page(daemon).names()) == 10, "ten are shown", api)
    polled(api, LIST, 3)
    assert page(daemon).total(DROPPED, project="p") == 2
    api.script[LIST] = listed(*(item(f"dep_{n}", f"d{n}") for n in range(9)))
    soon(lambda: page(daemon).total(DROPPED, project="p") == 0, "nothing is dropped any more", api)


class Pulse:
    """Asks `/-/healthy` until it ends, on one connection; `slowest` is seconds."""

    def __init__(self, daemon: Process) -> None:
        self.slowest = 0.0
        self.statuses: set[int] = set()
        self._url, self._end = daemon.url(), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        with fetch.Client(base_url=self._url, timeout=60) as client:
            while not self._end.wait(0.02):
                began = time.monotonic()
                self.statuses.add(client.get("/-/healthy").status_code)
                self.slowest = max(self.slowest, time.monotonic() - began)


def peak(daemon: Process) -> int:
    """Bytes that were ever resident."""
    status = Path(f"/proc/{daemon.popen.pid}/status").read_text(encoding="utf-8")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024


def beside_a_healthy_one(api: ScriptedApi, start: Start) -> Process:
    """Project p, polled rarely, which the test spoils; project q, which goes on."""
    api.script["q/deployments"] = listed(item("dep_q", "fine"))
    slow = project(api, poll_interval="10m", poll_timeout=f"{DEADLINE:g}s")
    return started(start, slow, project(api, "q", poll_interval="500ms"))


NOTHINGS = {"objects": (b"{}", 2_000_000), "nulls": (b"null", 10**6), "lists": (b"[]", 10**6), "numbers": (b"0", 10**6)}


@pytest.mark.parametrize("kind", NOTHINGS)
def test_a_list_of_a_million_nothings_costs_neither_memory_nor_time(kind: str, api: ScriptedApi, start: Start) -> None:
    element, number = NOTHINGS[kind]
    api.script[LIST] = listed(b",".join([element] * number))
    daemon = beside_a_healthy_one(api, start)
    with Pulse(daemon) as pulse:
        until(lambda: api.count(LIST) > 0, "the list is asked for")
        began = time.monotonic()
        until(
            lambda: page(daemon).total(POLLS, project="p") >= 1 or time.monotonic() > began + DEADLINE + 5,
            "the poll ends within its deadline",
        )
        assert page(daemon).total(POLLS, project="p") == 1
        soon(lambda: page(daemon).value(PROJECT_SUCCESS, project="q") == 1, "q is polled", api, "q/deployments")
    assert peak(daemon) < MAX_RESIDENT
    assert pulse.statuses <= {200}
    assert pulse.slowest < 1
    assert page(daemon).names() == set()


def huge(replicas: int, *, id_first: bool = True) -> bytes:
    """A deployment of so many replicas of 11 bytes each, as JSON."""
    events = ",".join([f'"{n:06x}":{{}}' for n in range(replicas)])
    names = '"id": "dep_1", "name": "huge"'
    return (
        f'{{{names}, "replica_events": {{{events}}}}}' if id_first else f'{{"replica_events": {{{events}}}, {names}}}'
    ).encode()


@pytest.mark.parametrize("id_first", [True, False], ids=["id-first", "id-last"])
def test_a_deployment_of_a_million_replicas_is_invalid_alone(api: ScriptedApi, start: Start, *, id_first: bool) -> None:
    fine = item("dep_2", "fine", ready_replicas=1)
    api.script[LIST] = listed(item("dep_1", "huge"), fine)
    daemon = started(start, project(api, poll_interval="500ms"))
    soon(lambda: page(daemon).names() == {"huge", "fine"}, "both are shown", api)
    api.script[LIST] = listed(huge(1_000_000, id_first=id_first), {**fine, "ready_replicas": 2})
    with Pulse(daemon) as pulse:
        ready = "together_deployment_replicas_ready"
        until(lambda: page(daemon).value(ready, "fine") == 2, "the other is shown")
        polled(api, LIST, 2)
    assert pulse.slowest < 1
    assert page(daemon).reasons("huge") == {"invalid_response"}
    assert page(daemon).value(SUCCESS, "huge") == 0
    assert page(daemon).names() == {"huge", "fine"}, "its last state is kept"
    assert page(daemon).value(SUCCESS, "fine") == 1
    assert page(daemon).value(PROJECT_SUCCESS) == 1
    assert peak(daemon) < MAX_RESIDENT


def test_a_deployment_that_was_always_too_large_is_named(api: ScriptedApi, start: Start) -> None:
    api.script[LIST] = listed(item("dep_2", "fine"), huge(200_000), item("dep_3", "well"))
    daemon = started(start, project(api, poll_interval="500ms"))
    soon(lambda: page(daemon).names() == {"fine", "well"}, "the others are shown", api)
    (named,) = page(daemon).names(SUCCESS) - {"fine", "well"}
    assert named in {"huge", "dep_1"}
    assert page(daemon).reasons(named) == {"invalid_response"}


SIZES: dict[str, Callable[[int], dict[str, Any]]] = {
    "one-text": lambda size: item("dep_1", "huge", description="x" * size),
    "many-variables": lambda size: item("dep_1", "huge", environment_variables=[{"name": "x" * 90}] * (size // 100)),
    "an-unknown-object": lambda size: item("dep_1", "huge", unknown={f"{n:08}": "x" * 86 for n in range(size // 98)}),
}


LARGE = "-above-1-MiB"


@pytest.mark.parametrize(
    "kind",
    [*SIZES, *(f"{kind}{LARGE}" for kind in SIZES)],
)
def test_an_item_is_invalid_above_1_mib_only(kind: str, api: ScriptedApi, start: Start) -> None:
    size = MIB + MIB // 4 if kind.endswith(LARGE) else MIB // 2
    body = SIZES[kind.removesuffix(LARGE)](size)
    assert (len(json.dumps(body)) > MIB) == (size > MIB)
    fine = item("dep_2", "fine")
    api.script[LIST] = listed(item("dep_1", "huge"), fine)
    daemon = started(start, project(api))
    soon(lambda: page(daemon).names() == {"huge", "fine"}, "both are shown", api)
    api.script[LIST] = listed({**body, "ready_replicas": 5}, {**fine, "ready_replicas": 5})
    ready = "together_deployment_replicas_ready"
    soon(lambda: page(daemon).value(ready, "fine") == 5, "the other is shown", api)
    last = page(daemon)
    if size > MIB:
        assert last.reasons("huge") == {"invalid_response"}
        assert (last.value(SUCCESS, "huge"), last.value(ready, "huge")) == (0, 1)
    else:
        assert (last.value(SUCCESS, "huge"), last.value(ready, "huge")) == (1, 5)
    assert last.total(FAILURES, project="p", fetch="list") == 0, "the list itself is a good one"
