"""`/metrics`: the deployments' page, ready-made, and the exporter's own metrics behind it."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from exporter.metrics.exposition import Exposition, Format
from exporter.records import View
from exporter.slices import in_slices
from exporter.web.negotiation import CONTENT_TYPES, format_of, takes_gzip
from exporter.web.refusals import Refusals

PIECE = 256 * 2**10  # bytes handed to the network at once: a slow reader of a long page costs this much memory
GZIP_LEVEL = 1  # this text shrinks 19-fold at once; level 6 takes three times as long for 4 % more
GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"
RAW_DEFLATE = -15


@dataclass(frozen=True, slots=True)
class _Packed:
    """Chunks and their compressed forms, to which more can be appended."""

    chunks: tuple[bytes, ...] = ()
    deflated: tuple[bytes, ...] = ()
    crc: int = 0
    length: int = 0


class Pieces(Response):
    """Sends its chunks as fast as the client takes them, not faster, and copies none; calls `done` when they are sent,
    or will never be."""

    done: Callable[[], None]

    def __init__(self, chunks: Sequence[bytes], headers: dict[str, str]) -> None:
        super().__init__(headers={**headers, "Content-Length": str(sum(map(len, chunks)))})
        self._chunks = chunks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            for piece in _pieces(self._chunks):
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
        self._running += 1
        try:
            response = await self._metrics.answer(request)
        except BaseException:
            self._end()
            raise
        response.done = self._end
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
        self._drawing = asyncio.Lock()
        self._packing = asyncio.Lock()

    async def answer(self, request: Request) -> Pieces:
        """200 in the format and encoding that the request asks for."""
        format_ = format_of(request.headers.get("accept", ""))
        headers = {"Content-Type": CONTENT_TYPES[format_], "Vary": "Accept, Accept-Encoding"}
        exposition = await self._drawn()
        chunks, own = self._parts(exposition, format_, frozenset(request.query_params.getlist("name[]")))
        if takes_gzip(request.headers.get("accept-encoding", "")):
            headers["Content-Encoding"] = "gzip"
            return Pieces(await self._gzip(format_, chunks, own), headers)
        return Pieces((*chunks, own), headers)

    def page(self) -> bytes:
        """Everything in the text format, for a command that ends then."""
        exposition = self._exposition()
        return exposition.page(self._view(), "text") + generate_latest(self._own)

    async def _drawn(self) -> Exposition:
        """The exposition with everything that is known now; drawing leaves time for others."""
        async with self._drawing:
            exposition = self._exposition()
            await in_slices(exposition.draw(self._view()))
            return exposition

    def _parts(self, exposition: Exposition, format_: Format, names: frozenset[str]) -> tuple[tuple[bytes, ...], bytes]:
        """The deployments' families and the exporter's own; of `names` only, where there are any. The second part
        ends the document."""
        chunks = (exposition.selection(format_, names),) if names else exposition.chunks(format_)
        own: Collector = self._own.restricted_registry(list(names)) if names else self._own
        if format_ == "openmetrics":
            return chunks, generate_openmetrics(own)  # type: ignore[no-untyped-call]  # has no annotations
        return chunks, generate_latest(own)

    async def _gzip(self, format_: Format, chunks: tuple[bytes, ...], own: bytes) -> tuple[bytes, ...]:
        """One gzip member: many clients read no second one."""
        packed = await self._pack(format_, chunks)
        length = (packed.length + len(own)) & 0xFFFFFFFF
        trailer = zlib.crc32(own, packed.crc).to_bytes(4, "little") + length.to_bytes(4, "little")
        return GZIP_HEADER, *packed.deflated, _deflate(own, zlib.Z_FINISH) + trailer

    async def _pack(self, format_: Format, chunks: tuple[bytes, ...]) -> _Packed:
        """Chunks that are as before are not compressed again; many bytes are compressed beside the event loop."""
        async with self._packing:
            before = self._packed.get(format_, _Packed())
            if before.chunks == chunks:
                return before
            if sum(map(len, chunks)) < PIECE:
                packed = _packed(before, chunks)
            else:
                packed = await asyncio.to_thread(_packed, before, chunks)
            self._packed[format_] = packed
            return packed


def _packed(before: _Packed, chunks: tuple[bytes, ...]) -> _Packed:
    known = dict(zip(map(id, before.chunks), before.deflated, strict=True))
    deflated, crc = [], 0
    for chunk in chunks:
        deflated.append(known.get(id(chunk)) or _deflate(chunk, zlib.Z_SYNC_FLUSH))
        crc = zlib.crc32(chunk, crc)
    return _Packed(chunks, tuple(deflated), crc, sum(map(len, chunks)))


def _deflate(data: bytes, end: int) -> bytes:
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, RAW_DEFLATE)
    return packer.compress(data) + packer.flush(end)


def _pieces(chunks: Sequence[bytes]) -> Iterator[memoryview]:
    """Short chunks together, long ones in views of PIECE bytes."""
    for is_long, group in groupby(chunks, lambda chunk: len(chunk) >= PIECE):
        for chunk in group if is_long else (b"".join(group),):
            view = memoryview(chunk)
            yield from (view[start : start + PIECE] for start in range(0, len(view), PIECE))
