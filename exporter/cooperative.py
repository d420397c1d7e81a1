"""Cooperative multitasking: splits long work in the event loop into slices."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

SLICE = 0.005  # s; maximum delay of a scrape by one slice
PAUSE = 0.001  # s between slices; enough for many steps of a scrape

T = TypeVar("T")


async def in_slices(items: Iterable[T]) -> AsyncIterator[T]:
    """Yields the items and pauses after each SLICE. Processing an item must be short compared to SLICE."""
    began = time.perf_counter()  # not the loop's clock: uvloop's is constant within an iteration
    for item in items:
        yield item
        if time.perf_counter() - began > SLICE:
            await asyncio.sleep(PAUSE)
            began = time.perf_counter()
