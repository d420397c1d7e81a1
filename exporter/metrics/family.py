"""Metric families as table rows, and the kinds of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

UNITS = frozenset({"seconds", "bytes", "cores"})  # base units, used as name suffixes
S = TypeVar("S")  # the subject of a row, such as a deployment or a replica
Sample = tuple[tuple[str, ...], float]  # the values of the row's labels, in its order; the sample's value
Read = Callable[[S], float | None]
ReadText = Callable[[S], str | None]


@dataclass(frozen=True, slots=True)
class Family(Generic[S]):
    """A metric and its samples for one subject. Identity labels are added by the renderer.

    Counter names end in `_total`. Samples of summaries have `_sum` and `_count` in place of labels.
    `has_own_labels`: samples alternate label names and values."""

    name: str
    help: str
    samples: Callable[[S], Iterable[Sample]]
    labels: tuple[str, ...] = ()
    type: Literal["gauge", "counter", "summary"] = "gauge"
    has_own_labels: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """By which `name[]` may ask for it."""
        return (self.name, *((f"{self.name}_sum", f"{self.name}_count") if self.type == "summary" else ()))

    @property
    def unit(self) -> str | None:
        """The unit suffix of the name."""
        last = self.name.removesuffix("_total").rpartition("_")[2]
        return last if last in UNITS else None


@dataclass(frozen=True, slots=True)
class Group(Generic[S]):
    """Rows with the same kind of subject and the same identity labels. `subject`: for the reference."""

    subject: str
    identity: tuple[str, ...]
    families: tuple[Family[S], ...]


def value(read: Read[S]) -> Callable[[S], Iterator[Sample]]:
    """One sample; none if the field is None."""

    def samples(subject: S) -> Iterator[Sample]:
        number = read(subject)
        if number is not None:
            yield (), float(number)

    return samples


def labelled(label: ReadText[S], read: Read[S]) -> Callable[[S], Iterator[Sample]]:
    """One sample with one label; none if the value is None. A missing label is empty."""

    def samples(subject: S) -> Iterator[Sample]:
        number = read(subject)
        if number is not None:
            yield (label(subject) or "",), float(number)

    return samples


def info(*reads: ReadText[S]) -> Callable[[S], Iterator[Sample]]:
    """Always 1, with the values as labels; a missing value is empty."""

    def samples(subject: S) -> Iterator[Sample]:
        yield tuple(read(subject) or "" for read in reads), 1.0

    return samples


def state(known: tuple[str, ...], read: ReadText[S]) -> Callable[[S], Iterator[Sample]]:
    """1 for the current state, 0 for all other known states; an unknown state is added. No samples for None."""

    def samples(subject: S) -> Iterator[Sample]:
        current = read(subject)
        if current is None:
            return
        for name in known:
            yield (name,), float(name == current)
        if current not in known:
            yield (current,), 1.0

    return samples


def current(read: ReadText[S]) -> Callable[[S], Iterator[Sample]]:
    """1 with the current text as label; no sample for None."""

    def samples(subject: S) -> Iterator[Sample]:
        text = read(subject)
        if text is not None:
            yield (text,), 1.0

    return samples


def each(items: Callable[[S], Iterable[Sample]]) -> Callable[[S], Iterable[Sample]]:
    """All samples returned by a function."""
    return items


def unique(samples: Iterable[Sample]) -> list[Sample]:
    """The first sample of each label set: Prometheus rejects scrapes with duplicate series."""
    by_labels: dict[tuple[str, ...], float] = {}
    for labels, value in samples:
        by_labels.setdefault(labels, value)
    return list(by_labels.items())
