"""A moment."""

from __future__ import annotations

from typing import NamedTuple


class Instant(NamedTuple):
    """One moment on two clocks, in seconds: ages come from `monotonic`, which never steps; `unix` is for show."""

    monotonic: float
    unix: float
