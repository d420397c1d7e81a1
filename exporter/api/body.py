"""Reads and decompresses response bodies with a size limit. httpx has no limit and decompresses the first gzip member
only."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator

import httpx

from exporter.api.errors import InvalidResponse

IDENTITY = frozenset({"", "identity"})
GZIP = frozenset({"gzip", "x-gzip"})  # equivalent in RFC 9110; nested encodings are refused
GZIP_WBITS = 16 + zlib.MAX_WBITS
PIECE = 2**20  # bytes decompressed before other tasks may run


async def read_body(response: httpx.Response, *, max_bytes: int) -> bytes:
    """Reads the body of a streamed response. Raises InvalidResponse, also above `max_bytes` after decompression, and
    httpx's exceptions."""
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
    """Decompresses any number of gzip members with optional trailing zeros."""
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
