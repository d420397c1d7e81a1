"""One family's lines about one subject, as bytes: the label names are put in order once, not for each line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client.utils import floatToGoString

from exporter.metrics.family import Family, Sample, unique

MAX_LAYOUTS = 100  # of a family; further ones are made each time: timestamps seldom repeat, and would only fill it

Writer = Callable[[tuple[str, ...], Any], bytes]  # of the identity's values as `identify` returns them, and a subject


def escape(text: str) -> str:
    """A label value as the text format writes it."""
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def identify(names: tuple[str, ...]) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    """Escapes the identity's values and puts them in the order of their names."""
    order = sorted(range(len(names)), key=names.__getitem__)
    return lambda values: tuple([escape(values[index]) for index in order])


def writer(family: Family[Any], identity: tuple[str, ...]) -> Writer:
    """`identity`: the names of the labels that the subject's group has.

    Cached: the text of a set of samples without the identity, such as the three lines of a replica that is Running.
    It depends on nothing but the samples."""
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
    """Makes the text of a set of samples, with a place for each identity value, and counts its lines."""
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
    """Makes a line of the labels' values, a suffix of the name, and the number. Labels are sorted, as prometheus_client
    does."""
    order = sorted(range(len(labels)), key=labels.__getitem__)
    text = ",".join(f'{labels[index]}="%s"' for index in order)
    form = f"{name}%s{{{text}}} %s\n" if labels else f"{name}%s %s\n"
    return lambda values, suffix, number: form % (suffix, *(values[index] for index in order), number)
