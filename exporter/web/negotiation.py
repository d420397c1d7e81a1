"""Which format and which encoding a scraper is sent, by its Accept and Accept-Encoding."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import lru_cache

from exporter.metrics.page import Format

CONTENT_TYPES: dict[Format, str] = {
    "text": "text/plain; version=0.0.4; charset=utf-8",
    "openmetrics": "application/openmetrics-text; version=1.0.0; charset=utf-8",
}
KNOWN = 64  # headers that are remembered; a scraper sends the same each time
OPENMETRICS_VERSIONS = frozenset({"", "1.0.0"})


@lru_cache(maxsize=KNOWN)
def format_of(accept: bytes) -> Format:
    """OpenMetrics where it is asked for at least as much as anything else that is served; else the text format."""
    openmetrics, text = 0.0, 0.0
    for media_type, parameters, quality in _ranges(accept):
        if media_type == "application/openmetrics-text" and parameters.get("version", "") in OPENMETRICS_VERSIONS:
            openmetrics = max(openmetrics, quality)
        elif media_type in {"text/plain", "text/*", "*/*"} and parameters.get("version", "0.0.4") == "0.0.4":
            text = max(text, quality)
    return "openmetrics" if openmetrics > 0 and openmetrics >= text else "text"


@lru_cache(maxsize=KNOWN)
def accepts_gzip(accept_encoding: bytes) -> bool:
    """Whether gzip, or anything, is named with a quality above 0; the more exact name counts."""
    qualities = {name: quality for name, _, quality in _ranges(accept_encoding)}
    return qualities.get("gzip", qualities.get("*", 0.0)) > 0


def _ranges(header: bytes) -> Iterator[tuple[str, dict[str, str], float]]:
    """(name, parameters, quality from 0 to 1) of each element; nonsense as quality counts as 0."""
    for element in header.decode("latin-1").split(","):
        name, *rest = (part.strip() for part in element.split(";"))
        parameters = {
            key.strip().lower(): value.strip().strip('"') for key, _, value in (p.partition("=") for p in rest)
        }
        quality = 0.0
        with contextlib.suppress(ValueError):
            quality = float(parameters.pop("q", "1"))
        if name:
            yield name.lower(), parameters, quality
