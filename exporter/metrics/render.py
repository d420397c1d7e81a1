"""Renders snapshots to pages. Lines are rendered when a deployment changes; a scrape only writes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from exporter.cooperative import in_slices
from exporter.metrics.families import PARTS, PRICE, PROJECT, QUEUE, Part
from exporter.metrics.family import Group
from exporter.metrics.lines import identify, writer
from exporter.metrics.page import Block, Page, Row
from exporter.state.records import Shown, Snapshot


class Rendered(NamedTuple):
    """Rendered lines of one part of a deployment. `row`: by family. `size`: bytes."""

    part: object
    row: Row
    size: int


class Renderer:
    """Cached: the lines of the previous page by project and name; reused while the part is the same object.

    `prices`: configured price of a GPU hour, by GPU type."""

    def __init__(self, prices: Mapping[str, float]) -> None:
        self._prices = prices
        self._previous: Mapping[tuple[str, str], tuple[Rendered, ...]] = {}

    async def render(self, snapshot: Snapshot) -> Page:
        rendered: dict[tuple[str, str], tuple[Rendered, ...]] = {}
        async for shown in in_slices(snapshot.deployments):
            identity = (shown.project, shown.name)
            rendered[identity] = _rendered(shown, self._previous.get(identity))
        all_blocks = _blocks(rendered.values(), snapshot, self._prices)
        blocks = [block async for block in in_slices(all_blocks) if not block.is_empty]
        size = 0
        async for parts in in_slices(rendered.values()):
            size += sum([part.size for part in parts])
        size += sum(len(block.rows[0][0]) for block in blocks if block.family.name in _SMALL)
        self._previous = rendered
        return Page(tuple(blocks), size, snapshot.is_ready)


class _PartWriter:
    """Renders one part of a deployment."""

    def __init__(self, part: Part) -> None:
        self.read = part.read
        self.families = [family for source in part.sources for family in source.group.families]
        self._sources = [
            (
                source.subjects,
                identify(source.group.identity),
                [writer(family, source.group.identity) for family in source.group.families],
            )
            for source in part.sources
        ]

    def render(self, shown: Shown) -> Rendered:
        row: list[bytes] = []
        for subjects_of, to_identity, writers in self._sources:
            subjects = [(to_identity((shown.project, shown.name, *more)), x) for more, x in subjects_of(shown)]
            if len(subjects) == 1:
                identity, subject = subjects[0]
                row += [write(identity, subject) for write in writers]
            else:
                row += [b"".join([write(identity, subject) for identity, subject in subjects]) for write in writers]
        return Rendered(self.read(shown), tuple(row), sum(map(len, row)))


_WRITERS = tuple(_PartWriter(part) for part in PARTS)
_SMALL = frozenset(family.name for group in (PROJECT, QUEUE, PRICE) for family in group.families)


def _rendered(shown: Shown, previous: tuple[Rendered, ...] | None) -> tuple[Rendered, ...]:
    if previous is None:
        return tuple([part.render(shown) for part in _WRITERS])
    current = tuple(
        [
            old if old.part is part.read(shown) else part.render(shown)
            for part, old in zip(_WRITERS, previous, strict=True)
        ]
    )
    return previous if all(map(_is, current, previous)) else current


def _is(one: object, other: object) -> bool:
    return one is other


def _blocks(
    rendered: Iterable[tuple[Rendered, ...]], snapshot: Snapshot, prices: Mapping[str, float]
) -> Iterator[Block]:
    """In the order of /metrics."""
    all_rendered = list(rendered)
    for place, part in enumerate(_WRITERS):
        rows = [parts[place].row for parts in all_rendered]
        for index, family in enumerate(part.families):
            yield Block(family, rows, index)
    yield from _small(PROJECT, [((project.name,), project) for project in snapshot.projects])
    yield from _small(QUEUE, [((queue.project, queue.name), queue) for queue in snapshot.queues])
    yield from _small(PRICE, [((), prices)])


def _small(group: Group[Any], subjects: Iterable[tuple[tuple[str, ...], Any]]) -> Iterator[Block]:
    """A group that is small enough to render every time."""
    to_identity = identify(group.identity)
    identified = [(to_identity(values), subject) for values, subject in subjects]
    for family in group.families:
        write = writer(family, group.identity)
        yield Block(family, [(b"".join([write(values, subject) for values, subject in identified]),)], 0)
