"""Publishes the page that scrapes return: rendered on changes by one task, compressed once."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import time
from collections.abc import Callable

import structlog
from prometheus_client import CollectorRegistry

from exporter.metrics.page import Compressed, Format, Page, compress
from exporter.metrics.render import Renderer
from exporter.self_metrics import SelfMetrics, copied, exposition
from exporter.state.instant import Instant
from exporter.state.store import Store

RENDER_PAUSE_FACTOR = 20.0  # of the render duration; rendering takes at most a twentieth of the time
MAX_RENDER_PAUSE = 5.0  # s
COMPRESSION_TTL = 300.0  # s since its last request; older formats are compressed on demand only

log = structlog.get_logger()


class Published:
    """A page with the exporter's poll counters of the same time. Cached with the page, each created on request: the
    counters, their texts, and the compressed forms."""

    def __init__(self, page: Page, metrics: SelfMetrics) -> None:
        self.page = page
        self._live_counters = metrics.polling
        self._polls: dict[Format, bytes] = {}
        self._compressed: dict[Format, asyncio.Task[Compressed]] = {}

    @functools.cached_property
    def _counters(self) -> CollectorRegistry:
        """A copy of the counters, so that every answer with this page has the same ones."""
        return copied(self._live_counters)

    def polls(self, format_: Format, names: frozenset[str] = frozenset()) -> bytes:
        """The poll counters as text, limited to the families in `names` if not empty."""
        if names:
            return exposition(self._counters, format_, names)
        if format_ not in self._polls:
            self._polls[format_] = exposition(self._counters, format_)
        return self._polls[format_]

    async def compressed(self, format_: Format) -> Compressed:
        """Compresses once, in a thread; continues if the requester is cancelled."""
        task = self._compressed.get(format_)
        if task is None:
            pieces = itertools.chain(self.page.pieces(format_), (self.polls(format_),))
            task = self._compressed[format_] = asyncio.create_task(asyncio.to_thread(compress, pieces))
        return await asyncio.shield(task)


class Publisher:
    """`renderer`: replaced by a reload that changes prices. `clock`: the current time."""

    def __init__(self, renderer: Renderer, store: Store, metrics: SelfMetrics, clock: Callable[[], Instant]) -> None:
        self.current = Published(Page(), metrics)
        self._renderer = renderer
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._requested = asyncio.Event()
        self._rendering = asyncio.Lock()  # otherwise an older page could replace a newer one
        self._last_requests: dict[Format, float] = {}  # monotonic seconds
        self._expires = float("inf")  # monotonic seconds

    def use(self, renderer: Renderer) -> None:
        """Sets the renderer of the next page."""
        self._renderer = renderer

    def request_render(self) -> None:
        """Schedules a render because data may have changed."""
        self._requested.set()

    async def compressed(self, published: Published, format_: Format) -> Compressed:
        self._last_requests[format_] = self._clock().monotonic
        return await published.compressed(format_)

    async def render(self) -> None:
        """Renders and publishes the current snapshot."""
        async with self._rendering:
            snapshot = await self._store.snapshot(self._clock())
            self._expires = snapshot.expires
            published = Published(await self._renderer.render(snapshot), self._metrics)
            for format_, requested in list(self._last_requests.items()):  # may change during the iteration
                if self._clock().monotonic - requested < COMPRESSION_TTL:
                    await published.compressed(format_)
            self.current = published

    async def render_or_keep(self) -> None:
        """Like render(), but logs exceptions and keeps the last page."""
        try:
            await self.render()
        except Exception:
            self._expires = float("inf")
            log.exception("unexpected exception while rendering (please report)", effect="last page is served")

    async def render_loop(self) -> None:
        """Renders on request and when data becomes stale, until cancelled."""
        while True:
            left = self._expires - self._clock().monotonic
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._requested.wait(), None if left == float("inf") else max(left, 0.0))
            self._requested.clear()
            began = time.monotonic()
            await self.render_or_keep()
            await asyncio.sleep(min(RENDER_PAUSE_FACTOR * (time.monotonic() - began), MAX_RENDER_PAUSE))
