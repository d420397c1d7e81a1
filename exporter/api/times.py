"""Parses timestamps of the API: ISO 8601, and the format that Go prints."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

ZERO_TIME_YEAR = 1  # Go sends an unset time as 0001-01-01T00:00:00Z
_TIME = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)[Tt ](?P<hour>\d\d):(?P<minute>\d\d)(:(?P<second>\d\d)([.,](?P<fraction>\d+))?)?"
    r" ?(?P<zone>[Zz]|[+-]\d\d:?\d\d)?( [A-Z]{1,5}| [+-]\d\d(\d\d)?)?( m=[+-][\d.]+)?"
)


def parse_time(text: str) -> float | None:
    """Returns seconds since 1970, in UTC if there is no time zone; None if unset. Raises ValueError."""
    text = text.strip()
    try:
        parsed = datetime.fromisoformat(text.upper())
    except ValueError:
        parsed = _lenient(text)
    if parsed.year == ZERO_TIME_YEAR:
        return None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def _lenient(text: str) -> datetime:
    """Accepts `2026-10-01 10:00:00 +0000 UTC`, second 60 and hour 24, which Python does not."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError("not a timestamp")
    hour, minute, second = (int(match[part] or 0) for part in ("hour", "minute", "second"))
    if hour > 24 or minute > 59 or second > 60 or (hour == 24 and minute + second):  # noqa: PLR2004 - of a clock
        raise ValueError("not a timestamp")
    zone = (match["zone"] or "Z").upper().replace("Z", "+00:00")
    try:
        day = datetime.fromisoformat(f"{match['date']}T00:00:00{zone}")
        fraction = float(f"0.{match['fraction'] or 0}")
        return day + timedelta(hours=hour, minutes=minute, seconds=second + fraction)
    except OverflowError:
        raise ValueError("not a timestamp") from None
