"""Negotiates format and encoding by Accept and Accept-Encoding."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import lru_cache

from exporter.metrics.page import Format

CONTENT_TYPES: dict[Format, str] = {
    "text": "text/plain; version=0.0.4; charset=utf-8",
    "openmetrics": "application/openmetrics-text; version=1.0.0; charset=utf-8",
}
MAX_CACHED_HEADERS = 64  # distinct headers; a scraper always sends the same
OPENMETRICS_VERSIONS = frozenset({"", "1.0.0"})


@lru_cache(maxsize=MAX_CACHED_HEADERS)
def format_of(accept: bytes) -> Format:
    """OpenMetrics if no other supported format has a higher quality, otherwise the text format."""
    openmetrics, text = 0.0, 0.0
    for media_type, parameters, quality in _ranges(accept):
        if media_type == "application/openmetrics-text" and parameters.get("version", "") in OPENMETRICS_VERSIONS:
            openmetrics = max(openmetrics, quality)
        elif media_type in {"text/plain", "text/*", "*/*"} and parameters.get("version", "0.0.4") == "0.0.4":
            text = max(text, quality)
    return "openmetrics" if openmetrics > 0 and openmetrics >= text else "text"


@lru_cache(maxsize=MAX_CACHED_HEADERS)
def accepts_gzip(accept_encoding: bytes) -> bool:
    """Whether gzip or `*` has a quality above 0; gzip takes precedence."""
    qualities = {name: quality for name, _, quality in _ranges(accept_encoding)}
    return qualities.get("gzip", qualities.get("*", 0.0)) > 0


def _ranges(header: bytes) -> Iterator[tuple[str, dict[str, str], float]]:
    """(name, parameters, quality from 0 to 1) of each element; an invalid quality is 0."""
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
