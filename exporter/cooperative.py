"""Long work in the event loop, in slices between which everything else goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

SLICE = 0.005  # s; the longest that a scrape waits for one slice of other work
PAUSE = 0.001  # s between slices, enough for a scrape to go through many steps

T = TypeVar("T")


async def in_slices(items: Iterable[T]) -> AsyncIterator[T]:
    """The items; once SLICE has passed, others have their turn before the next one. The work on each item must be
    short against SLICE."""
    began = time.perf_counter()  # not the loop's own clock: uvloop's stands still between two of its iterations
    for item in items:
        yield item
        if time.perf_counter() - began > SLICE:
            await asyncio.sleep(PAUSE)
            began = time.perf_counter()
