"""A page: the rendered lines of one snapshot, in both formats."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from exporter.metrics.family import Family
from exporter.metrics.lines import escape

Format = Literal["text", "openmetrics"]
FORMATS: tuple[Format, ...] = ("text", "openmetrics")
ROWS = 250  # deployments whose lines are joined at a time
PIECE = 2**16  # bytes; shorter pieces are joined
GZIP_LEVEL = 1  # ratio 19; level 6 takes three times as long for 4 % less
GZIP_FORMAT = 31  # zlib's wbits for a gzip member with the largest window

Row = tuple[bytes, ...]  # the lines of one deployment, by family of one part


@dataclass(frozen=True, slots=True)
class Block:
    """A family; its lines are at `index` of each row."""

    family: Family[Any]
    rows: Sequence[Row]
    index: int

    @property
    def is_empty(self) -> bool:
        return not any(row[self.index] for row in self.rows)

    def bodies(self) -> Iterator[bytes]:
        for start in range(0, len(self.rows), ROWS):
            yield b"".join([row[self.index] for row in self.rows[start : start + ROWS]])


@dataclass(frozen=True, slots=True)
class Page:
    """Immutable. `blocks`: families with samples. `size`: bytes of all lines without headers."""

    blocks: tuple[Block, ...] = ()
    size: int = 0
    is_ready: bool = False

    def pieces(self, format_: Format, names: frozenset[str] = frozenset()) -> Iterator[bytes]:
        """The page in pieces, `# EOF` not included; of the families of these names, where there are any."""
        waiting: list[bytes] = []
        size = 0
        for block in self.blocks:
            if names and names.isdisjoint(block.family.names):
                continue
            for body in (header(block.family, format_), *block.bodies()):
                waiting.append(body)
                size += len(body)
                if size >= PIECE:
                    yield b"".join(waiting)
                    waiting, size = [], 0
        yield b"".join(waiting)

    def length(self, format_: Format) -> int:
        """Bytes of all pieces."""
        return self.size + sum(len(header(block.family, format_)) for block in self.blocks)


@dataclass(frozen=True, slots=True)
class Compressed:
    """The beginning of a gzip member that can be extended."""

    beginning: bytes
    _compressor: zlib._Compress = field(repr=False)

    def end(self, tail: bytes) -> bytes:
        """The rest of the member with `tail` appended to the text; can be called repeatedly."""
        compressor = self._compressor.copy()
        return compressor.compress(tail) + compressor.flush()


def compress(pieces: Iterator[bytes]) -> Compressed:
    """Slow for large fleets; zlib releases the GIL."""
    compressor = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, GZIP_FORMAT)
    compressed = [compressor.compress(piece) for piece in pieces]
    compressed.append(compressor.flush(zlib.Z_SYNC_FLUSH))
    return Compressed(b"".join(compressed), compressor)


def header(family: Family[Any], format_: Format) -> bytes:
    """HELP and TYPE; in OpenMetrics also UNIT if the name ends with a unit."""
    if format_ == "text":
        help_ = family.help.replace("\\", r"\\").replace("\n", r"\n")
        return f"# HELP {family.name} {help_}\n# TYPE {family.name} {family.type}\n".encode()
    name = family.name.removesuffix("_total") if family.type == "counter" else family.name
    unit = f"# UNIT {name} {family.unit}\n" if family.unit else ""
    return f"# HELP {name} {escape(family.help)}\n# TYPE {name} {family.type}\n{unit}".encode()
