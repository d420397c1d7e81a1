"""The lines of one view, family by family, and how they stand in a document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from exporter.metrics.families import GROUPS
from exporter.metrics.family import Family
from exporter.metrics.lines import ESCAPED

Format = Literal["text", "openmetrics"]
CHUNK = 64 * 2**10  # bytes from which lines are a chunk of their own; shorter ones share one


class Page:
    """Everything about deployments, as of one generation of the view; it never changes. `bodies`: the lines of each
    family, in pieces; families without a sample are left out."""

    def __init__(self, generation: int, bodies: Mapping[str, Sequence[bytes]]) -> None:
        self.generation = generation
        self._bodies = {name: pieces for name, pieces in bodies.items() if any(pieces)}
        self._chunks: dict[Format, tuple[bytes, ...]] = {}

    def chunks(self, format_: Format) -> tuple[bytes, ...]:
        """All of it, `# EOF` not included. Long ones are the same objects from page to page while they are the same."""
        chunks = self._chunks.get(format_)
        if chunks is None:
            chunks = self._chunks[format_] = tuple(_chunked(format_, self._bodies))
        return chunks

    def selection(self, format_: Format, names: frozenset[str]) -> bytes:
        """The families of these names."""
        return b"".join(
            HEADERS[format_][name] + b"".join(bodies) for name, bodies in self._bodies.items() if name in names
        )


def _chunked(format_: Format, families: Mapping[str, Sequence[bytes]]) -> Iterator[bytes]:
    """Families with their headers; short pieces together, long ones not copied."""
    short: list[bytes] = []
    for name, bodies in families.items():
        short.append(HEADERS[format_][name])
        for body in bodies:
            if len(body) < CHUNK:
                short.append(body)
                continue
            yield b"".join(short)
            yield body
            short = []
    yield b"".join(short)


def _text_header(family: Family[Any]) -> bytes:
    help_ = family.help.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {family.name} {help_}\n# TYPE {family.name} {family.type}\n".encode()


def _openmetrics_header(family: Family[Any]) -> bytes:
    name = family.name.removesuffix("_total") if family.type == "counter" else family.name
    return f"# HELP {name} {ESCAPED[family.help]}\n# TYPE {name} {family.type}\n".encode()


HEADERS: dict[Format, dict[str, bytes]] = {
    "text": {family.name: _text_header(family) for group in GROUPS for family in group.families},
    "openmetrics": {family.name: _openmetrics_header(family) for group in GROUPS for family in group.families},
}
