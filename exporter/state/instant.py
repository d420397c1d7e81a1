"""Points in time."""

from __future__ import annotations

from typing import NamedTuple


class Instant(NamedTuple):
    """A point in time on two clocks, in seconds: `monotonic` for ages, `unix` for display."""

    monotonic: float
    unix: float
