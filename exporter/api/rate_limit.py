"""Rate limit of one API key: evenly spaced requests, and pauses requested by the API."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from exporter.api.errors import ApiError, RateLimited

MAX_PAUSE = 300.0  # s; a Retry-After of ten hours must not blind the monitoring for ten hours
TIMER_SLACK = 0.005  # s; event loop timers may fire this much early
BACKED_OFF_POLLS = 1.5  # poll intervals of pause after a 429 without Retry-After; skips at least every other poll
PROJECT = ""  # scope of requests that are not opt-in


@dataclass(frozen=True, slots=True)
class Request:
    """A GET request below the base URL. `path`: percent-encoded.

    `scope`: PROJECT, or the opt-in fetch of the request, which must not delay others."""

    path: str
    query: tuple[tuple[str, str], ...] = ()
    scope: str = PROJECT


class RateLimit:
    """Outlives a project's clients, because a reload must not reset it.

    `requests_per_second`: never exceeded; may be changed. `clock`: monotonic seconds.

    A 429 pauses the project; from an opt-in endpoint, only its fetch. Other errors with a `Retry-After` pause only the
    same request."""

    def __init__(self, requests_per_second: float, clock: Callable[[], float]) -> None:
        self.requests_per_second = requests_per_second
        self._clock = clock
        self._last_turn = float("-inf")
        self._waiting = asyncio.Lock()  # first in, first out; a cancelled request uses no slot
        self._waiting_opt_in = asyncio.Lock()  # of opt-in requests only one at a time waits with the others
        self._pauses: dict[str | Request, tuple[float, ApiError]] = {}  # end and cause, by scope or request

    def note(self, request: Request, error: ApiError, interval: float) -> None:
        """Pauses as requested by the error, at most MAX_PAUSE. `interval`: seconds between two polls."""
        now = self._clock()
        self._pauses = {paused: pause for paused, pause in self._pauses.items() if pause[0] > now}
        limited = isinstance(error, RateLimited)
        pause = error.retry_after or (BACKED_OFF_POLLS * interval if limited else 0.0)
        if pause:
            paused = request.scope if limited else request
            until = max(now + min(pause, MAX_PAUSE), self._pauses.get(paused, (0.0,))[0])
            self._pauses[paused] = (until, error)
            error.pause = until - now

    async def turn(self, request: Request, patience: float = 0.0) -> None:
        """Waits until the request may be sent. During a pause, raises its cause.

        `patience`: seconds to wait for the end of a pause of the project that the API requested."""
        give_up = self._clock() + patience  # waiting for others counts, too
        async with contextlib.nullcontext() if request.scope == PROJECT else self._waiting_opt_in, self._waiting:
            await self._wait_out(give_up)
            self._check(request)
            now = self._clock()
            turn = max(now, self._last_turn + 1 / self.requests_per_second)
            if turn > now:
                await asyncio.sleep(turn - now)
                self._check(request)
            self._last_turn = turn

    async def _wait_out(self, give_up: float) -> None:
        until, cause = self._pauses.get(PROJECT, (0.0, None))
        if cause is not None and cause.retry_after is not None and self._clock() < until <= give_up:
            await asyncio.sleep(until - self._clock())

    def _check(self, request: Request) -> None:
        for paused in (PROJECT, request.scope, request):
            until, cause = self._pauses.get(paused, (0.0, None))
            left = until - self._clock()
            if left > TIMER_SLACK and cause is not None:
                why = "backing off" if cause.retry_after is None else "as requested by the API"
                error = type(cause)(f"no requests for another {left:.0f}s, {why}: {cause}")
                error.pause = left
                raise error
            self._pauses.pop(paused, None)
