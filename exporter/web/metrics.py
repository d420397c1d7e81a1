"""`/metrics`: the deployments' page, ready-made, and the exporter's own metrics behind it."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from exporter.metrics.exposition import Exposition, Format
from exporter.store import View
from exporter.web.negotiation import CONTENT_TYPES, format_of, takes_gzip
from exporter.web.refusals import Refusals

PIECE = 256 * 2**10  # bytes handed to the network at once: a slow reader of a long page costs this much memory
GZIP_LEVEL = 1  # this text shrinks 19-fold at once; level 6 takes three times as long for 4 % more
GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"
RAW_DEFLATE = -15


@dataclass(frozen=True, slots=True)
class _Packed:
    """A page and its compressed form, to which more can be appended."""

    page: bytes
    deflated: bytes
    crc: int


class Pieces(Response):
    """Sends its body as fast as the client takes it, not faster; calls `done` when it is sent, or will never be."""

    done: Callable[[], None]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            for start in range(0, len(self.body), PIECE):
                piece = self.body[start : start + PIECE]
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            self.done()


class ScrapeLimit:
    """At most so many scrapes at a time; the next one gets 503, as from node_exporter."""

    def __init__(self, metrics: MetricsEndpoint, limit: int, refusals: Refusals) -> None:
        self._metrics = metrics
        self._limit = limit
        self._refusals = refusals
        self._running = 0

    async def answer(self, request: Request) -> Response:
        if self._running >= self._limit:
            self._refusals.count("scrape_limit", request.client.host if request.client else "?")
            text = f"Limit of concurrent scrapes reached ({self._limit}), try again later.\n"
            return PlainTextResponse(text, 503, {"Retry-After": "1"})
        response = self._metrics.answer(request)
        response.done = self._end
        self._running += 1
        return response

    def _end(self) -> None:
        self._running -= 1


class MetricsEndpoint:
    """Answers a scrape from what is in memory; it fetches nothing."""

    def __init__(self, exposition: Callable[[], Exposition], view: Callable[[], View], own: CollectorRegistry) -> None:
        self._exposition = exposition
        self._view = view
        self._own = own
        self._packed: dict[Format, _Packed] = {}

    def answer(self, request: Request) -> Pieces:
        """200 in the format and encoding that the request asks for."""
        format_ = format_of(request.headers.get("accept", ""))
        headers = {"Content-Type": CONTENT_TYPES[format_], "Vary": "Accept, Accept-Encoding"}
        page, own = self.parts(format_, frozenset(request.query_params.getlist("name[]")))
        if takes_gzip(request.headers.get("accept-encoding", "")):
            headers["Content-Encoding"] = "gzip"
            return Pieces(self._gzip(format_, page, own), headers=headers)
        return Pieces(page + own, headers=headers)

    def parts(self, format_: Format, names: frozenset[str] = frozenset()) -> tuple[bytes, bytes]:
        """The deployments' families and the exporter's own; of `names` only, where there are any. The second part
        ends the document."""
        view = self._view()
        if names:
            page = self._exposition().selection(view, format_, names)
            own: Collector = self._own.restricted_registry(list(names))
        else:
            page = self._exposition().page(view, format_)
            own = self._own
        if format_ == "openmetrics":
            return page, generate_openmetrics(own)  # type: ignore[no-untyped-call]  # has no annotations
        return page, generate_latest(own)

    def _gzip(self, format_: Format, page: bytes, own: bytes) -> bytes:
        """One gzip member: many clients read no second one."""
        packed = self._packed.get(format_)
        if packed is None or packed.page is not page:
            packed = _Packed(page, _deflate(page, zlib.Z_SYNC_FLUSH), zlib.crc32(page))
            self._packed[format_] = packed
        length = (len(page) + len(own)) & 0xFFFFFFFF
        trailer = zlib.crc32(own, packed.crc).to_bytes(4, "little") + length.to_bytes(4, "little")
        return GZIP_HEADER + packed.deflated + _deflate(own, zlib.Z_FINISH) + trailer


def _deflate(data: bytes, end: int) -> bytes:
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, RAW_DEFLATE)
    return packer.compress(data) + packer.flush(end)
