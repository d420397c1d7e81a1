"""The page that scrapes are sent: rendered when something has changed, by one task, and compressed once."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable

import structlog

from exporter.metrics.page import Compressed, Format, Page, compress
from exporter.metrics.render import Renderer
from exporter.self_metrics import SelfMetrics, exposition
from exporter.state.instant import Instant
from exporter.state.store import Store

REST = 20.0  # times as long as rendering took before it begins again: a twentieth of the time, at most
MAX_REST = 5.0  # s
REQUESTED = 300.0  # s; a format that nobody has requested for so long is compressed when somebody does

log = structlog.get_logger()


class Published:
    """A page, the exporter's own counters of polls as of the same moment, and its compressed forms as far as they have
    been requested. Cached with the page: each of them, once it has been made."""

    def __init__(self, page: Page, metrics: SelfMetrics) -> None:
        self.page = page
        self._metrics = metrics
        self._polls: dict[Format, bytes] = {}
        self._compressed: dict[Format, asyncio.Task[Compressed]] = {}

    def polls(self, format_: Format) -> bytes:
        if format_ not in self._polls:
            self._polls[format_] = exposition(self._metrics.polling, format_)
        return self._polls[format_]

    async def compressed(self, format_: Format) -> Compressed:
        """Compressed once and in a thread, also where who asked for it leaves meanwhile."""
        task = self._compressed.get(format_)
        if task is None:
            pieces = itertools.chain(self.page.pieces(format_), (self.polls(format_),))
            task = self._compressed[format_] = asyncio.create_task(asyncio.to_thread(compress, pieces))
        return await asyncio.shield(task)


class Publisher:
    """`renderer`: another one after a reload that changes it. `clock` gives the moment."""

    def __init__(self, renderer: Renderer, store: Store, metrics: SelfMetrics, clock: Callable[[], Instant]) -> None:
        self.current = Published(Page(), metrics)
        self._renderer = renderer
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._requested = asyncio.Event()
        self._rendering = asyncio.Lock()  # of two at a time, the older page could take the place of the newer
        self._last_requests: dict[Format, float] = {}  # monotonic seconds
        self._expires = float("inf")  # monotonic seconds

    def use(self, renderer: Renderer) -> None:
        """For the next page."""
        self._renderer = renderer

    def request_render(self) -> None:
        """Something may have changed."""
        self._requested.set()

    async def compressed(self, published: Published, format_: Format) -> Compressed:
        self._last_requests[format_] = self._clock().monotonic
        return await published.compressed(format_)

    async def render(self) -> None:
        """Publishes what is known now."""
        async with self._rendering:
            snapshot = await self._store.snapshot(self._clock())
            self._expires = snapshot.expires
            published = Published(await self._renderer.render(snapshot), self._metrics)
            for format_, requested in list(self._last_requests.items()):  # more may come meanwhile
                if self._clock().monotonic - requested < REQUESTED:
                    await published.compressed(format_)
            self.current = published

    async def render_or_keep(self) -> None:
        """The same; an exception is logged, and the last page stays."""
        try:
            await self.render()
        except Exception:
            self._expires = float("inf")
            log.exception("unexpected exception while rendering (please report)", effect="last page is served")

    async def render_loop(self) -> None:
        """Renders whenever it was requested and when something becomes stale, until it is cancelled."""
        while True:
            left = self._expires - self._clock().monotonic
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._requested.wait(), None if left == float("inf") else max(left, 0.0))
            self._requested.clear()
            began = time.monotonic()
            await self.render_or_keep()
            await asyncio.sleep(min(REST * (time.monotonic() - began), MAX_REST))
