"""Cooperative work, one step at a time: what others do between two steps, and where it is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar
from unittest import mock

T = TypeVar("T")


class _InstantLoop(asyncio.SelectorEventLoop):
    """Its clock leaps: whatever sleeps is awake at its next turn."""

    _now = 0.0

    def time(self) -> float:
        self._now += 1.0
        return self._now


_RUNNER = asyncio.Runner(loop_factory=_InstantLoop)


@contextlib.contextmanager
def _a_pause_after_each_item() -> Iterator[None]:
    """The clock that in_slices looks at leaps too."""
    ticks = itertools.count()
    with mock.patch("time.perf_counter", side_effect=lambda: float(next(ticks))):
        yield


def stepped(work: Coroutine[Any, Any, T], between: Callable[[int], Any] = lambda _: None) -> T:
    """The work's result. `between`: called, and awaited where it is a coroutine, at each turn that the work leaves to
    others; its argument counts them."""

    async def turns() -> T:
        task = asyncio.ensure_future(work)
        for turn in itertools.count():
            await asyncio.sleep(0)
            if task.done():
                break
            called = between(turn)
            if inspect.isawaitable(called):
                await called
        return await task

    with _a_pause_after_each_item():
        return _RUNNER.run(turns())


def cancelled(work: Coroutine[Any, Any, Any], after: int) -> bool:
    """Runs the work for so many turns and cancels it; False where it had ended before."""

    async def turns() -> bool:
        task = asyncio.ensure_future(work)
        for _ in range(after + 1):
            await asyncio.sleep(0)
        if task.done():
            await task
            return False
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return True

    with _a_pause_after_each_item():
        return _RUNNER.run(turns())


def cancelled_everywhere(begin: Callable[[], Coroutine[Any, Any, Any]]) -> Iterator[tuple[int, bool]]:
    """Restarts the work repeatedly and cancels it one turn later each time: (turn, whether it was cancelled). Ends
    with the one that was not."""
    for turn in itertools.count():
        was_cancelled = cancelled(begin(), turn)
        yield turn, was_cancelled
        if not was_cancelled:
            return
