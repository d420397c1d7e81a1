"""Formats of numbers, ages and commands on the status page."""

from __future__ import annotations

import re
import shlex
from datetime import datetime
from urllib.parse import quote

from markupsafe import Markup

UNITS = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))  # s
SINGLE_UNIT = 10  # of a unit, from which the next smaller unit is omitted
REVISION_PREFIX_LENGTH = 8  # characters of a revision ID, enough to be unique
ZONE = Markup('<span class="zone"> UTC</span>')  # hidden on small screens
KEY_VARIABLE = "TOGETHER_API_KEY"
# Invisible characters that turn the text around them; <bdi> confines them in text, and attributes have no <bdi>.
_DIRECTIONS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class Clock:
    """Ages as of `now`: ISO 8601, UTC."""

    def __init__(self, now: str) -> None:
        self._now = datetime.fromisoformat(now)
        self._today = now[:10]

    def age(self, time: str) -> Markup:
        """`8m`, with the exact time on hover."""
        return self._element(time, span(self._seconds_since(time)))

    def ago(self, time: str) -> Markup:
        """`8m ago`."""
        seconds = self._seconds_since(time)
        return self._element(time, f"{span(seconds)} ago" if round(seconds) > 0 else "just now")

    def moment(self, time: str) -> Markup:
        """`14:03 UTC` of today, else the date."""
        is_today = time[:10] == self._today
        return self._element(time, time[11:16] + ZONE if is_today else time[:10])

    def until(self, time: str) -> Markup:
        """`in 12s`."""
        return self._element(time, f"in {span(-self._seconds_since(time))}")

    def _seconds_since(self, time: str) -> float:
        return (self._now - datetime.fromisoformat(time)).total_seconds()

    def _element(self, time: str, text: str | Markup) -> Markup:
        return Markup('<time datetime="{}" title="{}">{}</time>').format(time, exact(time), text)


def exact(time: str) -> str:
    """`2026-04-01 14:03:07 UTC`."""
    return f"{time[:10]} {time[11:19]} UTC"


def span(seconds: float) -> str:
    """`45s`, `2m 5s`, `12m`, `3h`: one unit or two."""
    left = max(round(seconds), 0)
    for index, (name, size) in enumerate(UNITS):
        count, rest = divmod(left, size)
        if count:
            smaller, size_of_smaller = UNITS[min(index + 1, len(UNITS) - 1)]
            more = rest // size_of_smaller if count < SINGLE_UNIT else 0
            return f"{count}{name} {more}{smaller}" if more else f"{count}{name}"
    return "0s"


def interval(seconds: float) -> str:
    """`200ms`, `30s`: a configured duration."""
    return f"{1000 * seconds:.0f}ms" if seconds < 1 else span(seconds)


def number(count: float | None) -> str:
    return "–" if count is None else f"{count:,.0f}" if count == int(count) else f"{count:g}"


def short(text: str) -> str:
    return text[:REVISION_PREFIX_LENGTH]


def count(number: int, noun: str) -> str:
    """`1 project`, `2 projects`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def attribute(text: str) -> str:
    """Removes characters that change the text direction, for use in attributes."""
    return _DIRECTIONS.sub("", text)


def logs_command(deployment_url: str, replica: str) -> str:
    """Command that prints the logs of a replica; the API key stays in a variable. The URL is quoted because of `?`."""
    url = shlex.quote(f"{deployment_url}/logs?replica_id={quote(replica, safe='')}")
    return f'curl -H "Authorization: Bearer ${KEY_VARIABLE}" {url}'
