"""One family's lines about one subject, as text: the label names are put in order once, not for each line."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any

from prometheus_client.utils import floatToGoString

from exporter.metrics.family import Family, Sample, unique

MOST_KNOWN = 10_000  # texts that are remembered; beyond it they are forgotten all at once, not to grow with churn
MOST_LAYOUTS = 100  # of a family; further ones are made each time: timestamps seldom come twice, and would only fill it

Writer = Callable[[tuple[str, ...], Any], str]  # of the identity's values as `identify` gives them, and a subject


class _Escaped(dict[str, str]):
    """Label values as they stand in a line."""

    def __missing__(self, text: str) -> str:
        if len(self) >= MOST_KNOWN:
            self.clear()
        escaped = self[text] = text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
        return escaped


class _Numbers(dict[float, str]):
    """Sample values as Prometheus writes them. -0.0 is 0.0: they are one key."""

    def __missing__(self, number: float) -> str:
        if len(self) >= MOST_KNOWN:
            self.clear()
        text = self[number] = str(floatToGoString(number + 0.0))  # type: ignore[no-untyped-call]  # has no annotation
        return text


ESCAPED = _Escaped()
_NUMBERS = _Numbers()


def identify(names: tuple[str, ...]) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    """Makes identity values what stands in a line: escaped, and in the order of their names."""
    order = sorted(range(len(names)), key=names.__getitem__)
    return lambda values: tuple([ESCAPED[values[index]] for index in order])


def writer(family: Family[Any], identity: tuple[str, ...]) -> Writer:
    """`identity`: the names of the labels that the subject's group has.

    Most subjects have one of few sets of samples, such as the three lines of a replica that is Running: those are
    laid out once, and only the identity is put in."""
    layouts: dict[tuple[Sample, ...], tuple[str, int]] = {}
    samples, layout = family.samples, _layout(family, identity)

    def write(known: tuple[str, ...], subject: Any) -> str:
        given = tuple(samples(subject))
        found = layouts.get(given)
        if found is None:
            if not given:
                return ""
            found = layout(given)
            if len(layouts) < MOST_LAYOUTS:
                layouts[given] = found
        template, lines = found
        return template % (known * lines)

    return write


def _layout(family: Family[Any], identity: tuple[str, ...]) -> Callable[[tuple[Sample, ...]], tuple[str, int]]:
    """Makes the text of a set of samples, with a place for each identity value, and says how many lines it has.

    Labels are sorted as prometheus_client does."""
    names = (*identity, *family.labels)
    places = tuple("%s" for _ in identity)
    order = sorted(range(len(names)), key=names.__getitem__)
    labels = ",".join(f'{names[index]}="%s"' for index in order)
    line = f"{family.name}{{{labels}}} %s\n" if names else f"{family.name} %s\n"
    arranged = itemgetter(*order, len(names))

    def layout(given: tuple[Sample, ...]) -> tuple[str, int]:
        text, chosen = "", unique(given)
        for own, value in chosen:
            escaped = [ESCAPED[label].replace("%", "%%") for label in own]
            text += line % arranged((*places, *escaped, _NUMBERS[value]))
        return text, len(chosen)

    return layout
