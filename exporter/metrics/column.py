"""One family's lines about all records as one piece of bytes, in which a record's can be exchanged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate


class Column:
    """`body`: the lines; the same object for as long as they are the same."""

    __slots__ = ("_lengths", "body")

    def __init__(self) -> None:
        self.body = b""
        self._lengths: list[int] = []  # bytes of each record's lines

    def splice(self, changes: Mapping[int, bytes]) -> None:
        """Puts other lines in the place of some records'; what lies between is copied in one go."""
        if not changes:
            return
        old, ends = memoryview(self.body), list(accumulate(self._lengths, initial=0))
        pieces: list[bytes | memoryview] = []
        position = 0
        for index, lines in sorted(changes.items()):
            pieces += (old[position : ends[index]], lines)
            position = ends[index + 1]
            self._lengths[index] = len(lines)
        pieces.append(old[position:])
        self._put(b"".join(pieces))

    def arrange(self, sources: Sequence[int | None]) -> None:
        """Other records: for each the place that it had, or None for a new one, which has no lines yet."""
        old, ends = memoryview(self.body), list(accumulate(self._lengths, initial=0))
        pieces = [old[ends[place] : ends[place + 1]] for place in sources if place is not None]
        self._lengths = [self._lengths[place] if place is not None else 0 for place in sources]
        self._put(b"".join(pieces))

    def _put(self, body: bytes) -> None:
        if body != self.body:
            self.body = body
