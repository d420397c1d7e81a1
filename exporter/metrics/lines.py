"""Renders the lines of a family for a subject; label names are sorted once, not per line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client.utils import floatToGoString

from exporter.metrics.family import Family, Sample, unique

MAX_LAYOUTS = 100  # per family; bounded because timestamps rarely repeat

Writer = Callable[[tuple[str, ...], Any], bytes]  # of the identity's values as `identify` returns them, and a subject


def escape(text: str) -> str:
    """Escapes a label value for the text format."""
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def identify(names: tuple[str, ...]) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    """Escapes the identity values and sorts them by label name."""
    order = sorted(range(len(names)), key=names.__getitem__)
    return lambda values: tuple([escape(values[index]) for index in order])


def writer(family: Family[Any], identity: tuple[str, ...]) -> Writer:
    """`identity`: names of the identity labels.

    Cached: the text of a set of samples without the identity, such as the three lines of a Running replica; a function
    of the samples alone."""
    layouts: dict[tuple[Sample, ...], tuple[str, int]] = {}
    samples, layout = family.samples, _layout(family, identity)

    def write(identity_values: tuple[str, ...], subject: Any) -> bytes:
        samples_ = tuple(samples(subject))
        if not samples_:
            return b""
        laid_out = layouts.get(samples_)
        if laid_out is None:
            laid_out = layout(samples_)
            if len(layouts) < MAX_LAYOUTS:
                layouts[samples_] = laid_out
        template, lines = laid_out
        return (template % (identity_values * lines)).encode()

    return write


def _layout(family: Family[Any], identity: tuple[str, ...]) -> Callable[[tuple[Sample, ...]], tuple[str, int]]:
    """Returns the text of a set of samples, with placeholders for identity values, and its number of lines."""
    template = _line(family.name, (*identity, *family.labels))
    places = tuple("%s" for _ in identity)

    def layout(samples: tuple[Sample, ...]) -> tuple[str, int]:
        text, chosen = "", unique(samples)
        for own, value in chosen:
            number = floatToGoString(value + 0.0)  # type: ignore[no-untyped-call]  # has no annotations; -0.0 becomes 0.0
            if family.has_own_labels:
                line, labels, suffix = _line(family.name, (*identity, *own[::2])), own[1::2], ""
            else:
                line = template
                labels, suffix = ((), own[0]) if family.type == "summary" else (own, "")
            text += line((*places, *(escape(label).replace("%", "%%") for label in labels)), suffix, number)
        return text, len(chosen)

    return layout


def _line(name: str, labels: tuple[str, ...]) -> Callable[[tuple[str, ...], str, str], str]:
    """Formats a line from label values, name suffix and number. Labels are sorted like in prometheus_client."""
    order = sorted(range(len(labels)), key=labels.__getitem__)
    text = ",".join(f'{labels[index]}="%s"' for index in order)
    form = f"{name}%s{{{text}}} %s\n" if labels else f"{name}%s %s\n"
    return lambda values, suffix, number: form % (suffix, *(values[index] for index in order), number)
