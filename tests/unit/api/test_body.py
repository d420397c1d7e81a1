from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Iterable

import httpx
import pytest

from exporter.api.body import PIECE, read_body
from exporter.api.errors import InvalidResponse

TEXT = bytes(range(256)) * 40
MEMBER = gzip.compress(TEXT)
MIB = 2**20


async def chunked(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def read(encoding: str | None, *chunks: bytes, max_bytes: int = MIB) -> bytes:
    headers = {} if encoding is None else {"content-encoding": encoding}
    response = httpx.Response(200, headers=headers, content=chunked(chunks))
    return asyncio.run(read_body(response, max_bytes=max_bytes))


@pytest.mark.parametrize(
    ("encoding", "body", "expected"),
    [
        pytest.param(None, TEXT, TEXT, id="no encoding"),
        pytest.param("", TEXT, TEXT, id="an empty encoding"),
        pytest.param("identity", TEXT, TEXT, id="identity"),
        pytest.param("gzip", MEMBER, TEXT, id="gzip"),
        pytest.param(" GZip ", MEMBER, TEXT, id="gzip in capitals"),
        pytest.param("x-gzip", MEMBER, TEXT, id="x-gzip"),
        pytest.param("gzip", MEMBER + MEMBER, TEXT + TEXT, id="two members"),
        pytest.param("gzip", MEMBER + gzip.compress(b"") + MEMBER, TEXT + TEXT, id="an empty member"),
        pytest.param("gzip", MEMBER + b"\0" * 1000, TEXT, id="zeros behind it"),
        pytest.param("gzip", MEMBER + b"\0" + MEMBER, TEXT + TEXT, id="zeros in between"),
        pytest.param("gzip", gzip.compress(b""), b"", id="nothing, as gzip"),
        pytest.param("gzip", b"", b"", id="nothing at all"),
        pytest.param("gzip", gzip.compress(b"x" * (MIB - 1)), b"x" * (MIB - 1), id="as much as is allowed"),
    ],
)
@pytest.mark.parametrize("size", [1, 7, PIECE])
def test_a_body_is_the_same_in_whatever_pieces_it_comes(
    encoding: str | None, body: bytes, expected: bytes, size: int
) -> None:
    assert read(encoding, *(body[start : start + size] for start in range(0, len(body), size))) == expected


@pytest.mark.parametrize(
    ("encoding", "body", "message"),
    [
        pytest.param("br", TEXT, "unsupported content-encoding", id="brotli"),
        pytest.param("deflate", zlib.compress(TEXT), "unsupported content-encoding", id="deflate"),
        pytest.param("gzip, gzip", gzip.compress(MEMBER), "unsupported content-encoding", id="gzip twice"),
        pytest.param("gzip", TEXT, "is gzip, but the body is not", id="no gzip"),
        pytest.param("gzip", MEMBER[:-8] + bytes(8), "is gzip, but the body is not", id="a wrong checksum"),
        pytest.param("gzip", MEMBER + b"behind it", "is gzip, but the body is not", id="text behind it"),
        pytest.param("gzip", MEMBER[:5], "truncated gzip body", id="a header that is cut off"),
        pytest.param("gzip", MEMBER[:-1], "truncated gzip body", id="a member that is cut off"),
        pytest.param("gzip", MEMBER + MEMBER[:-1], "truncated gzip body", id="a second member that is cut off"),
    ],
)
def test_what_cannot_be_inflated_is_refused(encoding: str, body: bytes, message: str) -> None:
    with pytest.raises(InvalidResponse, match=message):
        read(encoding, body)


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_a_body_above_the_limit_is_read_no_further(encoding: str) -> None:
    taken = 0

    def endless() -> Iterable[bytes]:
        nonlocal taken
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        piece = b" " * 100_000
        while taken < 100_000:
            taken += 1
            yield piece if encoding == "identity" else packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)

    response = httpx.Response(200, headers={"content-encoding": encoding}, content=chunked(endless()))
    with pytest.raises(InvalidResponse, match="exceeds 4 MiB"):
        asyncio.run(read_body(response, max_bytes=4 * MIB))
    assert taken == 4 * MIB // 100_000 + 1


def test_a_bomb_takes_no_more_memory_than_the_limit() -> None:
    bomb = gzip.compress(b" " * 64 * MIB, 9)
    tracemalloc.start()
    with pytest.raises(InvalidResponse):
        read("gzip", bomb, max_bytes=4 * MIB)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12 * MIB


def test_the_event_loop_is_free_between_pieces() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    async def inflate() -> None:
        ticking = asyncio.create_task(tick())
        response = httpx.Response(
            200, headers={"content-encoding": "gzip"}, content=chunked([gzip.compress(b" " * 8 * MIB)])
        )
        await read_body(response, max_bytes=8 * MIB)
        ticking.cancel()

    asyncio.run(inflate())
    assert ticks >= 8
