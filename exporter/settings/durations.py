"""Parses and formats durations in Prometheus' syntax: 500ms, 30s, 5m, 1h30m."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

UNITS = {"y": 31_536_000.0, "w": 604_800.0, "d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}  # seconds
MAX_DURATION = 100 * UNITS["y"]  # s; clocks and timers overflow far above it
_DURATION = re.compile("".join(rf"(?:([0-9]{{1,15}}){unit})?" for unit in UNITS))


def parse(text: object) -> float:
    """Returns seconds, above 0. Raises ValueError with a hint."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        raise ValueError(f'"{text}" has no unit; write {text}s')
    if not isinstance(text, str):
        raise ValueError("is not a duration; write one such as 30s, 5m or 1h30m")
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise ValueError(_hint(text))
    seconds = sum(float(count) * unit for count, unit in zip(match.groups(), UNITS.values(), strict=True) if count)
    if not seconds:
        raise ValueError(f'"{text}" is zero; write a duration above 0')
    if seconds > MAX_DURATION:
        raise ValueError(f'"{text}" is too long; write at most {show(MAX_DURATION)}')
    return seconds


def show(seconds: float) -> str:
    """Returns the shortest form: 90.0 is 1m30s."""
    left = round(seconds * 1000)
    parts = []
    for name, unit in UNITS.items():
        count, left = divmod(left, round(unit * 1000))
        if count:
            parts.append(f"{count}{name}")
    return "".join(parts) or "0s"


def _hint(text: str) -> str:
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return f'"{text}" has no unit; write {text}s'
    return f'"{text}" is not a duration; write one such as 500ms, 30s, 5m or 1h30m, largest unit first'


IN_JSON = WithJsonSchema({"type": "string", "minLength": 2, "pattern": f"^{_DURATION.pattern}$"})
Duration = Annotated[float, BeforeValidator(parse), IN_JSON]  # seconds
