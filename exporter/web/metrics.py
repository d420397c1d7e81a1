"""`/metrics`: the published page followed by the metrics about the exporter.

A plain ASGI application, because framework routing would cost more than the response."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from urllib.parse import parse_qs

from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from exporter.metrics.page import GZIP_LEVEL, Format
from exporter.self_metrics import OPENMETRICS_END, SelfMetrics, exposition
from exporter.web.negotiation import CONTENT_TYPES, accepts_gzip, format_of
from exporter.web.publisher import Published, Publisher

PIECE = 256 * 2**10  # bytes per write; the memory that a slow reader costs
CONTENT_TYPE = {format_: (b"content-type", value.encode()) for format_, value in CONTENT_TYPES.items()}
GZIP = (b"content-encoding", b"gzip")
VARY = (b"vary", b"Accept, Accept-Encoding")


class MetricsEndpoint:
    """Answers scrapes from memory in the negotiated format and encoding."""

    def __init__(self, publisher: Publisher, metrics: SelfMetrics) -> None:
        self._publisher = publisher
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in {"GET", "HEAD"}:
            await PlainTextResponse("Method Not Allowed", 405, {"Allow": "GET, HEAD"})(scope, receive, send)
            return
        requested = dict(reversed(scope["headers"]))  # the first header of each name
        format_ = format_of(requested.get(b"accept", b""))
        headers = [CONTENT_TYPE[format_], VARY]
        is_gzip = accepts_gzip(requested.get(b"accept-encoding", b""))
        if is_gzip:
            headers.append(GZIP)
        length, pieces = await self._document(format_, _names(scope["query_string"]), is_gzip=is_gzip)
        headers.append((b"content-length", b"%d" % length))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        last: bytes | memoryview = b""
        for piece in pieces if scope["method"] == "GET" else ():
            if last:
                await send({"type": "http.response.body", "body": last, "more_body": True})
            last = piece
        await send({"type": "http.response.body", "body": last})

    async def _document(
        self, format_: Format, names: frozenset[str], *, is_gzip: bool
    ) -> tuple[int, Iterable[bytes | memoryview]]:
        """Length in bytes and pieces of the body. `names`: requested families; empty for all."""
        published = self._publisher.current
        live = exposition(self._metrics.live, format_, names) + (OPENMETRICS_END if format_ == "openmetrics" else b"")
        if names:
            text = b"".join((*published.page.pieces(format_, names), published.polls(format_, names), live))
            body = gzip.compress(text, GZIP_LEVEL, mtime=0) if is_gzip else text
            return len(body), _views(body)
        if is_gzip:
            compressed = await self._publisher.compressed(published, format_)
            end = compressed.end(live)
            return len(compressed.beginning) + len(end), _chain(_views(compressed.beginning), end)
        return self._plain(published, format_, live)

    def _plain(self, published: Published, format_: Format, live: bytes) -> tuple[int, Iterable[bytes]]:
        own = published.polls(format_) + live
        return published.page.length(format_) + len(own), _chain(published.page.pieces(format_), own)


def _chain(pieces: Iterable[bytes | memoryview], last: bytes) -> Iterator[bytes]:
    """Joins the last two pieces if both are short."""
    before = b""
    for piece in pieces:
        if before:
            yield before
        before = bytes(piece)
    yield before + last


def _views(body: bytes) -> Iterator[memoryview]:
    view = memoryview(body)
    return (view[start : start + PIECE] for start in range(0, len(view), PIECE))


def _names(query: bytes) -> frozenset[str]:
    """The families requested by `name[]`; empty for all."""
    return frozenset(parse_qs(query.decode("latin-1")).get("name[]", ())) if query else frozenset()
