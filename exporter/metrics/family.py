"""A metric as one row, and the shapes a row can have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

UNITS = frozenset({"seconds", "bytes", "cores"})  # base units, by which a name ends
S = TypeVar("S")  # the subject: what a row reads, such as a deployment or a replica
Sample = tuple[tuple[str, ...], float]  # the values of the row's labels, in its order; the sample's value
Read = Callable[[S], float | None]
ReadText = Callable[[S], str | None]


@dataclass(frozen=True, slots=True)
class Family(Generic[S]):
    """One metric: its samples for one subject. The identity labels are added when it is rendered.

    A counter's name ends in `_total`. A summary's samples have `_sum` and `_count` in the place of labels.
    `has_own_labels`: the samples bring names and values of their labels in turn."""

    name: str
    help: str
    samples: Callable[[S], Iterable[Sample]]
    labels: tuple[str, ...] = ()
    type: Literal["gauge", "counter", "summary"] = "gauge"
    has_own_labels: bool = False

    @property
    def unit(self) -> str | None:
        """The unit that the name ends with."""
        last = self.name.removesuffix("_total").rpartition("_")[2]
        return last if last in UNITS else None


@dataclass(frozen=True, slots=True)
class Group(Generic[S]):
    """Rows about the same kind of subject, which share the identity labels. `subject`: for the reference."""

    subject: str
    identity: tuple[str, ...]
    families: tuple[Family[S], ...]


def value(read: Read[S]) -> Callable[[S], Iterator[Sample]]:
    """One sample; none where the field is None."""

    def samples(subject: S) -> Iterator[Sample]:
        number = read(subject)
        if number is not None:
            yield (), float(number)

    return samples


def labelled(label: ReadText[S], read: Read[S]) -> Callable[[S], Iterator[Sample]]:
    """One sample with one label; none where the value is None, an absent label is empty."""

    def samples(subject: S) -> Iterator[Sample]:
        number = read(subject)
        if number is not None:
            yield (label(subject) or "",), float(number)

    return samples


def info(*reads: ReadText[S]) -> Callable[[S], Iterator[Sample]]:
    """Always 1, with what may change as labels; an absent one is empty."""

    def samples(subject: S) -> Iterator[Sample]:
        yield tuple(read(subject) or "" for read in reads), 1.0

    return samples


def state(known: tuple[str, ...], read: ReadText[S]) -> Callable[[S], Iterator[Sample]]:
    """1 for the current state, 0 for the other known ones; an unknown one joins them. None gives nothing."""

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
    """1 with the current text as label, and nothing while there is none."""

    def samples(subject: S) -> Iterator[Sample]:
        text = read(subject)
        if text is not None:
            yield (text,), 1.0

    return samples


def each(items: Callable[[S], Iterable[Sample]]) -> Callable[[S], Iterable[Sample]]:
    """As many samples as the function above the table gives."""
    return items


def unique(samples: Iterable[Sample]) -> list[Sample]:
    """The first sample of each label set: Prometheus refuses a whole scrape for one series that comes twice."""
    by_labels: dict[tuple[str, ...], float] = {}
    for labels, value in samples:
        by_labels.setdefault(labels, value)
    return list(by_labels.items())
