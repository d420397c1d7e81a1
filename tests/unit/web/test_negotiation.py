from __future__ import annotations

import pytest

from exporter.web.negotiation import format_of, accepts_gzip

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=1.0.0;q=0.4,*/*;q=0.1"
)


@pytest.mark.parametrize(
    ("accept", "format_"),
    [
        ("", "text"),
        ("*/*", "text"),
        (PROMETHEUS_2, "openmetrics"),
        (PROMETHEUS_3, "openmetrics"),
        ("application/openmetrics-text", "openmetrics"),
        ("application/openmetrics-text;version=2.0.0", "text"),
        ("application/openmetrics-text;q=0", "text"),
        ("application/openmetrics-text;q=0.1, text/plain;q=0.9", "text"),
        ("text/html", "text"),
        (";;q=x,,", "text"),
    ],
)
def test_the_format_is_what_accept_asks_for(accept: str, format_: str) -> None:
    assert format_of(accept.encode()) == format_


@pytest.mark.parametrize(
    ("header", "gzip"),
    [
        ("", False),
        ("gzip", True),
        ("deflate, gzip;q=0.5", True),
        ("gzip;q=0", False),
        ("*", True),
        ("*, gzip;q=0", False),
    ],
)
def test_gzip_where_it_is_accepted(header: str, *, gzip: bool) -> None:
    assert accepts_gzip(header.encode()) is gzip
