"""How thorough a run is. In CI Hypothesis generates all cases and every command is started as a process; otherwise it
generates a third of the cases, and commands are forked from a process that has imported everything."""

from __future__ import annotations

import os

IS_THOROUGH = bool(os.environ.get("THOROUGH"))  # set by .ci/run


def examples(number: int) -> int:
    return number if IS_THOROUGH else number // 3
