"""Records to bytes: a deployment's lines are drawn when it changes; a scrape joins what is drawn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from prometheus_client.utils import floatToGoString

from exporter.metrics.families import GROUPS, PRICE, PROJECT
from exporter.metrics.family import Family, Group
from exporter.metrics.sources import SOURCES, Subject, unique
from exporter.store import ProjectRecord, Record, View

Format = Literal["text", "openmetrics"]
Lines = tuple[bytes, ...]  # what one record adds to each family of one group, in the group's order
Drawn = tuple[tuple[object, Lines], ...]  # a record's key and lines for each source


class Exposition:
    """Everything about deployments as text, in both formats; the exporter's own metrics are not in it.

    `prices`: the user's price of one GPU hour, by GPU type."""

    def __init__(self, prices: Mapping[str, float]) -> None:
        self._prices = prices
        self._drawn: dict[tuple[str, str], Drawn] = {}
        self._generation = -1
        self._bodies: dict[str, bytes] = {}
        self._pages: dict[Format, bytes] = {}

    def page(self, view: View, format_: Format) -> bytes:
        """All families that have a sample, `# EOF` not included. The same object while nothing changed."""
        self._draw(view)
        page = self._pages.get(format_)
        if page is None:
            page = self._pages[format_] = self._join(format_, self._bodies)
        return page

    def selection(self, view: View, format_: Format, names: frozenset[str]) -> bytes:
        """The families of these names only."""
        self._draw(view)
        return self._join(format_, self._bodies.keys() & names)

    def _join(self, format_: Format, names: Iterable[str]) -> bytes:
        wanted = set(names)
        return b"".join(HEADERS[format_][name] + body for name, body in self._bodies.items() if name in wanted)

    def _draw(self, view: View) -> None:
        """Brings the bodies up to the view; a record whose keys are the same costs a comparison."""
        if view.generation == self._generation:
            return
        drawn = {}
        for record in view.records:
            identity = (record.project, record.name)
            drawn[identity] = _drawn(record, self._drawn.get(identity))
        self._drawn = drawn
        self._bodies = {name: body for name, body in self._families(view) if body}
        self._pages = {}
        self._generation = view.generation

    def _families(self, view: View) -> Iterator[tuple[str, bytes]]:
        for position, source in enumerate(SOURCES):
            columns = zip(*(lines[position][1] for lines in self._drawn.values()), strict=True)
            yield from zip((family.name for family in source.group.families), map(b"".join, columns), strict=False)
        yield from zip((f.name for f in PROJECT.families), _lines(PROJECT, map(_project, view.projects)), strict=True)
        yield from zip((f.name for f in PRICE.families), _lines(PRICE, [((), self._prices)]), strict=True)


def _project(project: ProjectRecord) -> Subject:
    return (project.project,), project


def _drawn(record: Record, before: Drawn | None) -> Drawn:
    """(key, lines) for each source; lines whose key has not changed are taken over."""
    drawn = []
    for position, source in enumerate(SOURCES):
        key = (source.key(record),)  # in a tuple, which compares identity before equality
        if before is not None and before[position][0] == key:
            drawn.append(before[position])
        else:
            drawn.append((key, _lines(source.group, source.subjects(record))))
    return tuple(drawn)


def _lines(group: Group[Any], subjects: Iterable[Subject]) -> Lines:
    """The lines of each of the group's families over the subjects, in order."""
    known = list(subjects)
    return tuple(_family_lines(family, known) for family in group.families)


def _family_lines(family: Family[Any], subjects: list[Subject]) -> bytes:
    order = _ORDERS[family.name]
    lines = []
    for identity, subject in subjects:
        for labels, value in unique(family.samples(subject)):
            values = (*identity, *labels)
            text = ",".join([f'{name}="{_escape(values[index])}"' for name, index in order])
            lines.append(f"{family.name}{{{text}}} {_number(value)}\n" if text else f"{family.name} {_number(value)}\n")
    return "".join(lines).encode()


def _number(value: float) -> str:
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]  # prometheus_client has no annotation there


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _order(family: Family[Any], identity: tuple[str, ...]) -> list[tuple[str, int]]:
    """Label names as they stand in a line, sorted as prometheus_client does, and where each one's value is."""
    names = (*identity, *family.labels)
    return sorted((name, index) for index, name in enumerate(names))


def _text_header(family: Family[Any]) -> bytes:
    help_ = family.help.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {family.name} {help_}\n# TYPE {family.name} {family.type}\n".encode()


def _openmetrics_header(family: Family[Any]) -> bytes:
    name = family.name.removesuffix("_total") if family.type == "counter" else family.name
    return f"# HELP {name} {_escape(family.help)}\n# TYPE {name} {family.type}\n".encode()


_ORDERS = {family.name: _order(family, group.identity) for group in GROUPS for family in group.families}
HEADERS: dict[Format, dict[str, bytes]] = {
    "text": {family.name: _text_header(family) for group in GROUPS for family in group.families},
    "openmetrics": {family.name: _openmetrics_header(family) for group in GROUPS for family in group.families},
}
