"""One family's lines about all records as a few pieces of bytes, in which a record's lines can be exchanged."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

SEGMENT = 1000  # records in one piece: what is put together, and compressed, anew when one of them changes


class Column:
    """Records have places from 0 on; their lines stand in that order."""

    __slots__ = ("_segments",)

    def __init__(self) -> None:
        self._segments: list[_Segment] = []

    @property
    def bodies(self) -> list[bytes]:
        """The lines of SEGMENT records each; the same objects for as long as they are the same."""
        return [segment.body for segment in self._segments]

    def splice(self, changes: Mapping[int, str]) -> Iterator[None]:
        """Puts other lines in the place of some records'; a step is one segment."""
        parts: dict[int, dict[int, str]] = {}
        for place, lines in changes.items():
            parts.setdefault(place // SEGMENT, {})[place % SEGMENT] = lines
        for number, part in parts.items():
            self._segments[number].splice(part)
            yield

    def arrange(self, places: Sequence[int | None]) -> None:
        """Other records: for each the place that it had, or None for a new one, which has no lines yet."""
        lines = [line for segment in self._segments for line in segment.lines()]
        moved = [b"" if place is None else lines[place] for place in places]
        groups = [moved[start : start + SEGMENT] for start in range(0, len(moved), SEGMENT)]
        self._segments = [_Segment(group) for group in groups]


class _Segment:
    __slots__ = ("_lengths", "body")

    def __init__(self, lines: Sequence[bytes | memoryview]) -> None:
        self.body = b"".join(lines)
        self._lengths = array("Q", map(len, lines))  # bytes of each record's lines

    def lines(self) -> Iterator[memoryview]:
        body, start = memoryview(self.body), 0
        for length in self._lengths:
            yield body[start : start + length]
            start += length

    def splice(self, changes: Mapping[int, str]) -> None:
        if len(changes) == len(self._lengths):
            self._replace([changes[place] for place in range(len(changes))])
            return
        old, ends = memoryview(self.body), list(accumulate(self._lengths, initial=0))
        pieces: list[bytes | memoryview] = []
        position = 0
        for place, text in sorted(changes.items()):
            lines = text.encode()
            pieces += (old[position : ends[place]], lines)
            position = ends[place + 1]
            self._lengths[place] = len(lines)
        pieces.append(old[position:])
        self._put(b"".join(pieces))

    def _replace(self, texts: Sequence[str]) -> None:
        body = "".join(texts).encode()
        lengths = list(map(len, texts))
        if sum(lengths) != len(body):  # not ASCII alone
            lengths = [len(text.encode()) for text in texts]
        self._lengths = array("Q", lengths)
        self._put(body)

    def _put(self, body: bytes) -> None:
        if body != self.body:
            self.body = body
