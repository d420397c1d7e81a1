from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import structlog

from exporter.api.models import Deployment, Reading
from exporter.metrics.exposition import Exposition
from exporter.records import Instant, Target
from exporter.store import Store
from exporter.web import rendering as module
from exporter.web.rendering import Rendered, Rendering


class Fleet:
    """A store whose deployments' status is at `turn`, and how it is rendered."""

    def __init__(self, deployments: int) -> None:
        self.store, self.exposition = Store([Target("p")]), Exposition({})
        self.rendering = Rendering(lambda: self.exposition, lambda: self.store.view(Instant(0, 0)))
        self._deployments = deployments
        self.turn(0)

    def turn(self, number: int) -> None:
        listed = [Reading(Deployment(id=str(n), status=f"turn-{number}")) for n in range(self._deployments)]
        self.store.apply_list("p", listed, Instant(0, 0))

    async def status(self) -> set[str]:
        """What scrapes see."""
        text = b"".join((await self.rendering.current()).page.chunks("text")).decode()
        return {line.split('status="')[1].split('"')[0] for line in text.splitlines() if 'status="turn-' in line}


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await test()

    asyncio.run(bounded())


async def others(turns: int = 2) -> None:
    """Lets the others go on."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def another(rendering: Rendering, before: Rendered) -> Rendered:
    """The next one, once it is drawn beside."""
    for _ in range(10_000):
        await others()
        if (rendered := await rendering.current()) is not before:
            return rendered
    raise AssertionError("nothing is drawn beside")


@pytest.fixture(autouse=True)
def _short_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step of drawing is a slice, so that scrapes come between all of them."""
    monkeypatch.setattr("exporter.slices.SLICE", 0.0)
    monkeypatch.setattr("exporter.slices.PAUSE", 0.0)
    monkeypatch.setattr(module, "LARGE", 10)


def test_nothing_changed_is_the_same_object() -> None:
    async def test() -> None:
        fleet = Fleet(3)
        assert await fleet.rendering.current() is await fleet.rendering.current()

    run(test)


@pytest.mark.parametrize(("deployments", "seen_meanwhile"), [(20, "turn-0"), (3, "turn-1")])
def test_scrapes_wait_for_the_drawing_of_small_fleets_only(deployments: int, seen_meanwhile: str) -> None:
    async def test() -> None:
        fleet = Fleet(deployments)
        before = await fleet.rendering.current()
        drawing = asyncio.create_task(fleet.rendering.stay_current())
        fleet.turn(1)
        fleet.rendering.stir()
        await others()
        assert await fleet.status() == {seen_meanwhile}
        await another(fleet.rendering, before)
        assert await fleet.status() == {"turn-1"}
        drawing.cancel()

    run(test)


def test_what_is_drawn_beside_is_compressed_for_those_who_ask_for_it() -> None:
    async def test() -> None:
        fleet = Fleet(20)
        before = await fleet.rendering.current()
        await fleet.rendering.gzip(before, "openmetrics")
        drawing = asyncio.create_task(fleet.rendering.stay_current())
        fleet.turn(1)
        fleet.rendering.stir()
        after = await another(fleet.rendering, before)
        assert set(after.packed) == {"openmetrics"}
        drawing.cancel()

    run(test)


def test_a_format_that_nobody_has_asked_for_in_a_while_is_not_compressed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASKED", -1.0)

    async def test() -> None:
        fleet = Fleet(20)
        before = await fleet.rendering.current()
        await fleet.rendering.gzip(before, "text")
        drawing = asyncio.create_task(fleet.rendering.stay_current())
        fleet.turn(1)
        fleet.rendering.stir()
        after = await another(fleet.rendering, before)
        assert after.packed == {}
        drawing.cancel()

    run(test)


def test_after_a_reload_nothing_of_the_old_configuration_is_served() -> None:
    async def test() -> None:
        fleet = Fleet(20)
        before = await fleet.rendering.current()
        fleet.exposition = Exposition({"h100": 2.0})
        after = await fleet.rendering.current()
        assert after is not before
        assert b"gpu_hourly_cost" in b"".join(after.page.chunks("text"))

    run(test)


def test_drawing_beside_that_breaks_is_told_about_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        fleet = Fleet(20)
        await fleet.status()
        draw = Exposition.draw

        def breaks(*_: object) -> Any:
            raise RuntimeError("a bug")

        monkeypatch.setattr(Exposition, "draw", breaks)
        drawing = asyncio.create_task(fleet.rendering.stay_current())
        fleet.turn(1)
        with structlog.testing.capture_logs() as logs:
            fleet.rendering.stir()
            await others(5)
        assert [line["event"] for line in logs] == ["drawing broke: please report this"]
        monkeypatch.setattr(Exposition, "draw", draw)
        assert await fleet.status() == {"turn-1"}
        assert not drawing.done()
        drawing.cancel()

    run(test)


def test_a_scrape_that_is_given_up_while_it_draws_costs_the_next_one_nothing() -> None:
    async def test() -> None:
        fleet = Fleet(20)
        scrape = asyncio.create_task(fleet.rendering.current())
        await others()
        assert not scrape.done()
        scrape.cancel()
        assert await fleet.status() == {"turn-0"}

    run(test)


def test_compressed_pieces_are_kept_from_page_to_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.metrics.page.CHUNK", 1)
    compressed: list[bytes] = []
    deflate = module.deflate

    def counted(data: bytes) -> bytes:
        compressed.append(data)
        return deflate(data)

    monkeypatch.setattr(module, "deflate", counted)

    async def test() -> None:
        fleet = Fleet(3)
        for turn in (0, 0, 1):
            fleet.turn(turn)
            rendered = await fleet.rendering.current()
            packed = await fleet.rendering.gzip(rendered, "text")
            chunks = rendered.page.chunks("text")
            ending = b"\1\0\0\xff\xff" + packed.crc.to_bytes(4, "little") + packed.length.to_bytes(4, "little")
            assert gzip.decompress(packed.beginning + ending) == b"".join(chunks)
        again = [chunk for chunk in compressed if b'deployment="' in chunk and compressed.count(chunk) > 1]
        assert again == []
        assert len(compressed) > len(chunks)

    run(test)
