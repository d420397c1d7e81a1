"""Rows of the table of results: ratios of pairs that were measured side by side, and plain figures."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

HEADER = "| measure | ours | theirs | ratio | quartiles | reach | |\n|---|---|---|---|---|---|---|"


@dataclass(frozen=True)
class Row:
    """`ours` and `theirs` are medians, `ratio` the median of the pairs' ratios, `spread` its quartiles."""

    what: str
    ours: str
    theirs: str
    ratio: float | None
    spread: str
    limit: str
    reached: bool

    def __str__(self) -> str:
        ratio = "" if self.ratio is None else self.ratio
        mark = "yes" if self.reached else "**no**"
        return f"| {self.what} | {self.ours} | {self.theirs} | {ratio} | {self.spread} | {self.limit} | {mark} |"


def pairs(ours: Callable[[], float], theirs: Callable[[], float], rounds: int) -> list[tuple[float, float]]:
    """Both measured in turn, so that a noisy neighbour hits both."""
    return [(ours(), theirs()) for _ in range(rounds)]


def compared(what: str, measured: list[tuple[float, float]], unit: str, most: float = 0, least: float = 0) -> Row:
    """Ratios of ours to theirs, which must not exceed `most`; or of theirs to ours, which must reach `least`."""
    ratios = [theirs / ours if least else ours / theirs for ours, theirs in measured]
    middle = statistics.median(ratios)
    low, _, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else (middle,) * 3
    scale, digits = (1000, 2) if unit == "ms" else (1, 2)
    ours, theirs = (f"{scale * statistics.median(column):.{digits}f} {unit}" for column in zip(*measured, strict=True))
    limit = f"at least {least:g} x faster" if least else f"at most {most:g} x"
    reached = middle >= least if least else middle <= most
    return Row(what, ours, theirs, round(middle, 2), f"{low:.2f} to {high:.2f}", limit, reached)


def absolute(what: str, value: float, unit: str, most: float) -> Row:
    """`value` must not exceed `most`."""
    return Row(what, f"{value:.3g} {unit}", "", None, "", f"at most {most:g} {unit}", value <= most)


def timed(run: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds."""
    began = clock()
    run()
    return clock() - began
