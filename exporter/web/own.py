"""The exporter's metrics about itself as text: what counts events is written when it changes, the rest each time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from exporter.metrics.page import Format

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

    def text(self, format_: Format) -> tuple[bytes, bytes]:
        """What counts, the same object while it is the same, and what is live; the second ends the document."""
        changes = self._registries.changes()
        known = self._written.get(format_)
        if known is None or known[0] != changes:
            text = _text(format_, self._registries.counted).removesuffix(OPENMETRICS_END)
            known = self._written[format_] = (changes, text)
        return known[1], _text(format_, self._registries.live)

    def selection(self, format_: Format, names: frozenset[str]) -> bytes:
        """The families of these names; ends the document."""
        parts = [
            _text(format_, registry.restricted_registry(list(names)))  # type: ignore[arg-type]  # it is one to read
            for registry in (self._registries.counted, self._registries.live)
        ]
        return parts[0].removesuffix(OPENMETRICS_END) + parts[1]


def _text(format_: Format, registry: CollectorRegistry) -> bytes:
    if format_ == "openmetrics":
        return generate_openmetrics(registry)  # type: ignore[no-untyped-call, no-any-return]  # has no annotations
    return generate_latest(registry)
