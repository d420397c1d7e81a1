"""`/metrics`: the deployments' page, ready-made, and the exporter's own metrics behind it. An ASGI application by
itself: a framework's way to it costs more than the answer."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator, Sequence
from itertools import groupby
from urllib.parse import parse_qs

from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from exporter.metrics.page import Format
from exporter.web.negotiation import CONTENT_TYPES, format_of, takes_gzip
from exporter.web.own import OwnMetrics
from exporter.web.rendering import GZIP_LEVEL, Packed, Rendering, deflate

PIECE = 256 * 2**10  # bytes handed to the network at once: a slow reader of a long page costs this much memory
LONG = 32 * 2**10  # bytes from which putting chunks together costs more than handing over one more
MAX_STORED = 0xFFFF  # bytes of a block in a deflate stream that is not compressed
CONTENT_TYPE = {format_: (b"content-type", value.encode()) for format_, value in CONTENT_TYPES.items()}
GZIP = (b"content-encoding", b"gzip")
VARY = (b"vary", b"Accept, Accept-Encoding")


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
        format_ = format_of(asked.get(b"accept", b""))
        headers = [CONTENT_TYPE[format_], VARY]
        packs = takes_gzip(asked.get(b"accept-encoding", b""))
        if packs:
            headers.append(GZIP)
        chunks = await self._chunks(format_, _names(scope["query_string"]), packs=packs)
        headers.append((b"content-length", b"%d" % sum(map(len, chunks))))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        *pieces, last = _pieces(chunks)
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": last})

    async def _chunks(self, format_: Format, names: frozenset[str], *, packs: bool) -> Sequence[bytes]:
        """The document; of the families of these names, where there are any; `packs`: as gzip."""
        rendered = await self._rendering.current()
        if names:
            text = rendered.page.selection(format_, names) + self._own.selection(format_, names)
            return (gzip.compress(text, GZIP_LEVEL, mtime=0) if packs else text,)
        own = self._own.text(format_)
        if packs:
            packed = await self._rendering.gzip(rendered, format_)
            return packed.beginning, self._gzip_end(packed, *own)
        return (*rendered.page.chunks(format_), *own)

    def _gzip_end(self, packed: Packed, counted: bytes, live: bytes) -> bytes:
        """The own metrics as the end of the gzip member: many clients read no second one. What is new each time is
        stored as it is, since there is little of it."""
        if self._own_packed[0] is not counted:
            self._own_packed = (counted, deflate(counted))
        crc = zlib.crc32(live, zlib.crc32(counted, packed.crc))
        length = (packed.length + len(counted) + len(live)) & 0xFFFFFFFF
        return b"".join((self._own_packed[1], _stored(live), crc.to_bytes(4, "little"), length.to_bytes(4, "little")))


def _stored(data: bytes) -> bytes:
    """The last part of a raw deflate stream, not compressed: blocks, each behind its length and that's complement."""
    blocks = [data[start : start + MAX_STORED] for start in range(0, len(data) or 1, MAX_STORED)]
    *others, last = (struct.pack("<HH", len(block), len(block) ^ MAX_STORED) + block for block in blocks)
    return b"".join([*(b"\0" + block for block in others), b"\1" + last])


def _names(query: bytes) -> frozenset[str]:
    """The families that `name[]` asks for; none asks for all."""
    return frozenset(parse_qs(query.decode("latin-1")).get("name[]", ())) if query else frozenset()


def _pieces(chunks: Sequence[bytes]) -> Iterator[bytes | memoryview]:
    """Short chunks together, long ones in views of PIECE bytes."""
    for is_long, group in groupby(chunks, lambda chunk: len(chunk) >= LONG):
        for chunk in group if is_long else (b"".join(group),):
            if len(chunk) <= PIECE:
                yield chunk
            else:
                view = memoryview(chunk)
                yield from (view[start : start + PIECE] for start in range(0, len(view), PIECE))
