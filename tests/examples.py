"""How thorough a run is: in CI Hypothesis generates all cases, and every command is a process that imports what it
needs. Elsewhere, where a run must be quick, it is a third of the cases, and forks of a process that has it all."""

from __future__ import annotations

import os

IS_THOROUGH = bool(os.environ.get("THOROUGH"))  # set by .ci/run


def examples(number: int) -> int:
    return number if IS_THOROUGH else number // 3
