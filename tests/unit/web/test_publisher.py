"""One page at a time, published whole; rendered when something changed and when something becomes stale."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator, Callable

import pytest
import structlog

from exporter.api.errors import PollTimeout
from exporter.api.listing import Listing
from exporter.api.reading import Reading
from exporter.metrics.page import Format, Page
from exporter.metrics.render import Renderer
from exporter.self_metrics import SelfMetrics
from exporter.state.instant import Instant
from exporter.state.projects import after_failed_list, after_list
from exporter.state.records import Snapshot, Target
from exporter.state.store import Store
from exporter.web.publisher import COMPRESSION_TTL, Publisher
from tests.pipeline import at, run
from tests.unit.polling.harness import error
from tests.unit.status.facts import well

STALE_AFTER = 300.0


class HeldUp(Renderer):
    """Renders when it may; the `broken` next ones raise."""

    def __init__(self) -> None:
        super().__init__({})
        self.may = asyncio.Event()
        self.may.set()
        self.began = asyncio.Event()
        self.broken = 0
        self.times = 0

    async def render(self, snapshot: Snapshot) -> Page:
        self.times += 1
        self.began.set()
        await self.may.wait()
        if self.broken:
            self.broken -= 1
            raise RuntimeError("a bug")
        return await super().render(snapshot)


class Setup:
    """A project with one deployment whose status says which list it is of, and the pages of it."""

    def __init__(self) -> None:
        self.second = 0.0
        self.store = Store([Target("p", stale_after=STALE_AFTER)])
        self.metrics = SelfMetrics(runtime=False)
        self.renderer = HeldUp()
        self.publisher = Publisher(self.renderer, self.store, self.metrics, self.now)

    def now(self) -> Instant:
        return at(self.second)

    async def list(self, *statuses: str) -> None:
        before = self.store.projects["p"]
        items = tuple(Reading(well(f"d{number}", status=status)) for number, status in enumerate(statuses))
        self.store.commit(before, await after_list(before, Listing(items), self.now()))
        self.metrics.polls.labels("p", "list").inc()
        self.publisher.request_render()

    def fail(self) -> None:
        before = self.store.projects["p"]
        self.store.commit(before, after_failed_list(before, error(PollTimeout)))
        self.publisher.request_render()

    def text(self, format_: Format = "text") -> str:
        published = self.publisher.current
        return b"".join((*published.page.pieces(format_), published.polls(format_))).decode()

    def statuses(self) -> set[str]:
        """The current ones of all deployments on the page."""
        lines = self.text().splitlines()
        return {
            line.split('status="')[1].split('"')[0]
            for line in lines
            if line.startswith("together_deployment_status{") and line.endswith(" 1.0")
        }

    @contextlib.asynccontextmanager
    async def looping(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.publisher.render_loop())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def wait_until(condition: Callable[[], bool]) -> None:
    """Turns the loop until the condition holds, at most 30 s."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0)


def test_before_the_first_render_there_is_an_empty_page_that_is_not_ready() -> None:
    setup = Setup()
    assert b"".join(setup.publisher.current.page.pieces("text")) == b""
    assert not setup.publisher.current.page.is_ready


def test_a_page_is_ready_only_with_the_result_on_it() -> None:
    async def test() -> None:
        setup = Setup()
        await setup.publisher.render()
        assert setup.publisher.current.page.is_ready is False
        await setup.list("A")
        assert setup.publisher.current.page.is_ready is False, "the result is not on the page yet"
        await setup.publisher.render()
        assert setup.statuses() == {"A"}
        assert setup.publisher.current.page.is_ready is True

    run(test())


def test_a_page_is_published_whole() -> None:
    """Scrapes see the one before until the next is finished, compressed forms included."""

    async def test() -> None:
        setup = Setup()
        await setup.list("A", "A")
        await setup.publisher.render()
        before = setup.publisher.current
        setup.renderer.may.clear()
        await setup.list("B", "B")
        async with setup.looping():
            setup.renderer.began.clear()
            await setup.renderer.began.wait()
            assert setup.publisher.current is before
            assert setup.statuses() == {"A"}
            setup.renderer.may.set()
            await wait_until(lambda: setup.publisher.current is not before)
            assert setup.statuses() == {"B"}

    run(test())


def test_many_commits_are_one_render() -> None:
    async def test() -> None:
        setup = Setup()
        async with setup.looping():
            for turn in range(50):
                await setup.list(f"turn-{turn}")
            await wait_until(lambda: setup.statuses() == {"turn-49"})
        assert setup.renderer.times == 1

    run(test())


def test_what_is_committed_while_a_page_is_rendered_is_on_the_next() -> None:
    async def test() -> None:
        setup = Setup()
        setup.renderer.may.clear()
        await setup.list("A")
        async with setup.looping():
            await setup.renderer.began.wait()
            await setup.list("B")
            setup.renderer.may.set()
            await wait_until(lambda: setup.statuses() == {"B"})
        assert setup.renderer.times == 2

    run(test())


