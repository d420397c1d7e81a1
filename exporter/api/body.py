"""A response's body, inflated and bounded; httpx inflates without a limit, and the first gzip member only."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator

import httpx

from exporter.api.errors import InvalidResponse

IDENTITY = frozenset({"", "identity"})
GZIP = frozenset({"gzip", "x-gzip"})  # RFC 9110: the same; nested encodings could inflate a thousandfold twice
GZIP_WBITS = 16 + zlib.MAX_WBITS
PIECE = 2**20  # bytes inflated at a time; between pieces the event loop is free


async def read_body(response: httpx.Response, *, max_bytes: int) -> bytes:
    """Of a response that was opened as a stream. Raises InvalidResponse, also beyond `max_bytes` once inflated, and
    whatever httpx raises while it reads."""
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in IDENTITY | GZIP:
        raise InvalidResponse("unsupported content-encoding")
    body = bytearray()
    async for piece in _inflated(response.aiter_raw()) if encoding in GZIP else response.aiter_raw():
        body += piece
        if len(body) > max_bytes:
            raise InvalidResponse(f"response exceeds {max_bytes // 2**20} MiB")
    return bytes(body)


async def _inflated(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Of any number of gzip members, with zeros behind them as tape drives write them."""
    member, is_open = zlib.decompressobj(GZIP_WBITS), False
    async for chunk in chunks:
        data = chunk
        while data := data if is_open else data.lstrip(b"\0"):
            if not is_open:
                member, is_open = zlib.decompressobj(GZIP_WBITS), True
            try:
                yield member.decompress(data, PIECE)
            except zlib.error:
                raise InvalidResponse("content-encoding is gzip, but the body is not") from None
            data = member.unconsumed_tail or member.unused_data
            is_open = not member.eof
            await asyncio.sleep(0)
    if is_open:
        raise InvalidResponse("truncated gzip body")
