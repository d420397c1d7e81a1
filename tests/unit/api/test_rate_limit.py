from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from exporter.api.errors import ApiError, RateLimited, ServerError, Unreachable
from exporter.api.rate_limit import BACKED_OFF_POLLS, MAX_PAUSE, RateLimit, Request

ONE, OTHER = Request("deployments/a"), Request("deployments/b")
QUEUE, OTHER_QUEUE = (Request("queue/metrics", (("model", name),), "queue") for name in "ab")
REVISION = Request("deployments/a/revisions", (), "revisions")


class LeapingLoop(asyncio.SelectorEventLoop):
    """Nobody waits: where everyone sleeps, the clock leaps to who wakes first. Requests note when they were sent."""

    now = 1000.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        scheduled = getattr(self, "_scheduled", None)
        if scheduled and not getattr(self, "_ready", None):
            self.now = max(self.now, scheduled[0].when())
        super()._run_once()  # type: ignore[misc]  # asyncio's own, without a type


def in_leaps(work: Coroutine[Any, Any, list[float]]) -> list[float]:
    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        return runner.run(work)


async def turns(limit: RateLimit, *requests: Request) -> list[float]:
    """When requests that all want to be sent at once are sent, in seconds from now."""
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def sent(request: Request) -> float:
        await limit.turn(request)
        return loop.time() - began

    return await asyncio.gather(*map(sent, requests))


def test_requests_are_evenly_spaced() -> None:
    async def work() -> list[float]:
        return await turns(RateLimit(5.0, asyncio.get_running_loop().time), *[ONE] * 4)

    assert in_leaps(work()) == pytest.approx([0.0, 0.2, 0.4, 0.6])


def test_time_that_nobody_used_is_not_saved_up() -> None:
    async def work() -> list[float]:
        loop = asyncio.get_running_loop()
        limit = RateLimit(5.0, loop.time)
        await turns(limit, ONE)
        await asyncio.sleep(100)
        return await turns(limit, ONE, ONE, OTHER)

    assert in_leaps(work()) == pytest.approx([0.0, 0.2, 0.4])


@pytest.mark.parametrize("opt_in", [QUEUE, REVISION])
def test_others_wait_behind_at_most_one_request_of_an_opt_in_endpoint(opt_in: Request) -> None:
    async def work() -> list[float]:
        return (await turns(RateLimit(5.0, asyncio.get_running_loop().time), *[opt_in] * 150, ONE, OTHER))[-2:]

    assert in_leaps(work()) == pytest.approx([0.4, 0.6])


def test_an_opt_in_request_waits_only_for_those_that_waited_before_it() -> None:
    async def work() -> list[float]:
        limit = RateLimit(5.0, asyncio.get_running_loop().time)
        return (await turns(limit, *[ONE] * 10, QUEUE, *[ONE] * 100))[10:11]

    assert in_leaps(work()) == pytest.approx([2.0])


def test_a_cancelled_request_leaves_no_gap() -> None:
    async def work() -> list[float]:
        loop = asyncio.get_running_loop()
        limit = RateLimit(0.1, loop.time)
        waiting = [asyncio.ensure_future(limit.turn(each)) for each in [ONE, *[QUEUE] * 50, *[ONE] * 50]]
        await asyncio.sleep(1)
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return await turns(limit, ONE, OTHER)

    assert in_leaps(work()) == pytest.approx([9.0, 19.0])


def test_a_changed_rate_holds_for_the_next_request() -> None:
    async def work() -> list[float]:
        limit = RateLimit(5.0, asyncio.get_running_loop().time)
        await limit.turn(ONE)
        limit.requests_per_second = 0.5
        slower = await turns(limit, ONE, OTHER)
        limit.requests_per_second = 10.0
        return [*slower, *await turns(limit, ONE, OTHER)]

    assert in_leaps(work()) == pytest.approx([2.0, 4.0, 0.1, 0.2])


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def pause(error: ApiError, of: Request = ONE, *, noted: Request = ONE, interval: float = 2.0) -> float | None:
    """Seconds of pause after an error of the request `noted`; None without a pause."""
    clock = Clock()
    limit = RateLimit(1000.0, clock)
    limit.note(noted, error, interval)
    for halves in range(2 * int(MAX_PAUSE) + 4):
        clock.now = halves / 2
        try:
            asyncio.run(limit.turn(of))
        except type(error):
            continue
        return clock.now or None
    return float("inf")