def test_what_becomes_stale_leaves_the_page_without_a_poll() -> None:
    async def test() -> None:
        setup = Setup()
        await setup.list("A")
        async with setup.looping():
            await wait_until(lambda: setup.statuses() == {"A"})
            setup.second = STALE_AFTER - 0.001
            setup.fail()
            await wait_until(lambda: "together_deployment_poll_error" in setup.text())
            assert setup.statuses() == {"A"}
            setup.second = STALE_AFTER
            await wait_until(lambda: setup.statuses() == set())
        assert "together_deployment_poll_error" in setup.text()

    run(test())


def test_a_render_that_raises_leaves_the_last_page_and_goes_on() -> None:
    async def test() -> None:
        setup = Setup()
        await setup.list("A")
        async with setup.looping():
            await wait_until(lambda: setup.statuses() == {"A"})
            setup.renderer.broken = 1
            with structlog.testing.capture_logs() as lines:
                await setup.list("B")
                await wait_until(lambda: bool(lines))
            assert setup.statuses() == {"A"}
            assert [(line["event"], line["exc_info"], line["effect"]) for line in lines] == [
                ("unexpected exception while rendering (please report)", True, "last page is served")
            ]
            await setup.list("C")
            await wait_until(lambda: setup.statuses() == {"C"})

    run(test())


def test_another_renderer_makes_the_next_page() -> None:
    async def test() -> None:
        setup = Setup()
        await setup.list("A")
        await setup.publisher.render()
        setup.publisher.use(Renderer({"h100": 2.5}))
        await setup.publisher.render()
        assert 'together_gpu_hourly_cost{gpu_type="h100"} 2.5' in setup.text()
        assert setup.statuses() == {"A"}

    run(test())


def test_of_two_renders_at_a_time_the_later_one_stays() -> None:
    async def test() -> None:
        setup = Setup()
        setup.renderer.may.clear()
        await setup.list("A")
        older = asyncio.create_task(setup.publisher.render())
        await setup.renderer.began.wait()
        await setup.list("B")
        newer = asyncio.create_task(setup.publisher.render())
        await asyncio.sleep(0)
        setup.renderer.may.set()
        await asyncio.gather(older, newer)
        assert setup.statuses() == {"B"}

    run(test())


@pytest.mark.parametrize("format_", ["text", "openmetrics"])
def test_the_compressed_form_is_the_plain_page_of_the_same_moment(format_: Format) -> None:
    async def test() -> None:
        setup = Setup()
        await setup.list("A", "B")
        await setup.publisher.render()
        published = setup.publisher.current
        compressed = await setup.publisher.compressed(published, format_)
        await setup.list("C")
        await setup.publisher.render()
        for tail in (b"", b"live 1.0\n", b"x" * 100_000):
            text = gzip.decompress(compressed.beginning + compressed.end(tail))
            assert text == b"".join((*published.page.pieces(format_), published.polls(format_), tail))

    run(test())


def test_a_page_is_compressed_once_however_many_ask_and_leave() -> None:
    async def test() -> None:
        setup = Setup()
        await setup.list("A")
        await setup.publisher.render()
        published = setup.publisher.current
        leaves = asyncio.create_task(published.compressed("text"))
        await asyncio.sleep(0)
        leaves.cancel()
        first, again = await asyncio.gather(published.compressed("text"), published.compressed("text"))
        assert first is again

    run(test())


@pytest.mark.parametrize(
    ("seconds", "formats"),
    [(COMPRESSION_TTL - 1, {"openmetrics"}), (COMPRESSION_TTL, set())],
    ids=["lately", "long ago"],
)
def test_a_format_that_was_requested_lately_is_compressed_before_the_page_is_published(
    seconds: float, formats: set[Format]
) -> None:
    async def test() -> None:
        setup = Setup()
        await setup.list("A")
        await setup.publisher.render()
        await setup.publisher.compressed(setup.publisher.current, "openmetrics")
        setup.second = seconds
        await setup.publisher.render()
        assert set(setup.publisher.current._compressed) == formats

    run(test())


def test_a_new_format_that_is_requested_while_a_page_is_compressed_breaks_nothing() -> None:
    async def test() -> None:
        setup = Setup()
        await setup.list("A")
        await setup.publisher.render()
        before = setup.publisher.current
        await setup.publisher.compressed(before, "text")
        rendering = asyncio.create_task(setup.publisher.render())
        await asyncio.sleep(0)
        await setup.publisher.compressed(before, "openmetrics")
        await rendering
        assert setup.publisher.current is not before

    run(test())


def test_the_counters_of_polls_are_those_of_the_pages_moment() -> None:
    async def test() -> None:
        setup = Setup()
        await setup.list("A")
        await setup.publisher.render()
        polled = 'together_exporter_polls_total{fetch="list",project="p"} '
        assert polled + "1.0" in setup.text()
        await setup.list("B")
        assert polled + "1.0" in setup.text()
        chosen = setup.publisher.current.polls("text", frozenset({"together_exporter_polls_total"})).decode()
        assert [line for line in chosen.splitlines() if line[0] != "#"] == [polled + "1.0"]
        await setup.publisher.render()
        assert polled + "2.0" in setup.text()

    run(test())
