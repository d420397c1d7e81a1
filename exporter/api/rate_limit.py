"""How fast one API key may be used: evenly spaced requests, and pauses where the API asks for one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from exporter.api.errors import ApiError, RateLimited

MAX_PAUSE = 300.0  # s; a Retry-After of ten hours must not blind the monitoring for ten hours
TIMER_SLACK = 0.005  # s; event loop timers may fire this much early
BACKED_OFF_POLLS = 1.5  # poll intervals of pause after a 429 without Retry-After: at least every other poll is left out


class RateLimit:
    """`requests_per_second` is never exceeded; `clock` gives monotonic seconds.

    A 429 pauses the whole project, any other error that asks for a pause only requests to its own path."""

    def __init__(self, requests_per_second: float, clock: Callable[[], float]) -> None:
        self._gap = 1 / requests_per_second
        self._clock = clock
        self._next_turn = float("-inf")
        self._pauses: dict[str, tuple[float, ApiError]] = {}  # by path, "" for all: until when, and why

    def note(self, path: str, error: ApiError, interval: float) -> None:
        """Pauses as the error asks for, at most MAX_PAUSE. `interval`: seconds between two polls of the path."""
        limited = isinstance(error, RateLimited)
        pause = error.retry_after or (BACKED_OFF_POLLS * interval if limited else 0.0)
        if pause:
            scope = "" if limited else path
            until = max(self._clock() + min(pause, MAX_PAUSE), self._pauses.get(scope, (0.0,))[0])
            self._pauses[scope] = (until, error)

    async def turn(self, path: str) -> None:
        """Returns when the next request may be sent. During a pause, raises its cause without a request."""
        self._check(path)
        now = self._clock()
        turn = max(now, self._next_turn)
        self._next_turn = turn + self._gap
        if turn > now:
            await asyncio.sleep(turn - now)
            self._check(path)

    def _check(self, path: str) -> None:
        for scope in ("", path):
            until, cause = self._pauses.get(scope, (0.0, None))
            left = until - self._clock()
            if left > TIMER_SLACK and cause is not None:
                raise type(cause)(f"no requests for another {left:.0f}s, as requested by the API: {cause}")
            self._pauses.pop(scope, None)
