"""Long work in the event loop, in slices between which everything else goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import TypeVar

SLICE = 0.005  # s; what a scrape may have to wait for work of another kind, at each of its own steps
PAUSE = 0.001  # s between slices, in which a scrape goes through many steps; also the client's time to read

Result = TypeVar("Result")


async def in_slices(steps: Generator[None, None, Result]) -> Result:
    """What the generator returns; each of its steps must be short against SLICE."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
        if loop.time() - began > SLICE:
            await asyncio.sleep(PAUSE)
            began = loop.time()
