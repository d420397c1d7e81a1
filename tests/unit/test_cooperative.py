from __future__ import annotations

import asyncio
import time

import pytest

from exporter.cooperative import SLICE, in_slices
from tests.pipeline import run
from tests.unit.state.stepping import stepped


async def collected(items: range) -> list[int]:
    return [item async for item in in_slices(items)]


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_all_items_come_in_their_order(count: int) -> None:
    assert run(collected(range(count))) == list(range(count))


def test_others_have_their_turn_between_slices() -> None:
    turns: list[int] = []
    assert stepped(collected(range(10)), turns.append) == list(range(10))
    assert len(turns) >= 10


def test_short_work_is_not_interrupted() -> None:
    """Even a sleep of no time would cost each small list a turn of the loop."""

    async def others_turns() -> int:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.ensure_future(other())
        assert await collected(range(10)) == list(range(10))
        task.cancel()
        return turns

    assert run(others_turns()) == 0


def test_no_slice_is_much_longer_than_the_longest_item() -> None:
    async def longest() -> float:
        longest, ended = 0.0, time.process_time()

        async def watch() -> None:
            nonlocal longest, ended
            while True:
                began = time.process_time()
                longest, ended = max(longest, began - ended), began
                await asyncio.sleep(0)
                ended = time.process_time()

        task = asyncio.ensure_future(watch())
        await asyncio.sleep(0)
        async for _ in in_slices(range(100)):
            until = time.process_time() + SLICE / 5
            while time.process_time() < until:
                pass
        task.cancel()
        return longest

    assert run(longest()) < 4 * SLICE


def test_whoever_leaves_early_leaves_nothing_behind() -> None:
    async def first() -> int:
        async for item in in_slices(range(5)):
            return item
        return -1

    assert run(first()) == 0