@pytest.mark.parametrize(
    ("error", "own", "others"),
    [
        pytest.param(RateLimited("429", retry_after=7.0), 7.0, 7.0, id="429 with Retry-After"),
        pytest.param(RateLimited("429"), 2.0 * BACKED_OFF_POLLS, 2.0 * BACKED_OFF_POLLS, id="429 without"),
        pytest.param(RateLimited("429", retry_after=36000.0), MAX_PAUSE, MAX_PAUSE, id="429 for ten hours"),
        pytest.param(ServerError("503", retry_after=7.0), 7.0, None, id="503 with Retry-After"),
        pytest.param(ServerError("503"), None, None, id="503 without"),
        pytest.param(Unreachable("refused"), None, None, id="no answer"),
    ],
)
def test_only_a_429_pauses_the_whole_project(error: ApiError, own: float | None, others: float | None) -> None:
    assert pause(error, ONE) == own
    assert pause(error, OTHER) == pause(error, QUEUE) == others


def test_a_429_of_an_opt_in_endpoint_pauses_its_fetch_alone() -> None:
    limited = RateLimited("429", retry_after=7.0)
    assert pause(limited, OTHER_QUEUE, noted=QUEUE) == 7.0
    assert pause(limited, ONE, noted=QUEUE) is None
    assert pause(limited, REVISION, noted=QUEUE) is None


def test_another_error_of_a_queue_pauses_that_queue_alone() -> None:
    busy = ServerError("503", retry_after=7.0)
    assert pause(busy, QUEUE, noted=QUEUE) == 7.0
    assert pause(busy, OTHER_QUEUE, noted=QUEUE) is None


def test_a_429_without_retry_after_leaves_out_at_least_every_other_poll() -> None:
    assert 1.0 < BACKED_OFF_POLLS < 2.0


def test_during_a_pause_the_cause_is_raised_without_a_request() -> None:
    clock = Clock()
    limit = RateLimit(5.0, clock)
    limit.note(ONE, RateLimited("HTTP 429", retry_after=9.6), 30.0)
    with pytest.raises(RateLimited, match=r"^no requests for another 10s, as requested by the API: HTTP 429$"):
        asyncio.run(limit.turn(OTHER))


def test_a_short_pause_that_the_api_asked_for_is_waited_out_and_a_long_one_is_not() -> None:
    async def work() -> list[float]:
        limit = RateLimit(1000.0, asyncio.get_running_loop().time)
        limit.note(ONE, RateLimited("429", retry_after=7.0), 2.0)
        with pytest.raises(RateLimited, match="as requested by the API"):
            await limit.turn(OTHER, patience=5.0)
        began = asyncio.get_running_loop().time()
        await limit.turn(OTHER, patience=10.0)
        waited = asyncio.get_running_loop().time() - began
        limit.note(ONE, RateLimited("429"), 2.0)
        with pytest.raises(RateLimited, match="backing off"):
            await limit.turn(OTHER, patience=10.0)
        return [waited]

    assert in_leaps(work()) == pytest.approx([7.0])


def test_pauses_in_a_row_do_not_add_up_over_those_that_wait() -> None:
    async def work() -> list[float]:
        loop = asyncio.get_running_loop()
        limit = RateLimit(5.0, loop.time)
        began = loop.time()

        async def answered_429(number: int) -> float:
            request = Request(f"deployments/{number}")
            try:
                await limit.turn(request, patience=10.0)
                limit.note(request, RateLimited("429", retry_after=9.0), 30.0)
            except RateLimited:
                pass
            return loop.time() - began

        return await asyncio.gather(*map(answered_429, range(100)))

    assert max(in_leaps(work())) < 20


def test_of_two_pauses_the_longer_one_holds() -> None:
    clock = Clock()
    limit = RateLimit(5.0, clock)
    limit.note(ONE, RateLimited("HTTP 429", retry_after=60.0), 30.0)
    limit.note(ONE, RateLimited("HTTP 429", retry_after=5.0), 30.0)
    clock.now = 59.0
    with pytest.raises(RateLimited):
        asyncio.run(limit.turn(ONE))


def test_a_pause_that_begins_while_a_request_waits_for_its_turn_holds_for_it() -> None:
    async def work() -> list[float]:
        loop = asyncio.get_running_loop()
        limit = RateLimit(0.1, loop.time)
        await limit.turn(ONE)
        waiting = asyncio.ensure_future(limit.turn(ONE))
        await asyncio.sleep(5)
        limit.note(OTHER, RateLimited("HTTP 429", retry_after=60.0), 30.0)
        with pytest.raises(RateLimited):
            await waiting
        return []

    in_leaps(work())


def test_a_pause_that_has_ended_is_forgotten() -> None:
    clock = Clock()
    limit = RateLimit(1000.0, clock)
    for number in range(100):
        clock.now = 10.0 * number
        limit.note(Request(f"deployments/{number}"), ServerError("503", retry_after=7.0), 2.0)
    assert len(limit._pauses) == 1
