"""Long work as generators that yield after each short step, so that others have their turn in between."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

Result = TypeVar("Result")


def in_one_go(steps: Generator[None, None, Result]) -> Result:
    """What the generator returns, where nobody else waits for a turn."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
