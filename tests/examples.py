"""How many cases Hypothesis generates: all in CI, a third elsewhere, where a run must be quick."""

from __future__ import annotations

import os

VARIABLE = "ALL_EXAMPLES"  # set by .ci/run


def examples(number: int) -> int:
    return number if os.environ.get(VARIABLE) else number // 3
