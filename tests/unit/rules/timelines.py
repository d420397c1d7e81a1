"""What must stay quiet, what must be loud, and what was known to be wrong and is not known any more."""

from __future__ import annotations

from tests.unit.rules.timelines_blind import BLIND
from tests.unit.rules.timelines_loud import LOUD
from tests.unit.rules.timelines_quiet import QUIET

TIMELINES = (*QUIET, *LOUD, *BLIND)
