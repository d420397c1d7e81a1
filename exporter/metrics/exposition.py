"""Records to bytes: a deployment's lines are drawn when it changes; a scrape sends what is drawn."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any

from exporter.metrics.column import Column
from exporter.metrics.families import GROUPS, PRICE, PROJECT
from exporter.metrics.family import Group
from exporter.metrics.lines import Writer, identify, writer
from exporter.metrics.page import Format, Page
from exporter.metrics.sources import SOURCES, Source, Subject
from exporter.records import Record, View
from exporter.steps import in_one_go

Steps = Generator[None, None, None]


class Exposition:
    """Everything about deployments as text, in both formats; the exporter's own metrics are not in it.

    `prices`: the user's price of one GPU hour, by GPU type."""

    def __init__(self, prices: Mapping[str, float]) -> None:
        self._prices = prices
        self._forget()

    def _forget(self) -> None:
        self._blocks = [_Block(source) for source in SOURCES]
        self._drawn: list[Record | None] = []  # by place; None: new, has no lines yet
        self._page: Page | None = Page(-1, {})  # None: drawing has begun and not ended

    def draw(self, view: View) -> Generator[None, None, Page]:
        """Brings what is drawn up to the view, in steps of a few milliseconds at most. A record that has not changed
        costs a comparison. Drawing that is given up half way is begun anew by the next."""
        if self._page is not None and self._page.generation == view.generation:
            return self._page
        if self._page is None:
            self._forget()
        self._page = None
        yield from self._arrange(view.records)
        for block in self._blocks:
            yield from block.draw(self._drawn, view.records)
        self._drawn = list(view.records)
        self._page = Page(view.generation, dict(self._families(view)))
        return self._page

    def render(self, view: View, format_: Format) -> bytes:
        """The view as a whole, drawn in one go."""
        return b"".join(in_one_go(self.draw(view)).chunks(format_))

    def _arrange(self, records: Sequence[Record]) -> Steps:
        """Gives each record its place where others came or went; its lines move with it."""
        yield
        old = [(r.project, r.name) for r in self._drawn if r is not None]
        new = [(r.project, r.name) for r in records]
        yield
        if old == new:
            return
        known = {name: place for place, name in enumerate(old)}
        places = [known.get(name) for name in new]
        self._drawn = [None if place is None else self._drawn[place] for place in places]
        for block in self._blocks:
            for column in block.columns:
                column.arrange(places)
                yield

    def _families(self, view: View) -> Iterator[tuple[str, list[bytes]]]:
        for block in self._blocks:
            yield from zip(block.names, (column.bodies for column in block.columns), strict=True)
        yield from _bodies(PROJECT, [((project.project,), project) for project in view.projects])
        yield from _bodies(PRICE, [((), self._prices)])


class _Block:
    """The rows of one group over all records."""

    def __init__(self, source: Source) -> None:
        self.names = [family.name for family in source.group.families]
        self.columns = [Column() for _ in self.names]
        self._source = source
        self._writers = [WRITERS[name] for name in self.names]
        self._identify = identify(source.group.identity)

    def draw(self, drawn: Sequence[Record | None], records: Sequence[Record]) -> Steps:
        """Draws what is not the same as before; a step is one record, or one segment of a family."""
        changes: list[dict[int, str]] = [{} for _ in self.columns]
        drawing = list(zip(changes, self._writers, strict=True))
        for place, (before, record) in enumerate(zip(drawn, records, strict=True)):
            if before is record or (before is not None and self._source.is_same(before, record)):
                continue
            subjects = [(self._identify(identity), x) for identity, x in self._source.subjects(record)]
            if len(subjects) == 1:
                identity, subject = subjects[0]
                for change, write in drawing:
                    change[place] = write(identity, subject)
            else:
                for change, write in drawing:
                    change[place] = "".join([write(identity, subject) for identity, subject in subjects])
            yield
        for column, change in zip(self.columns, changes, strict=True):
            yield from column.splice(change)
            change.clear()  # freed family by family, not all in one breath


def _bodies(group: Group[Any], subjects: Iterable[Subject]) -> Iterator[tuple[str, list[bytes]]]:
    """(family, its lines) of a group that is small enough to be drawn anew each time."""
    to_text = identify(group.identity)
    known = [(to_text(identity), subject) for identity, subject in subjects]
    for family in group.families:
        write = WRITERS[family.name]
        yield family.name, ["".join([write(identity, subject) for identity, subject in known]).encode()]


WRITERS: dict[str, Writer] = {
    family.name: writer(family, group.identity) for group in GROUPS for family in group.families
}
