"""`/metrics`: the deployments' page, ready-made, and the exporter's own metrics behind it. An ASGI application by
itself: a framework's way to it costs more than the answer."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from itertools import groupby
from urllib.parse import parse_qs

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.metrics.page import Format
from exporter.web.negotiation import CONTENT_TYPES, format_of, takes_gzip
from exporter.web.own import OwnMetrics
from exporter.web.refusals import Refusals
from exporter.web.rendering import GZIP_LEVEL, Rendered, Rendering, deflate

PIECE = 256 * 2**10  # bytes handed to the network at once: a slow reader of a long page costs this much memory
GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"
VARY = (b"vary", b"Accept, Accept-Encoding")


class ScrapeLimit:
    """At most so many scrapes at a time; the next one gets 503, as from node_exporter."""

    def __init__(self, metrics: ASGIApp, limit: int, refusals: Refusals) -> None:
        self._metrics = metrics
        self._limit = limit
        self._refusals = refusals
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._running >= self._limit:
            self._refusals.count("scrape_limit", (scope.get("client") or "?")[0])
            text = f"Limit of concurrent scrapes reached ({self._limit}), try again later.\n"
            await PlainTextResponse(text, 503, {"Retry-After": "1"})(scope, receive, send)
            return
        self._running += 1
        try:
            await self._metrics(scope, receive, send)
        finally:
            self._running -= 1


class MetricsEndpoint:
    """Answers a scrape from what is in memory, in the format and encoding that it asks for; it fetches nothing."""

    def __init__(self, rendering: Rendering, own: OwnMetrics) -> None:
        self._rendering = rendering
        self._own = own
        self._own_packed: tuple[bytes, bytes] = (b"", b"")  # what counts of the own metrics, and its compressed form

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in {"GET", "HEAD"}:
            await PlainTextResponse("Method Not Allowed", 405, {"Allow": "GET, HEAD"})(scope, receive, send)
            return
        asked = dict(reversed(scope["headers"]))  # the first of each name
        format_ = format_of(asked.get(b"accept", b"").decode("latin-1"))
        headers = [(b"content-type", CONTENT_TYPES[format_].encode()), VARY]
        packs = takes_gzip(asked.get(b"accept-encoding", b"").decode("latin-1"))
        if packs:
            headers.append((b"content-encoding", b"gzip"))
        chunks = await self._chunks(format_, _names(scope["query_string"]), packs=packs)
        headers.append((b"content-length", b"%d" % sum(map(len, chunks))))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for piece in _pieces(chunks):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _chunks(self, format_: Format, names: frozenset[str], *, packs: bool) -> Sequence[bytes]:
        """The document; of the families of these names, where there are any; `packs`: as gzip."""
        rendered = await self._rendering.current()
        if names:
            text = rendered.page.selection(format_, names) + self._own.selection(format_, names)
            return (gzip.compress(text, GZIP_LEVEL, mtime=0) if packs else text,)
        own = self._own.text(format_)
        return await self._gzip(rendered, format_, own) if packs else (*rendered.page.chunks(format_), *own)

    async def _gzip(self, rendered: Rendered, format_: Format, own: tuple[bytes, bytes]) -> tuple[bytes, ...]:
        """One gzip member: many clients read no second one."""
        packed = await self._rendering.gzip(rendered, format_)
        counted, live = own
        if self._own_packed[0] is not counted:
            self._own_packed = (counted, deflate(counted, zlib.Z_SYNC_FLUSH))
        crc = zlib.crc32(live, zlib.crc32(counted, packed.crc))
        length = (packed.length + len(counted) + len(live)) & 0xFFFFFFFF
        trailer = crc.to_bytes(4, "little") + length.to_bytes(4, "little")
        return GZIP_HEADER, *packed.deflated, self._own_packed[1], deflate(live, zlib.Z_FINISH) + trailer


def _names(query: bytes) -> frozenset[str]:
    """The families that `name[]` asks for; none asks for all."""
    return frozenset(parse_qs(query.decode("latin-1")).get("name[]", ())) if query else frozenset()


def _pieces(chunks: Sequence[bytes]) -> Iterator[bytes | memoryview]:
    """Short chunks together, long ones in views of PIECE bytes."""
    for is_long, group in groupby(chunks, lambda chunk: len(chunk) >= PIECE):
        for chunk in group if is_long else (b"".join(group),):
            view = memoryview(chunk)
            yield from (view[start : start + PIECE] for start in range(0, len(view), PIECE))
