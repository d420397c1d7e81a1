"""How fast one API key may be used: evenly spaced requests, and a pause where the API asks for one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from exporter.api.errors import ApiError

MAX_PAUSE = 300.0  # s; a Retry-After of ten hours must not blind the monitoring for ten hours
TIMER_SLACK = 0.005  # s; event loop timers may fire this much early


class Pace:
    """`requests_per_second` is never exceeded; `clock` gives monotonic seconds."""

    def __init__(self, requests_per_second: float, clock: Callable[[], float]) -> None:
        self._gap = 1 / requests_per_second
        self._clock = clock
        self._next_turn = float("-inf")
        self._paused_until = float("-inf")
        self._cause: ApiError | None = None

    def pause(self, seconds: float, cause: ApiError) -> None:
        """No request for so many seconds (at most MAX_PAUSE): the API said so with `cause`."""
        self._paused_until = max(self._paused_until, self._clock() + min(seconds, MAX_PAUSE))
        self._cause = cause

    def _check(self) -> None:
        """Raises the pause's cause anew, without asking the API, while the pause lasts."""
        left = self._paused_until - self._clock()
        if self._cause is not None and left > TIMER_SLACK:
            raise type(self._cause)(f"not asked: the API wants {left:.0f}s of quiet ({self._cause})")

    async def turn(self) -> None:
        """Returns when the next request may be sent. Raises the pause's cause where there is a pause."""
        self._check()
        now = self._clock()
        turn = max(now, self._next_turn)
        self._next_turn = turn + self._gap
        if turn > now:
            await asyncio.sleep(turn - now)
            self._check()
