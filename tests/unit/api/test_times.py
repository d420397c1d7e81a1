from __future__ import annotations

import pytest

from exporter.api.times import parse_time

APRIL = 1775001600.0  # 2026-04-01T00:00:00Z


@pytest.mark.parametrize(
    ("text", "unix"),
    [
        ("2026-04-01T00:00:00Z", APRIL),
        ("2026-04-01t00:00:00z", APRIL),
        ("2026-04-01T02:00:00.5+02:00", APRIL + 0.5),
        ("2026-04-01T02:00:00+0200", APRIL),
        ("2026-03-31T19:00:00-05:00", APRIL),
        ("2026-04-01T00:00:00.123456789Z", APRIL + 0.123456),
        ("2026-04-01T00:00:00,25Z", APRIL + 0.25),
        ("2026-04-01T00:00:00", APRIL),
        ("2026-04-01 00:00", APRIL),
        ("2026-04-01", APRIL),
        (" 2026-04-01T00:00:00Z\n", APRIL),
        ("2026-04-01 00:00:00 +0000 UTC", APRIL),
        ("2026-04-01 02:00:00.5 +0200 CEST", APRIL + 0.5),
        ("2026-04-01 02:00:00 +0200 +0200", APRIL),
        ("2026-04-01 00:00:00.25 +0000 UTC m=+0.012345", APRIL + 0.25),
        ("2026-03-31T23:59:60Z", APRIL),
        ("2026-03-31T24:00:00Z", APRIL),
        ("2026-03-31 24:00", APRIL),
        ("1970-01-01T00:00:00Z", 0.0),
        ("1969-12-31T23:59:59Z", -1.0),
        ("9999-12-31T23:59:59Z", 253402300799.0),
    ],
)
def test_a_time_is_seconds_since_1970(text: str, unix: float) -> None:
    assert parse_time(text) == pytest.approx(unix, abs=1e-6)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "0001-01-01 00:00:00 +0000 UTC", "0001-01-01T00:00:00"])
def test_gos_zero_time_is_unset(text: str) -> None:
    assert parse_time(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "1775001600",
        "2026-02-30T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "2026-04-01T25:00:00Z",
        "2026-04-01T24:00:01Z",
        "2026-04-01T24:01:00Z",
        "2026-04-01T00:60:00Z",
        "2026-04-01T00:00:61Z",
        "2026-04-01T00:00:00+25:00",
        "2026-04-01T00:00:00Z and more",
        "9999-12-31T24:00:00Z",
        "9999-12-31T23:59:60Z",
        "٢٠٢٦-04-01T00:00:00Z",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_time(text)
