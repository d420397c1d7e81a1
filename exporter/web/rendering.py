"""The page that scrapes are sent: drawn when something has changed, and compressed once."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from exporter.metrics.exposition import Exposition
from exporter.metrics.page import Format, Page
from exporter.records import View
from exporter.slices import in_slices

LARGE = 1000  # deployments from which a fleet is drawn beside the scrapes; a smaller one takes a moment of theirs
REST = 9  # times as long as drawing took before it is drawn beside scrapes again: a tenth of the time, as a rule
MAX_REST = 5.0  # s
LONG = 256 * 2**10  # bytes from which compressing is done beside the event loop
ASKED = 300.0  # s; a format that nobody has asked for since is not compressed before somebody does
GZIP_LEVEL = 1  # this text shrinks 19-fold at once; level 6 takes three times as long for 4 % more
RAW_DEFLATE = -15
GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Packed:
    """Chunks, their compressed forms, and these as the beginning of a gzip member, to which more can be appended.

    `crc` and `length`: of the chunks."""

    chunks: tuple[bytes, ...] = ()
    deflated: tuple[bytes, ...] = ()
    beginning: bytes = b""
    crc: int = 0
    length: int = 0


@dataclass(frozen=True, slots=True)
class Rendered:
    """A page of one exposition, and its compressed forms as far as they have been asked for."""

    exposition: Exposition
    page: Page
    packed: dict[Format, Packed]


class Rendering:
    """`exposition`: another one after a reload. `view`: what is known now."""

    def __init__(self, exposition: Callable[[], Exposition], view: Callable[[], View]) -> None:
        self._exposition = exposition
        self._view = view
        self._latest: Rendered | None = None
        self._before: dict[Format, Packed] = {}  # of the page before the latest one
        self._drawing = asyncio.Lock()
        self._packing = asyncio.Lock()
        self._is_beside = False  # drawing goes on, and scrapes do not wait for it
        self._stirred = asyncio.Event()
        self._asked: dict[Format, float] = {}

    async def current(self) -> Rendered:
        """With everything that is known now; while a large fleet is drawn beside, with what was known before."""
        latest = self._latest
        is_of_now = latest is not None and latest.exposition is self._exposition()
        if latest and is_of_now and (self._is_beside or latest.page.generation == self._view().generation):
            return latest
        async with self._drawing:
            rendered = await self._drawn()
            self._publish(rendered)
            return rendered

    async def gzip(self, rendered: Rendered, format_: Format) -> Packed:
        """Chunks that are as before are not compressed again."""
        self._asked[format_] = asyncio.get_running_loop().time()
        return rendered.packed.get(format_) or await self._pack(rendered, format_)

    def stir(self) -> None:
        """Much may have changed: a large fleet is drawn before the next scrape asks for it."""
        self._stirred.set()

    async def stay_current(self) -> None:
        """Draws beside scrapes, for as long as it is let."""
        clock = asyncio.get_running_loop().time
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            if len(self._view().records) < LARGE:
                continue
            began = clock()
            try:
                await self._prepare()
            except Exception:
                log.exception("drawing broke: please report this", next_in="at the next scrape")
            await asyncio.sleep(min(REST * (clock() - began), MAX_REST))

    async def _prepare(self) -> None:
        async with self._drawing:
            self._is_beside = True
            try:
                rendered = await self._drawn()
                for format_, asked in list(self._asked.items()):
                    if asyncio.get_running_loop().time() - asked < ASKED:
                        await self._pack(rendered, format_)
                self._publish(rendered)
            finally:
                self._is_beside = False

    async def _drawn(self) -> Rendered:
        exposition, latest = self._exposition(), self._latest
        page = await in_slices(exposition.draw(self._view()))
        if latest is not None and latest.page is page:
            return latest
        return Rendered(exposition, page, {})

    def _publish(self, rendered: Rendered) -> None:
        if self._latest is not None and self._latest is not rendered:
            self._before = self._latest.packed
        self._latest = rendered

    async def _pack(self, rendered: Rendered, format_: Format) -> Packed:
        async with self._packing:
            known = rendered.packed.get(format_)
            if known is not None:
                return known
            latest = self._latest.packed if self._latest else {}
            before = latest.get(format_) or self._before.get(format_) or Packed()
            chunks = rendered.page.chunks(format_)
            if sum(map(len, chunks)) < LONG:
                packed = _packed(before, chunks)
            else:
                packed = await asyncio.to_thread(_packed, before, chunks)
            rendered.packed[format_] = packed
            return packed


def _packed(before: Packed, chunks: tuple[bytes, ...]) -> Packed:
    known = dict(zip(map(id, before.chunks), before.deflated, strict=True))
    deflated, crc = [], 0
    for chunk in chunks:
        deflated.append(known.get(id(chunk)) or deflate(chunk))
        crc = zlib.crc32(chunk, crc)
    return Packed(chunks, tuple(deflated), b"".join((GZIP_HEADER, *deflated)), crc, sum(map(len, chunks)))


def deflate(data: bytes) -> bytes:
    """As a part of a raw deflate stream that others may follow."""
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, RAW_DEFLATE)
    return packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)
