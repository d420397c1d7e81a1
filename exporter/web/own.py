"""The exporter's metrics about itself as text: what counts events is written when it changes, the rest each time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.utils import floatToGoString

from exporter.metrics.page import Format
from exporter.runtime import CONSTANT, Runtime

OPENMETRICS_END = b"# EOF\n"


@dataclass(frozen=True, slots=True)
class Registries:
    """`counted`: what changes by `changes` only; `live`: what has to be asked each time, such as process_*."""

    counted: CollectorRegistry
    live: CollectorRegistry
    changes: Callable[[], int]  # how often `counted` has been written to


class OwnMetrics:
    def __init__(self, registries: Registries) -> None:
        self._registries = registries
        self._written: dict[Format, tuple[int, bytes]] = {}
        self._live = _Live(registries.live)

    def text(self, format_: Format) -> tuple[bytes, bytes]:
        """What counts, the same object while it is the same, and what is live; the second ends the document."""
        changes = self._registries.changes()
        known = self._written.get(format_)
        if known is None or known[0] != changes:
            text = _text(format_, self._registries.counted).removesuffix(OPENMETRICS_END)
            known = self._written[format_] = (changes, text)
        return known[1], self._live.text(format_)

    def selection(self, format_: Format, names: frozenset[str]) -> bytes:
        """The families of these names; ends the document."""
        parts = [
            _text(format_, registry.restricted_registry(list(names)))  # type: ignore[arg-type]  # it is one to read
            for registry in (self._registries.counted, self._registries.live)
        ]
        return parts[0].removesuffix(OPENMETRICS_END) + parts[1]


class _Live:
    """A registry's text, into which new values are put where a short way to all of them is known."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._runtime = Runtime()
        self._layouts: dict[Format, _Layout] = {}

    def text(self, format_: Format) -> bytes:
        try:
            layout, values = self._layouts.get(format_), self._runtime.values()
            if layout is None:
                layout = self._layouts[format_] = _Layout(_text(format_, self._registry).decode())
            return layout.text(values)
        except (OSError, KeyError):
            return _text(format_, self._registry)


class _Layout:
    """Text in which the values of all series are exchanged but those that are constant."""

    def __init__(self, text: str) -> None:
        self._parts: list[tuple[str, str]] = []  # text, and the series whose value comes behind it
        constant = ""
        for line in text.splitlines(keepends=True):
            series = line.rpartition(" ")[0]
            if line.startswith("#") or series.partition("{")[0] in CONSTANT:
                constant += line
            else:
                self._parts.append((f"{constant}{series} ", series))
                constant = "\n"
        self._end = constant

    def text(self, values: dict[str, float]) -> bytes:
        """Raises KeyError where a series has no value."""
        written = [part + floatToGoString(values[series]) for part, series in self._parts]  # type: ignore[no-untyped-call]  # has no annotations
        return ("".join(written) + self._end).encode()


def _text(format_: Format, registry: CollectorRegistry) -> bytes:
    if format_ == "openmetrics":
        return generate_openmetrics(registry)  # type: ignore[no-untyped-call, no-any-return]  # has no annotations
    return generate_latest(registry)
